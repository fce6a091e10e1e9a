/**
 * Uploads: small blobs by POST and PUT, large ones by POST, a PATCH for each piece, and PUT, so that
 * memory is bounded by one piece and every request has a Content-Length. A manifest is put last; its
 * digest is computed here and must be what the registry says it stored.
 * @see OCI distribution-spec 1.1, "Pushing Blobs", "Pushing Manifests"
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { isTag } from './endpoint.ts';
import type { LinkResponse } from './http.ts';
import { type Ask, type AskRequest, ownAddress } from './registry-ask.ts';

/** The bytes, or what yields them from the first one on; it may be asked for more than once. */
export type BlobSource =
  | Uint8Array
  | (() => Iterable<Result<Uint8Array>> | AsyncIterable<Result<Uint8Array>>);

export type Progress = (bytes: number) => void;

interface Upload {
  readonly digest: Digest;
  readonly size: number;
  readonly source: BlobSource;
  readonly progress: Progress | undefined;
}

/** bytes of one PATCH; the most that a registry may ask for instead */
const PIECE_BYTES = 8 * 1024 * 1024;
const PIECE_BYTES_MAX = 64 * 1024 * 1024;

export async function pushBlob(ask: Ask, upload: Upload): Promise<Result<undefined>> {
  const begun = await sendPush(ask, { method: 'POST', path: 'blobs/uploads/' }, [202]);
  if (!begun.ok) return begun;
  let at = begun.value.location;
  const wanted = Number(begun.value.response.headers['oci-chunk-min-length'] ?? 0);
  const pieceBytes = Math.max(PIECE_BYTES, Number.isSafeInteger(wanted) ? wanted : 0);
  if (pieceBytes > PIECE_BYTES_MAX) return badAnswer(ask, `it wants pieces of ${wanted} bytes`);
  let sent = 0;
  let last: Uint8Array = new Uint8Array();
  for await (const piece of pieces(upload.source, pieceBytes)) {
    if (!piece.ok) return piece;
    // One piece is held back: what fits into one goes with the PUT.
    if (last.length > 0) {
      const patched = await patch(ask, at, last, sent);
      if (!patched.ok) return patched;
      at = patched.value;
      sent += last.length;
      upload.progress?.(sent);
    }
    last = piece.value;
  }
  if (sent + last.length !== upload.size) {
    const got = sent + last.length;
    return refuse('source.size-mismatch', {
      what: `blob ${upload.digest}`,
      wanted: upload.size,
      got,
    });
  }
  if (sent > 0) {
    const patched = await patch(ask, at, last, sent);
    if (!patched.ok) return patched;
    at = patched.value;
    last = new Uint8Array();
  }
  at.searchParams.set('digest', upload.digest);
  const put = await sendPush(ask, { method: 'PUT', path: at.href, body: last }, [201]);
  if (!put.ok) return put;
  upload.progress?.(upload.size);
  return ok();
}

/** @returns where the next piece goes */
async function patch(ask: Ask, at: URL, body: Uint8Array, offset: number): Promise<Result<URL>> {
  const end = offset + body.length - 1;
  const headers = { 'content-range': `${offset}-${end}` };
  const patched = await sendPush(
    ask,
    { method: 'PATCH', path: at.href, body, headers },
    [202, 204],
  );
  if (!patched.ok) return patched;
  const held = patched.value.response.headers.range ?? `0-${end}`;
  if (held.replace(/^bytes=/, '') !== `0-${end}`) {
    return badAnswer(ask, `it holds ${held.slice(0, 40)} of the upload, not 0-${end}`);
  }
  return ok(patched.value.location);
}

export async function putManifest(
  ask: Ask,
  reference: string,
  bytes: Uint8Array,
): Promise<Result<Digest>> {
  const digest = sha256(bytes);
  if (!isTag(reference) && reference !== digest) {
    const reason = `${JSON.stringify(reference.slice(0, 80))} is neither a tag nor its digest`;
    return refuse('config.registry', { url: ask.name, reason });
  }
  const headers = { 'content-type': MEDIA.ociManifest };
  const request = { method: 'PUT', path: `manifests/${reference}`, body: bytes, headers } as const;
  const put = await sendPush(ask, request, [201]);
  if (!put.ok) return put;
  const stored = parseDigest(put.value.response.headers['docker-content-digest'] ?? digest);
  return stored === digest
    ? ok(digest)
    : badAnswer(ask, 'it stored another manifest than was sent');
}

type Push = Pick<AskRequest, 'method' | 'path'> & Partial<Pick<AskRequest, 'headers' | 'body'>>;

/** A request of an upload, and where the next one goes: on this registry's origin, or refused. */
async function sendPush(
  ask: Ask,
  request: Push,
  expected: readonly number[],
): Promise<Result<{ response: LinkResponse; location: URL }>> {
  const response = await ask.send({
    ...request,
    headers: { 'content-type': 'application/octet-stream', ...request.headers },
    actions: 'pull,push',
    redirects: 'refuse',
    cap: LIMITS.errorBodyBytes,
    what: 'the answer to an upload',
  });
  if (!response.ok) return response;
  if (!expected.includes(response.value.status)) return ask.refuseStatus(response.value);
  const drained = await drain(response.value);
  if (!drained.ok) return drained;
  const { location } = response.value.headers;
  const to = ownAddress(ask, location ?? response.value.url.href, response.value.url);
  // The last answer of an upload names where to pull from; only what is used next must be ours.
  if (to === null && request.method !== 'PUT') {
    return refuse('link.redirect-refused', {
      from: ask.origin,
      to: (location ?? '').split('?')[0]?.slice(0, 200) ?? '',
      reason:
        "an upload goes on at the same origin alone (behind a proxy, check the registry's own address)",
    });
  }
  return ok({ response: response.value, location: to ?? response.value.url });
}

/** The connection can be used again only when the body is read. */
async function drain(response: LinkResponse): Promise<Result<undefined>> {
  for await (const chunk of response.body) if (!chunk.ok) return chunk;
  return ok();
}

function badAnswer(ask: Ask, reason: string): Result<never> {
  return refuse('link.bad-response', { peer: ask.name, reason });
}

/** Chunks of any size, gathered into pieces of one size; the last one may be shorter. */
async function* pieces(source: BlobSource, bytes: number): AsyncGenerator<Result<Uint8Array>> {
  if (source instanceof Uint8Array) {
    for (let at = 0; at < source.length; at += bytes) yield ok(source.subarray(at, at + bytes));
    return;
  }
  let gathered = new Uint8Array(0);
  let filled = 0;
  for await (const chunk of source()) {
    if (!chunk.ok) return yield chunk;
    let rest = chunk.value;
    while (rest.length > 0) {
      if (gathered.length === 0) gathered = new Uint8Array(bytes);
      const fits = rest.subarray(0, bytes - filled);
      gathered.set(fits, filled);
      filled += fits.length;
      rest = rest.subarray(fits.length);
      if (filled < bytes) continue;
      yield ok(gathered);
      gathered = new Uint8Array(0);
      filled = 0;
    }
  }
  if (filled > 0) yield ok(gathered.subarray(0, filled));
}
