/**
 * The Margo API of the hub as manager (WFM), dialect 1.0.0-rc.3 (MARGO.md sections 3, 4, 6–9); what is
 * read is the same in the older ones (margo-older.ts). Who calls
 * is the SPIFFE ID of the client certificate, judged anew at each request (M09); a client sees and
 * writes its own alone (M10). Everything else is answered with problem details (M65).
 */
import type { Fault, Result } from '#errors/fault.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import type { Log } from '#platform/log.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { isMargoDeviceId, readMargoCapabilities } from '#wire/margo-capabilities.ts';
import type { MargoBody } from '#wire/margo-json.ts';
import { isMargoId } from '#wire/margo-manifest.ts';
import {
  PROBLEMS,
  type ProblemKind,
  writePlainProblem,
  writeProblem,
} from '#wire/margo-problem.ts';
import { readMargoStatus } from '#wire/margo-status.ts';
import { wholeBody } from './body.ts';
import {
  CAPABILITIES_BYTES,
  type ClientView,
  type MargoClient,
  type MargoClients,
  STATUS_BYTES,
} from './margo-clients.ts';
import type { PublishedReader } from './margo-published.ts';
import { besideManifest } from './margo-signed.ts';
import { type ServedTrust, trustAnswer } from './margo-trust.ts';
import { MARGO_PREFIX, viewFor } from './margo-view.ts';

export interface MargoApiInput {
  readonly log: Log;
  readonly inflate: Inflate;
  readonly clients: MargoClients;
  readonly published: Pick<PublishedReader, 'read' | 'shared'>;
  /** the SPIFFE ID of who calls, when this manager lets it in; else why not */
  caller(request: ServedRequest): { readonly name: string } | { readonly refused: string };
  /** the trust bundle and what leads to it: for everyone */
  readonly trust: ServedTrust;
}

export type MargoHandler = (request: ServedRequest) => Promise<ServedResponse>;

const API = '/api/v1/';
/** seconds until what failed at this end is worth asking for again; until the first publish */
const RETRY_S = 30;
const FIRST_S = 5;

export function margoApi(input: MargoApiInput): MargoHandler {
  const { published } = input;
  return async (request) => {
    const [target = ''] = request.target.split('?', 1);
    const open = trustAnswer(input.trust, request, target);
    if (open) return open;
    if (!target.startsWith(API)) return plain(404, 'Not Found');
    const who = input.caller(request);
    if ('refused' in who) return problem('not-authorized', who.refused);
    const client = clientOf(input, who.name);
    if ('answer' in client) return client.answer;
    const call = { input, published, client: client.value };
    return answer(call, request, target.slice(API.length));
  };
}

type Parts = Pick<MargoApiInput, 'clients' | 'inflate' | 'log'>;

export interface MargoCall {
  readonly input: Parts;
  readonly published: Pick<PublishedReader, 'read' | 'shared'>;
  readonly client: MargoClient;
  /** of the URLs in its manifest; absent: those of rc3 */
  readonly prefix?: string;
}

/**
 * A client that is new here has its first version on disk before anything of it is. Not where manifests
 * are signed: their versions are the publisher's, and a 1 of our own would be said twice.
 */
export function clientOf(
  input: Parts & { readonly published: Pick<PublishedReader, 'shared'> },
  name: string,
  prefix: string = MARGO_PREFIX,
): { readonly value: MargoClient } | { readonly answer: ServedResponse } {
  const client = input.clients.of(name);
  if (!client.ok) return { answer: failure(input, client.fault) };
  if (!client.value) return { answer: busy(429, 'Too Many Requests') };
  if (client.value.views().length > 0) return { value: client.value };
  if (input.published.shared) {
    const begun = client.value.begin();
    return begun.ok ? { value: client.value } : { answer: failure(input, begun.fault) };
  }
  const first = viewFor(input, client.value, { published: null, prefix });
  return first.ok ? { value: client.value } : { answer: failure(input, first.fault) };
}

async function answer(
  call: MargoCall,
  request: ServedRequest,
  path: string,
): Promise<ServedResponse> {
  const [head = '', ...rest] = path.split('/');
  if (head === 'capabilities' && rest.length > 0) {
    return capabilities(call, request, rest.join('/'));
  }
  const [id = '', last = ''] = rest;
  if (head === 'deployments' && rest.length === 2 && last === 'status' && isMargoId(id)) {
    return request.method === 'POST' ? status(call, request, id) : notAllowed('POST');
  }
  return readResource(call, request, path);
}

/** Manifest, bundle, document. */
export function readResource(
  call: MargoCall,
  request: ServedRequest,
  path: string,
): ServedResponse {
  const [head = '', ...rest] = path.split('/');
  const reads = request.method === 'GET' || request.method === 'HEAD';
  if (head === 'deployments' && rest.length === 0) {
    return reads ? manifest(call, request) : notAllowed('GET');
  }
  if (head === 'bundles' && rest.length === 1) {
    return reads
      ? artifact(call, request, { kind: 'bundle', digest: rest[0] ?? '' })
      : notAllowed('GET');
  }
  if (head === 'holdfast') {
    const state = call.published.read();
    const beside = besideManifest(state.ok ? state.value : null, rest);
    if (beside) return reads ? beside : notAllowed('GET');
  }
  const [id = '', second = ''] = rest;
  if (head === 'deployments' && rest.length === 2 && isMargoId(id)) {
    return reads
      ? artifact(call, request, { kind: 'document', id, digest: second })
      : notAllowed('GET');
  }
  return plain(404, 'Not Found');
}

function manifest(
  { input, published, client, prefix }: MargoCall,
  request: ServedRequest,
): ServedResponse {
  if (!accepts(request, MARGO_MEDIA.manifest)) return notAcceptable(MARGO_MEDIA.manifest);
  const state = published.read();
  // What may not be served leaves in force what was: the next statement that may be cures it. So does a
  // tag that is gone: absence would take everything away.
  if (!state.ok) warn(input, state.fault);
  const now = state.ok ? state.value : null;
  const [last] = client.views();
  if (!now && !last && published.shared) return busy(503, 'Nothing is published yet', FIRST_S);
  const view: Result<ClientView> =
    !now && last
      ? { ok: true, value: last }
      : viewFor(input, client, { published: now, ...(prefix && { prefix }) });
  if (!view.ok) return failure(input, view.fault);
  const etag = `"${view.value.manifest}"`;
  const headers = { etag, 'cache-control': 'private' };
  if (matches(request, etag)) return { status: 304, headers };
  return content(input, view.value.manifest, MARGO_MEDIA.manifest, headers);
}

type Artifact =
  | { readonly kind: 'bundle'; readonly digest: string }
  | { readonly kind: 'document'; readonly id: string; readonly digest: string };

/** Of this client's views alone; older ones stay fetchable for a while (M10, M45, M46). */
function artifact(
  { input, client }: MargoCall,
  request: ServedRequest,
  of: Artifact,
): ServedResponse {
  const type = of.kind === 'bundle' ? MARGO_MEDIA.bundle : MARGO_MEDIA.document;
  if (!accepts(request, type)) return notAcceptable(type);
  const missing = of.kind === 'bundle' ? 'invalid-bundle' : 'deployment-not-found';
  const digest = parseDigest(decoded(of.digest));
  const known =
    digest !== null &&
    client
      .views()
      .some(({ bundle, documents }) =>
        of.kind === 'bundle'
          ? bundle === digest
          : documents.some((one) => one.id === of.id && one.digest === digest),
      );
  if (!known) return problem(missing, 'no manifest of this client names it');
  const etag = `"${digest}"`;
  const headers = { etag, 'cache-control': 'private, max-age=31536000, immutable' };
  if (matches(request, etag)) return { status: 304, headers };
  return content(input, digest, type, headers);
}

function content(
  input: Parts,
  digest: Digest,
  type: string,
  headers: Readonly<Record<string, string>>,
): ServedResponse {
  const bytes = input.clients.content(digest);
  if (!bytes.ok) return failure(input, bytes.fault);
  if (bytes.value === null) return plain(404, 'Not Found');
  return { status: 200, headers: { ...headers, 'content-type': type }, body: bytes.value };
}

/** Slashes of a device id are those of the path: gateway, then child. */
async function capabilities(
  { input, client }: MargoCall,
  request: ServedRequest,
  path: string,
): Promise<ServedResponse> {
  const id = decoded(path);
  if (!isMargoDeviceId(id)) return problem('invalid-request', 'the path names no device');
  if (request.method === 'DELETE') {
    const dropped = client.dropCapabilities(id);
    if (!dropped.ok) return failure(input, dropped.fault);
    return dropped.value ? { status: 204 } : problem('device-not-found', `${id} is not known`);
  }
  if (request.method !== 'PUT') return notAllowed('PUT, DELETE');
  const bytes = await wholeBody(request.body, CAPABILITIES_BYTES);
  if (bytes === null) return plain(413, 'Content Too Large');
  const gateway = id.slice(0, Math.max(0, id.lastIndexOf('/')));
  const read = readMargoCapabilities(bytes, id);
  if (read.kind !== 'read') return wrongBody(read);
  // M13
  if (gateway !== '' && client.capabilities(gateway) === null) {
    return problem('gateway-not-found', `${gateway} has not told what it can do`);
  }
  const put = client.putCapabilities(id, bytes);
  if (!put.ok) return failure(input, put.fault);
  return { status: put.value ? 200 : 201 };
}

async function status(
  { input, client }: MargoCall,
  request: ServedRequest,
  id: string,
): Promise<ServedResponse> {
  const bytes = await wholeBody(request.body, STATUS_BYTES);
  if (bytes === null) return plain(413, 'Content Too Large');
  const read = readMargoStatus(bytes, id, 'rc3');
  if (read.kind !== 'read') return wrongBody(read);
  // M10, M63: of its own devices, also of deployments that are gone.
  const { deviceId, state, adoptedVersion } = read.value;
  if (deviceId !== null && client.capabilities(deviceId) === null) {
    return problem('semantic-error', 'another one’s device', [
      { field: 'deviceId', message: 'unknown' },
    ]);
  }
  const put = client.putStatus(id, bytes);
  if (!put.ok) return failure(input, put.fault);
  if (put.value === 'too-many') return busy(429, 'Too Many Requests');
  const told = { client: client.name, deployment: id, state, version: `${adoptedVersion ?? ''}` };
  input.log.write('info', 'margo.status', told);
  return { status: 200 };
}

/** M21: none accepts the default; parameters and weights say nothing but q=0. */
function accepts({ headers }: ServedRequest, type: string): boolean {
  const accept = headers.accept?.trim() ?? '';
  if (accept === '') return true;
  return accept.split(',').some((range) => {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    const unwanted = parameters.some((part) => /^q=0(?:\.0{0,3})?$/.test(part));
    return !unwanted && (name === '*/*' || name === 'application/*' || name === type);
  });
}

/** @see RFC 9110 section 13.1.2: a list, weak ones match as well */
function matches({ headers }: ServedRequest, etag: string): boolean {
  const wanted = headers['if-none-match'] ?? '';
  return wanted
    .split(',')
    .some((one) => one.trim().replace(/^W\//, '') === etag || one.trim() === '*');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function wrongBody(body: Exclude<MargoBody<unknown>, { kind: 'read' }>): ServedResponse {
  if (body.kind === 'unreadable') return problem('invalid-request', body.reason);
  return problem('semantic-error', 'members are missing or wrong', body.errors);
}

function problem(...of: Parameters<typeof writeProblem>): ServedResponse {
  const kind: ProblemKind = of[0];
  const headers = { 'content-type': MARGO_MEDIA.problem };
  return { status: PROBLEMS[kind][0], headers, body: writeProblem(...of) };
}

function notAcceptable(type: string): ServedResponse {
  return problem('server-cannot-generate-response', `only ${type} is served here`);
}

function plain(status: number, title: string): ServedResponse {
  const headers = { 'content-type': MARGO_MEDIA.problem };
  return { status, headers, body: writePlainProblem(status, title) };
}

function notAllowed(allow: string): ServedResponse {
  const answer = plain(405, 'Method Not Allowed');
  return { ...answer, headers: { ...answer.headers, allow } };
}

/** M66 */
function busy(status: number, title: string, seconds: number = RETRY_S): ServedResponse {
  const headers = { 'content-type': MARGO_MEDIA.problem, 'retry-after': String(seconds) };
  return { status, headers, body: writePlainProblem(status, title, seconds) };
}

/** The fault is the hub's own; clients learn no paths of it. */
function failure(input: Parts, fault: Fault): ServedResponse {
  warn(input, fault);
  return busy(fault.code === 'platform.no-space' ? 503 : 500, 'Internal Server Error');
}

function warn({ log }: Parts, { code, message }: Fault): void {
  log.write('warn', 'margo.failed', { code, message });
}
