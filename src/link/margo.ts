/**
 * The client's side of the Margo API (MARGO.md sections 3, 8, 10). One origin, no redirects, bodies
 * under caps; a status is judged by its type and its number, never by fetching a type. What the bytes
 * are worth is for whoever asked (sources/margo-api.ts). Older dialects differ in their paths, which
 * name the client, and in the verbs of capabilities; their requests are signed below this
 * (http-signature.ts).
 */
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA, type MargoDialect } from '#state/margo.ts';
import { readProblem } from '#wire/margo-problem.ts';
import { type Access, readUrl } from './endpoint.ts';
import { discardBody, type HttpLink, type LinkResponse, readBody } from './http.ts';
import { printable } from './printable.ts';
import { readHttpDate, readRetryAfter } from './retry-after.ts';

export interface MargoLink {
  /** @param etag  verbatim; null: none is held */
  manifest(etag: string | null, signal: AbortSignal): Promise<Result<ManifestAnswer>>;
  /** Null: 404. Not yet checked. */
  bundle(digest: Digest, signal: AbortSignal): Promise<Result<Uint8Array | null>>;
  document(id: string, digest: Digest, signal: AbortSignal): Promise<Result<Uint8Array | null>>;
  /** What a manager of ours serves below `holdfast/`, signatures and roots. Null: 404. */
  beside(path: string, cap: number, signal: AbortSignal): Promise<Result<Uint8Array | null>>;
  /** @param known  the manager took a report of this device before */
  putCapabilities(deviceId: string, body: Uint8Array, known?: boolean): Promise<Result<void>>;
  /** It is gone, or was never there. */
  deleteCapabilities(deviceId: string): Promise<Result<void>>;
  /** Null: taken. A fault: it will not be taken however often it is sent (4xx but 408 and 429). */
  postStatus(deploymentId: string, body: Uint8Array): Promise<Result<Fault | null>>;
  close(): void;
}

export type ManifestAnswer =
  | { readonly kind: 'unchanged' }
  /** etag: as it came; empty: there was none */
  | { readonly kind: 'manifest'; readonly bytes: Uint8Array; readonly etag: string };

const ETAG_MAX = 1_024;
/** answers to a report that may be taken under the other verb */
const OTHER_VERB: readonly number[] = [404, 405, 409];
/** seconds that a problem may ask for */
const RETRY_MAX_S = 3_600;

interface Parts {
  readonly http: HttpLink;
  readonly access: Access;
  readonly dialect: MargoDialect;
  /** what stands before the resources of this client, and its id where the path names it */
  base(): Promise<Result<MargoBase>>;
}

interface MargoBase {
  /** with `/api/v1/` */
  readonly path: string;
  readonly client: string | null;
}

export interface MargoTo {
  /** free-form: a manager may stand below a path */
  readonly url: string;
  readonly access: Omit<Access, 'origin'>;
  readonly dialect?: MargoDialect;
  /** older dialects: the id that the manager gave, asked for before each request */
  readonly client?: () => Promise<Result<string>>;
}

export function margoLink(http: HttpLink, to: MargoTo): Result<MargoLink> {
  const { access, dialect = 'rc3', client } = to;
  const api = margoApiUrl(to.url, access.insecure);
  if (!api.ok) return api;
  const { origin, href } = api.value;
  const parts: Parts = {
    ...{ http, access: { ...access, origin }, dialect },
    async base() {
      if (!client) return ok({ path: href, client: null });
      const id = await client();
      return id.ok ? ok({ path: `${href}clients/${id.value}/`, client: id.value }) : id;
    },
  };
  return ok({
    manifest: (etag, signal) => manifest(parts, etag, signal),
    bundle: (digest, signal) =>
      content(parts, `bundles/${digest}`, { accept: MARGO_MEDIA.bundle, signal }),
    document: (id, digest, signal) =>
      content(parts, `deployments/${id}/${digest}`, { accept: MARGO_MEDIA.document, signal }),
    beside: (path, cap, signal) =>
      content(parts, `holdfast/${path}`, { accept: 'application/json', cap, signal }),
    async putCapabilities(deviceId, body, known = false) {
      const put = await tell(parts, deviceId, body, known);
      return put.ok && put.value ? refused(put.value) : put.ok ? ok() : put;
    },
    async deleteCapabilities(deviceId) {
      const what = 'the removal of a child';
      const gone = await send(parts, 'DELETE', `capabilities/${deviceId}`, { what });
      if (!gone.ok) return gone;
      const { status, why } = gone.value;
      return why === null || status === 404 ? ok() : refused(why);
    },
    postStatus: (id, body) =>
      write(parts, 'POST', `deployments/${id}/status`, { what: 'a status', body }),
    close: () => http.close(),
  });
}

/** The origin, and where the API begins. */
export function margoApiUrl(
  url: string,
  insecure: boolean,
): Result<{ readonly origin: string; readonly href: string }> {
  const read = readUrl(url, insecure);
  if (!read.ok) return read;
  if (read.value.search !== '') {
    return refuse('link.scheme-refused', { url: read.value.origin, reason: 'it has a query' });
  }
  const { origin, pathname } = read.value;
  return ok({ origin, href: `${origin}${pathname.replace(/\/+$/, '')}/api/v1/` });
}

async function manifest(
  { http, access, base }: Parts,
  etag: string | null,
  signal: AbortSignal,
): Promise<Result<ManifestAnswer>> {
  const what = 'the manifest';
  const at = await base();
  if (!at.ok) return at;
  const { path, client } = at.value;
  const response = await http.send({
    ...{ method: 'GET', url: `${path}deployments`, access, redirects: 'refuse', signal },
    headers: { accept: MARGO_MEDIA.manifest, ...(etag && { 'if-none-match': etag }) },
    ...{ cap: LIMITS.manifestBytes, what },
  });
  if (!response.ok) return response;
  const { status, headers } = response.value;
  if (status === 304 && etag !== null) {
    await discardBody(response.value);
    return ok({ kind: 'unchanged' });
  }
  if (status !== 200) return refused(await faultOf(http, response.value, { what, client }));
  const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase() ?? 'nothing';
  if (type !== MARGO_MEDIA.manifest) {
    response.value.cancel();
    const found = printable(type).slice(0, 80);
    return refuse('margo.media-type', { what, found, expected: MARGO_MEDIA.manifest });
  }
  const bytes = await readBody(response.value);
  if (!bytes.ok) return bytes;
  const given = headers.etag ?? '';
  return ok({ kind: 'manifest', bytes: bytes.value, etag: given.length > ETAG_MAX ? '' : given });
}

async function content(
  { http, access, base }: Parts,
  path: string,
  {
    accept,
    signal,
    cap: most,
  }: { readonly accept: string; readonly signal: AbortSignal; readonly cap?: number },
): Promise<Result<Uint8Array | null>> {
  const bundle = path.startsWith('bundles/');
  const what = bundle ? 'the bundle' : most === undefined ? 'a document' : 'a signature';
  const at = await base();
  if (!at.ok) return at;
  const cap = most ?? (bundle ? LIMITS.documentsBytes : LIMITS.documentBytes);
  const response = await http.send({
    ...{ method: 'GET', url: `${at.value.path}${path}`, access, redirects: 'refuse', signal },
    ...{ headers: { accept }, cap, what },
  });
  if (!response.ok) return response;
  if (response.value.status === 404) {
    await discardBody(response.value);
    return ok(null);
  }
  if (response.value.status !== 200) {
    return refused(await faultOf(http, response.value, { what, client: null }));
  }
  return readBody(response.value);
}

/**
 * PUT creates and replaces. In the older dialects POST is the first report and PUT a change; which of
 * the two it is for this manager is its own to know, so the other one is tried where it says so.
 */
async function tell(
  parts: Parts,
  deviceId: string,
  body: Uint8Array,
  known: boolean,
): Promise<Result<Fault | null>> {
  const what = 'the capabilities';
  const path = parts.dialect === 'pr1' ? 'capabilities' : `capabilities/${deviceId}`;
  if (parts.dialect === 'rc3') return write(parts, 'PUT', path, { what, body });
  const [first, second] = known ? (['PUT', 'POST'] as const) : (['POST', 'PUT'] as const);
  const told = await send(parts, first, path, { what, body });
  const otherVerb = told.ok && OTHER_VERB.includes(told.value.status);
  return verdict(otherVerb ? await send(parts, second, path, { what, body }) : told);
}

interface Written {
  readonly what: string;
  readonly body?: Uint8Array;
}

interface Told {
  readonly status: number;
  /** null: taken */
  readonly why: Fault | null;
}

async function write(
  parts: Parts,
  method: 'PUT' | 'POST',
  path: string,
  written: Written,
): Promise<Result<Fault | null>> {
  return verdict(await send(parts, method, path, written));
}

function verdict(told: Result<Told>): Result<Fault | null> {
  if (!told.ok) return told;
  const { status, why } = told.value;
  const parked = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return why === null || parked ? ok(why) : refused(why);
}

async function send(
  { http, access, base }: Parts,
  method: 'PUT' | 'POST' | 'DELETE',
  path: string,
  { what, body }: Written,
): Promise<Result<Told>> {
  const at = await base();
  if (!at.ok) return at;
  const response = await http.send({
    ...{
      method,
      url: `${at.value.path}${path}`,
      access,
      redirects: 'refuse',
      ...(body && { body }),
    },
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    ...{ cap: LIMITS.errorBodyBytes, what },
  });
  if (!response.ok) return response;
  const { status } = response.value;
  if (status >= 200 && status < 300) {
    await discardBody(response.value);
    return ok({ status, why: null });
  }
  const { client } = at.value;
  return ok({ status, why: await faultOf(http, response.value, { what, client }) });
}

/** M67, M68: 403 waits for a person; everything else is asked again, not before it is welcome. */
async function faultOf(
  http: HttpLink,
  response: LinkResponse,
  { what, client }: { readonly what: string; readonly client: string | null },
): Promise<Fault> {
  const { status, headers } = response;
  const body = await readBody(response);
  const problem = readProblem(body.ok ? body.value : new Uint8Array());
  const title = printable(problem.title === '' ? 'no reason given' : problem.title);
  if (status === 401 && client !== null) return fault('margo.signature-refused', { what, title });
  if (status === 404 && client !== null) return fault('margo.client-unknown', { client, what });
  if (status === 403 || status === 401) return fault('margo.not-authorized', { what, title });
  const now = readHttpDate(headers.date) ?? http.platform.clock.wallMs();
  const header = readRetryAfter(headers['retry-after'], now);
  const seconds = problem.retryAfterSeconds;
  const asked = header ?? (seconds === null ? null : Math.min(seconds, RETRY_MAX_S) * 1_000);
  return fault(
    'margo.answer',
    { what, status, title },
    asked === null ? {} : { retryAfterMs: asked },
  );
}
