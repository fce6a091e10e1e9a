/**
 * The client's side of the Margo API, dialect 1.0.0-rc.3 (MARGO.md sections 3, 8). One origin, no
 * redirects, bodies under caps; a status is judged by its type and its number, never by fetching a
 * type. What the bytes are worth is for whoever asked (sources/margo-api.ts).
 */
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
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
  putCapabilities(deviceId: string, body: Uint8Array): Promise<Result<void>>;
  /** Null: taken. A fault: it will not be taken however often it is sent (4xx but 408 and 429). */
  postStatus(deploymentId: string, body: Uint8Array): Promise<Result<Fault | null>>;
  close(): void;
}

export type ManifestAnswer =
  | { readonly kind: 'unchanged' }
  /** etag: as it came; empty: there was none */
  | { readonly kind: 'manifest'; readonly bytes: Uint8Array; readonly etag: string };

const ETAG_MAX = 1_024;
/** seconds that a problem may ask for */
const RETRY_MAX_S = 3_600;

interface Parts {
  readonly http: HttpLink;
  readonly access: Access;
  /** with `/api/v1/` */
  readonly base: string;
}

/** @param url  free-form: a manager may stand below a path */
export function margoLink(
  http: HttpLink,
  { url, access }: { readonly url: string; readonly access: Omit<Access, 'origin'> },
): Result<MargoLink> {
  const read = readUrl(url, access.insecure);
  if (!read.ok) return read;
  if (read.value.search !== '') {
    return refuse('link.scheme-refused', { url: read.value.origin, reason: 'it has a query' });
  }
  const { origin, pathname } = read.value;
  const base = `${origin}${pathname.replace(/\/+$/, '')}/api/v1/`;
  const parts: Parts = { http, access: { ...access, origin }, base };
  return ok({
    manifest: (etag, signal) => manifest(parts, etag, signal),
    bundle: (digest, signal) =>
      content(parts, `bundles/${digest}`, { accept: MARGO_MEDIA.bundle, signal }),
    document: (id, digest, signal) =>
      content(parts, `deployments/${id}/${digest}`, { accept: MARGO_MEDIA.document, signal }),
    async putCapabilities(deviceId, body) {
      const put = await write(parts, 'PUT', `capabilities/${deviceId}`, body);
      return put.ok && put.value ? refused(put.value) : put.ok ? ok() : put;
    },
    postStatus: (id, body) => write(parts, 'POST', `deployments/${id}/status`, body),
    close: () => http.close(),
  });
}

async function manifest(
  { http, access, base }: Parts,
  etag: string | null,
  signal: AbortSignal,
): Promise<Result<ManifestAnswer>> {
  const what = 'the manifest';
  const response = await http.send({
    ...{ method: 'GET', url: `${base}deployments`, access, redirects: 'refuse', signal },
    headers: { accept: MARGO_MEDIA.manifest, ...(etag && { 'if-none-match': etag }) },
    ...{ cap: LIMITS.manifestBytes, what },
  });
  if (!response.ok) return response;
  const { status, headers } = response.value;
  if (status === 304 && etag !== null) {
    await discardBody(response.value);
    return ok({ kind: 'unchanged' });
  }
  if (status !== 200) return refused(await faultOf(http, response.value, what));
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
  { accept, signal }: { readonly accept: string; readonly signal: AbortSignal },
): Promise<Result<Uint8Array | null>> {
  const what = path.startsWith('bundles/') ? 'the bundle' : 'a document';
  const cap = path.startsWith('bundles/') ? LIMITS.documentsBytes : LIMITS.documentBytes;
  const response = await http.send({
    ...{ method: 'GET', url: `${base}${path}`, access, redirects: 'refuse', signal },
    ...{ headers: { accept }, cap, what },
  });
  if (!response.ok) return response;
  if (response.value.status === 404) {
    await discardBody(response.value);
    return ok(null);
  }
  if (response.value.status !== 200) return refused(await faultOf(http, response.value, what));
  return readBody(response.value);
}

async function write(
  { http, access, base }: Parts,
  method: 'PUT' | 'POST',
  path: string,
  body: Uint8Array,
): Promise<Result<Fault | null>> {
  const what = method === 'PUT' ? 'the capabilities' : 'a status';
  const response = await http.send({
    ...{ method, url: `${base}${path}`, access, redirects: 'refuse', body },
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    ...{ cap: LIMITS.errorBodyBytes, what },
  });
  if (!response.ok) return response;
  const { status } = response.value;
  if (status >= 200 && status < 300) {
    await discardBody(response.value);
    return ok(null);
  }
  const why = await faultOf(http, response.value, what);
  const parked = status >= 400 && status < 500 && status !== 408 && status !== 429;
  return parked ? ok(why) : refused(why);
}

/** M67, M68: 403 waits for a person; everything else is asked again, not before it is welcome. */
async function faultOf(http: HttpLink, response: LinkResponse, what: string): Promise<Fault> {
  const { status, headers } = response;
  const body = await readBody(response);
  const problem = readProblem(body.ok ? body.value : new Uint8Array());
  const title = printable(problem.title === '' ? 'no reason given' : problem.title);
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
