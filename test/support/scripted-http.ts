/** An HTTP peer that is a function: what was asked is recorded, what it answers may be hostile. */
import { ok, type Result } from '#errors/fault.ts';
import { type HttpLink, type HttpLinkOptions, httpLink } from '#link/http.ts';
import type { Http, HttpRequest, HttpResponse } from '#platform/http.ts';
import { systemFiles } from '#platform/node/files.ts';
import type { Platform } from '#platform/platform.ts';
import { type ManualClock, manualClock } from './manual-clock.ts';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | AsyncIterable<Result<Uint8Array>>;
}

export interface ScriptedHttp {
  readonly http: Http;
  readonly asked: HttpRequest[];
  /** responses whose body was given up */
  readonly cancelled: string[];
}

export function scriptedHttp(
  answer: (request: HttpRequest) => Answer | Promise<Answer>,
): ScriptedHttp {
  const asked: HttpRequest[] = [];
  const cancelled: string[] = [];
  const request = async (request: HttpRequest): Promise<Result<HttpResponse>> => {
    asked.push(request);
    const { status, headers = {}, body = '' } = await answer(request);
    const stream = typeof body === 'string' || body instanceof Uint8Array ? once(body) : body;
    return ok({ status, headers, body: stream, cancel: () => void cancelled.push(request.url) });
  };
  return { http: { request }, asked, cancelled };
}

async function* once(body: string | Uint8Array): AsyncGenerator<Result<Uint8Array>> {
  if (body.length > 0) yield ok(typeof body === 'string' ? new TextEncoder().encode(body) : body);
}

const unused = (): never => {
  throw new Error('no socket is opened in this test');
};

/** A link over scripted HTTP, with a clock that stands still. */
export function scriptedLink(
  scripted: ScriptedHttp,
  options: HttpLinkOptions & { clock?: ManualClock; parts?: Partial<Platform> } = {},
): HttpLink {
  const { clock = manualClock(), parts, ...rest } = options;
  return httpLink(
    {
      http: scripted.http,
      clock,
      files: systemFiles(),
      sockets: { connect: unused, secure: unused },
      tunnels: { listen: unused, throughProxy: unused, webSocket: unused },
      certificates: () => ok([]),
      ...parts,
    },
    rest,
  );
}
