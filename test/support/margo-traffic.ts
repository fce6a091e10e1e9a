/**
 * Everything that went between a client and a manager of Margo, judged by `margo/openapi.yaml`
 * (margo-openapi.ts). Each test file holds one and demands at its end that nothing was amiss.
 */
import type { Listener, ServedRequest, ServedResponse } from '#platform/listener.ts';
import {
  type Answered,
  type Exchange,
  misfitsOfAnswer,
  misfitsOfRequest,
  present,
} from './margo-openapi.ts';

export interface MargoTraffic {
  /** what an agent sent */
  request(exchange: Exchange): void;
  /** what a manager answered */
  answer(exchange: Exchange, answer: Answered): void;
  /** a listener whose answers are judged, and its requests where an agent of ours sends them */
  listener(real: Listener, of: { readonly ours: boolean }): Listener;
  readonly misfits: readonly string[];
  /** a line for `npm run conformance:margo`; the number of messages judged */
  told(): number;
}

export function margoTraffic(): MargoTraffic {
  const misfits: string[] = [];
  let judged = 0;
  const note = (found: readonly string[]): void => {
    judged += 1;
    misfits.push(...found);
  };
  const traffic: MargoTraffic = {
    request: (exchange) => note(misfitsOfRequest(exchange)),
    answer: (exchange, answer) => note(misfitsOfAnswer(exchange, answer)),
    listener: (real, { ours }) => ({
      listen: (on, handle) =>
        real.listen(on, async (request) => {
          const { seen, passed } = copied(request);
          const response = await handle(passed);
          const exchange = { ...exchangeOf(request), body: seen() };
          if (ours) traffic.request(exchange);
          traffic.answer(exchange, answeredOf(response));
          return response;
        }),
    }),
    misfits,
    told() {
      console.log(`openapi: ${present ? judged : 0} messages judged, ${misfits.length} misfits`);
      return judged;
    },
  };
  return traffic;
}

function exchangeOf({ method, target, headers }: ServedRequest): Exchange {
  return { method, target, headers, body: '' };
}

/** The body as its reader took it. */
function copied(request: ServedRequest) {
  const chunks: Uint8Array[] = [];
  async function* body(): AsyncGenerator<Uint8Array> {
    for await (const chunk of request.body) {
      chunks.push(chunk);
      yield chunk;
    }
  }
  return { seen: () => Buffer.concat(chunks).toString(), passed: { ...request, body: body() } };
}

function answeredOf({ status, headers = {}, body = '' }: ServedResponse): Answered {
  const text =
    typeof body === 'string'
      ? body
      : body instanceof Uint8Array
        ? Buffer.from(body).toString()
        : '';
  return { status, headers, body: text };
}
