/**
 * The operator's way to a running hub: `hub.sock` in its folder, 0600, so whoever may read the folder
 * may use it. One route: a request of admin.ts as JSON, and its answer or fault.
 */
import { type Fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Http } from '#platform/http.ts';
import type { Listener, Listening, ServedRequest, ServedResponse } from '#platform/listener.ts';
import { isJsonObject, type JsonObject, readStrictJson } from '#wire/strict-json.ts';
import { type AdminAnswer, type AdminInput, type AdminRequest, administer } from './admin.ts';

const NAME = 'hub.sock';
const REQUEST_MAX = 1024 * 1024;
const ANSWER_MAX = 64 * 1024 * 1024;
const IDLE_MS = 30_000;
const ROUTE = '/v1/enroll';

export function serveAdmin(
  listener: Listener,
  folder: string,
  input: AdminInput,
): Promise<Result<Listening>> {
  const on = { kind: 'unix', path: `${folder}/${NAME}`, mode: 0o600, group: null } as const;
  return listener.listen(on, (request) => answer(input, request));
}

async function answer(input: AdminInput, request: ServedRequest): Promise<ServedResponse> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.length;
    if (size > REQUEST_MAX) return { status: 413 };
    chunks.push(chunk);
  }
  const read = readStrictJson(Buffer.concat(chunks), 'request');
  const wish = read.ok && isJsonObject(read.value) ? requestOf(read.value) : null;
  if (request.target !== ROUTE || wish === null) return { status: 400 };
  const done = administer(input, wish);
  const body = JSON.stringify(done.ok ? { answer: done.value } : { fault: done.fault });
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

/** The command and the hub are one program: what does not fit is another version's. */
function requestOf(from: JsonObject): AdminRequest | null {
  const { who, name, replace, devices, labels, lifeMs, count, url } = from;
  switch (from.do) {
    case 'list':
      return { do: 'list' };
    case 'approve':
      return typeof who === 'string' ? { do: 'approve', who, replace: replace === true } : null;
    case 'deny':
    case 'revoke':
      return typeof who === 'string' ? { do: from.do, who } : null;
    case 'operator':
      return typeof name === 'string' ? { do: 'operator', name } : null;
    case 'token': {
      const whole = Number.isSafeInteger(lifeMs) && Number.isSafeInteger(count);
      const listed = Array.isArray(devices) && devices.every((one) => typeof one === 'string');
      if (!whole || !listed || typeof url !== 'string' || !isJsonObject(labels)) return null;
      return from as unknown as AdminRequest;
    }
    default:
      return null;
  }
}

/** Null: no hub answers there. */
export async function askHub(
  http: Http,
  folder: string,
  request: AdminRequest,
): Promise<Result<AdminAnswer> | null> {
  const response = await http.request({
    method: 'POST',
    url: `http://hub${ROUTE}`,
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(JSON.stringify(request)),
    unixSocket: `${folder}/${NAME}`,
    idleMs: IDLE_MS,
  });
  if (!response.ok) return null;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.value.body) {
    if (!chunk.ok) return chunk;
    size += chunk.value.length;
    if (size > ANSWER_MAX) return null;
    chunks.push(chunk.value);
  }
  const read = readStrictJson(Buffer.concat(chunks), 'the answer of the hub');
  if (!read.ok) return read;
  const { answer: told, fault } = read.value as { answer?: AdminAnswer; fault?: Fault };
  if (told) return ok(told);
  return fault ? refused(fault) : null;
}
