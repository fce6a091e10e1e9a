/**
 * A time authority over HTTP: the request in, the signed answer out, whatever it is worth
 * (trust/time-statement.ts). Under the rules of every request (http.ts): one configured origin, no
 * redirects, a byte cap, TLS also with a dead clock, which is when this is needed most.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import type { TimeRequest } from '#state/time-statement.ts';
import { writeTimeRequest } from '#wire/time-statement.ts';
import { nameOf, readUrl, type TlsFiles } from './endpoint.ts';
import { type HttpLink, readBody } from './http.ts';
import { printable } from './printable.ts';
import type { ProxyFiles } from './proxy.ts';
import { statusFault } from './status-fault.ts';

/** `time` of agent.yaml. */
export interface TimeEndpoint {
  readonly url: string;
  readonly tls: TlsFiles | null;
  /** http://[user:password@]host:port */
  readonly proxy: string | null;
  readonly proxyAuth?: ProxyFiles | null;
  readonly insecure: boolean;
}

/** base64 and JSON around an envelope of LIMITS.timeBytes */
const ANSWER_BYTES = 2 * LIMITS.timeBytes;

/** @returns exact bytes of the answer, DSSE JSON; nothing of them is believed */
export async function askTime(
  http: HttpLink,
  { url: text, tls, proxy, proxyAuth = null, insecure }: TimeEndpoint,
  request: TimeRequest,
  signal?: AbortSignal,
): Promise<Result<Uint8Array>> {
  const url = readUrl(text, insecure);
  if (!url.ok) return url;
  const what = 'the answer of the time authority';
  const response = await http.send({
    method: 'POST',
    url: url.value.href,
    access: { origin: url.value.origin, insecure, tls, proxy, proxyAuth },
    headers: { 'content-type': MEDIA.timeRequest, accept: MEDIA.time },
    body: writeTimeRequest(request),
    redirects: 'refuse',
    cap: ANSWER_BYTES,
    what,
    signal,
  });
  if (!response.ok) return response;
  const { status, headers } = response.value;
  if (status !== 200) {
    const why = await statusFault(http.platform.clock, response.value);
    return { ok: false, fault: why };
  }
  // Check 3
  const type = headers['content-type'] ?? '';
  if (type !== MEDIA.time) {
    response.value.cancel();
    const got = type === '' ? 'nothing' : printable(type);
    const from = `${what} (${nameOf(url.value)})`;
    return refuse('source.media-type', { what: from, wanted: MEDIA.time, got });
  }
  const body = await readBody(response.value);
  return body.ok ? ok(body.value) : body;
}
