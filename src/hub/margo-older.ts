/**
 * The Margo API of the hub in the dialects rc2 and pr1 (MARGO.md sections 3, 6, 7, 10; M71–M75): what rc3
 * serves, with the client in the path and every request signed by the certificate that was onboarded
 * for it. The operator's list says which certificates may; it is read at each request. Errors have the
 * bodies of that time.
 */
import type { Fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import type { MessageKeys } from '#platform/message-keys.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { OlderDialect } from '#wire/margo-capabilities-older.ts';
import { readOlderCapabilities } from '#wire/margo-capabilities-older.ts';
import type { MargoBody } from '#wire/margo-json.ts';
import { isMargoId } from '#wire/margo-manifest.ts';
import { readOnboarding, writeClientId, writeRootCa } from '#wire/margo-onboarding.ts';
import { readMargoStatus } from '#wire/margo-status.ts';
import { wholeBody } from './body.ts';
import { clientOf, type MargoApiInput, type MargoCall, readResource } from './margo-api.ts';
import { CAPABILITIES_BYTES, type MargoClient } from './margo-clients.ts';
import { olderAnswer, olderError, olderProblem } from './margo-older-answers.ts';
import type { MargoOnboarded } from './margo-onboarded.ts';
import { judgeSigned } from './margo-signature.ts';

export interface MargoOlderInput extends Pick<MargoApiInput, 'log' | 'inflate' | 'clients'> {
  readonly published: MargoCall['published'];
  readonly dialects: readonly OlderDialect[];
  readonly onboarded: MargoOnboarded;
  readonly keys: Pick<MessageKeys, 'verifier'>;
  readonly clock: Pick<Clock, 'wallMs'>;
  /** by its fingerprint, on the operator's list */
  accepts(certificate: Digest): boolean;
  /** how clients reach it, when the operator says so: then signatures for other names are nobody's */
  readonly url: string | null;
  /** PEM: for clients that want to see it; it makes nobody trusted */
  readonly rootCa: string;
}

/** Null: no path of the older dialects. */
export type OlderHandler = (request: ServedRequest) => Promise<ServedResponse> | null;

const ONBOARDING = '/api/v1/onboarding';
const CLIENTS = '/api/v1/clients/';
/** bytes of what a client says: capabilities, a status, its certificate */
const BODY_BYTES = CAPABILITIES_BYTES;
/** certificates that are told to be refused, until the next one is let in */
const REFUSED_TOLD = 256;
const HOST = /^(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\])(?::[0-9]{1,5})?$/;

export function margoOlder(input: MargoOlderInput): OlderHandler {
  const refused = new Set<Digest>();
  return (request) => {
    const [path = ''] = request.target.split('?', 1);
    if (path === `${ONBOARDING}/certificate`) return Promise.resolve(rootCa(input, request));
    if (path === ONBOARDING) return onboard(input, request, refused);
    return path.startsWith(CLIENTS) ? ofClient(input, request, path.slice(CLIENTS.length)) : null;
  };
}

function rootCa(input: MargoOlderInput, { method }: ServedRequest): ServedResponse {
  if (method !== 'GET' && method !== 'HEAD') return notAllowed('GET');
  return json(200, writeRootCa(input.rootCa));
}

/** M75. The certificate itself is the identity: whoever holds its key may ask for its id again. */
async function onboard(
  input: MargoOlderInput,
  request: ServedRequest,
  refused: Set<Digest>,
): Promise<ServedResponse> {
  if (request.method !== 'POST') return notAllowed('POST');
  const body = await wholeBody(request.body, BODY_BYTES);
  if (body === null) return olderError(413, 'the body is too large');
  const read = readOnboarding(body);
  if (read.kind !== 'read') {
    return olderProblem(400, reasonOf(read), read.kind === 'wrong' ? read.errors : []);
  }
  const fingerprint = sha256(read.value);
  const verifier = input.keys.verifier(read.value);
  if (!verifier) return olderError(400, 'certificate: none, or of a key that signs nothing here');
  const unsigned = judgeSigned(signedOf(input, request, body), verifier, input.clock.wallMs());
  if (unsigned) return olderError(unsigned.status, unsigned.reason);
  if (!input.accepts(fingerprint)) {
    // A stranger that asks for ever does not fill the log; its device says the same.
    if (!refused.has(fingerprint) && refused.size < REFUSED_TOLD) {
      refused.add(fingerprint);
      input.log.write('warn', 'margo.refused', { certificate: fingerprint });
    }
    return olderError(403, `Client rejected: certificate ${fingerprint} is not accepted`);
  }
  const id = input.onboarded.add(read.value);
  if (!id.ok) return failed(input, id.fault);
  refused.clear();
  if (id.value === null) return olderError(429, 'there are too many clients', RETRY);
  input.log.write('info', 'margo.onboarded', { client: id.value, certificate: fingerprint });
  return json(201, writeClientId(id.value));
}

/** Unknown, not accepted any more, body, signature: in this order, so that each has its own status. */
async function ofClient(
  input: MargoOlderInput,
  request: ServedRequest,
  path: string,
): Promise<ServedResponse> {
  const [id = '', ...rest] = path.split('/');
  const certificate = input.onboarded.certificate(id);
  const verifier = certificate && input.keys.verifier(certificate);
  if (!certificate || !verifier) return olderError(404, 'no client has this id');
  const body = await wholeBody(request.body, BODY_BYTES);
  if (body === null) return olderError(413, 'the body is too large');
  const unsigned = judgeSigned(signedOf(input, request, body), verifier, input.clock.wallMs());
  if (unsigned) return olderError(unsigned.status, unsigned.reason);
  if (!input.accepts(sha256(certificate))) {
    return olderError(403, 'Client rejected: its certificate is not accepted any more');
  }
  const prefix = `${CLIENTS}${id}/`;
  const client = clientOf(input, `urn:margo:client:${id}`, prefix);
  if ('answer' in client) return olderAnswer(client.answer);
  const call = { input, published: input.published, client: client.value, prefix };
  return answer(input, call, { request, body, path: rest });
}

interface Asked {
  readonly request: ServedRequest;
  readonly body: Uint8Array;
  readonly path: readonly string[];
}

function answer(input: MargoOlderInput, call: MargoCall, asked: Asked): ServedResponse {
  const { request, path } = asked;
  const [head = '', ...rest] = path;
  if (head === 'capabilities') {
    const dialect = rest.length === 0 ? 'pr1' : 'rc2';
    return input.dialects.includes(dialect)
      ? capabilities(input, call.client, { ...asked, path: rest }, dialect)
      : olderError(404, `this manager does not speak ${dialect}`);
  }
  const [id = '', last = ''] = rest;
  if (head === 'deployments' && rest.length === 2 && last === 'status' && isMargoId(id)) {
    return request.method === 'POST'
      ? status(input, call.client, asked.body, id)
      : notAllowed('POST');
  }
  return olderAnswer(readResource(call, request, path.join('/')));
}

/** rc2 names the device in the path; a client of pr1 has only one, and names it in the body. */
function capabilities(
  input: MargoOlderInput,
  client: MargoClient,
  { request: { method }, body, path }: Asked,
  dialect: OlderDialect,
): ServedResponse {
  const named = dialect === 'rc2' ? path.join('/') : null;
  if (method === 'DELETE' && named !== null) {
    const dropped = client.dropCapabilities(named);
    if (!dropped.ok) return failed(input, dropped.fault);
    return dropped.value ? { status: 204 } : olderError(404, 'no such device');
  }
  if (method !== 'POST' && method !== 'PUT') {
    return notAllowed(named === null ? 'POST, PUT' : 'POST, PUT, DELETE');
  }
  const read = readOlderCapabilities(body, named, dialect);
  if (read.kind !== 'read') return wrongBody(read);
  const { id } = read.value;
  const gateway = id.slice(0, Math.max(0, id.lastIndexOf('/')));
  // M13
  if (gateway !== '' && client.capabilities(gateway) === null) {
    return olderError(404, 'the gateway of this device has not told what it can do');
  }
  const put = client.putCapabilities(id, body);
  if (!put.ok) return failed(input, put.fault);
  for (const other of dialect === 'pr1' ? client.devices() : []) {
    if (other === id) continue;
    const dropped = client.dropCapabilities(other);
    if (!dropped.ok) return failed(input, dropped.fault);
  }
  return { status: 201 };
}

function status(
  input: MargoOlderInput,
  client: MargoClient,
  body: Uint8Array,
  id: string,
): ServedResponse {
  const read = readMargoStatus(body, id, 'rc2');
  if (read.kind !== 'read') return wrongBody(read);
  const { deviceId, state } = read.value;
  if (deviceId !== null && client.capabilities(deviceId) === null) {
    return olderProblem(422, 'another one’s device', [{ field: 'deviceId', message: 'unknown' }]);
  }
  const put = client.putStatus(id, body);
  if (!put.ok) return failed(input, put.fault);
  if (put.value === 'too-many') return olderError(429, 'there are too many deployments', RETRY);
  input.log.write('info', 'margo.status', { client: client.name, deployment: id, state });
  return { status: 200 };
}

function signedOf(
  { url }: MargoOlderInput,
  { method, target, headers }: ServedRequest,
  body: Uint8Array,
) {
  const host = headers.host ?? '';
  const own = url === null && HOST.test(host) ? [`https://${host}`] : url === null ? [] : [url];
  // As it came, and as a URL has it: in small letters, without the port that https implies.
  const urls = own.flatMap((origin) => {
    const whole = `${origin}${target}`;
    const normal = URL.canParse(whole) ? new URL(whole).href : whole;
    return whole === normal ? [whole] : [whole, normal];
  });
  return { method, urls, headers, body };
}

function wrongBody(body: Exclude<MargoBody<unknown>, { kind: 'read' }>): ServedResponse {
  if (body.kind === 'unreadable') return olderError(400, body.reason);
  return olderProblem(422, reasonOf(body), body.errors);
}

function reasonOf(body: Exclude<MargoBody<unknown>, { kind: 'read' }>): string {
  if (body.kind === 'unreadable') return body.reason;
  return body.errors
    .map(({ field, message }) => `${field}: ${message}`)
    .join('; ')
    .slice(0, 500);
}

function notAllowed(allow: string): ServedResponse {
  return olderError(405, 'Method Not Allowed', { allow });
}

function json(code: number, body: Uint8Array): ServedResponse {
  return { status: code, headers: { 'content-type': 'application/json' }, body };
}

/** The fault is the hub's own; clients learn no paths of it. */
function failed({ log }: MargoOlderInput, { code, message }: Fault): ServedResponse {
  log.write('warn', 'margo.failed', { code, message });
  return olderError(code === 'platform.no-space' ? 503 : 500, 'Internal Server Error', RETRY);
}

/** M66: seconds until what failed at this end is worth asking for again */
const RETRY: Readonly<Record<string, string>> = { 'retry-after': '30' };
