/**
 * One repository of an OCI registry: what devices pull and publishers push. Bytes in, bytes out;
 * what they are worth is decided elsewhere. A digest that is asked for is checked before the bytes
 * are handed on (check 4); a digest that a header claims is a hint (C05).
 * Here: pulling. Uploads are in registry-push.ts, lists of tags in registry-tags.ts, the request
 * with credentials in registry-ask.ts.
 * @see OCI distribution-spec 1.1
 */
import { type Fault, fault, ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { isTag, type RegistryConfig, type RegistryEndpoint, readEndpoint } from './endpoint.ts';
import { discardBody, type HttpLink, type LinkResponse, readBody } from './http.ts';
import { type Ask, registryAsk } from './registry-ask.ts';
import { registryAuth } from './registry-auth.ts';
import { type BlobSource, type Progress, pushBlob, putManifest } from './registry-push.ts';
import { listTags } from './registry-tags.ts';

export interface Registry {
  /** for messages: host and repository, no credentials */
  readonly name: string;
  /** By one HEAD, null when it is not there or the registry does not say. A hint. */
  headManifest(reference: string, signal?: AbortSignal): Promise<Result<Digest | null>>;
  /** Null when it is not there. By digest: checked; by tag: the digest is that of the bytes. */
  getManifest(reference: string, signal?: AbortSignal): Promise<Result<Fetched | null>>;
  /** The same of any of these media types: images of other people's tools. */
  getManifestOf(
    types: readonly string[],
    reference: string,
    signal?: AbortSignal,
  ): Promise<Result<Fetched | null>>;
  /**
   * From `offset` on. `restart` when the registry ignores ranges: the whole blob follows.
   * Ends with `link.cut` (go on), `source.range` (start again), `source.too-large` (never).
   */
  blob(digest: Digest, offset: number, cap: number, signal?: AbortSignal): AsyncIterable<BlobChunk>;
  hasBlob(digest: Digest, signal?: AbortSignal): Promise<Result<boolean>>;
  /** Without asking first whether it is there. The registry checks the digest. */
  pushBlob(
    digest: Digest,
    size: number,
    source: BlobSource,
    progress?: Progress,
  ): Promise<Result<undefined>>;
  putManifest(reference: string, bytes: Uint8Array): Promise<Result<Digest>>;
  /** All tags, in no order; none when the repository is not there. */
  tags(signal?: AbortSignal): Promise<Result<readonly string[]>>;
}

export interface Fetched {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
}

export type BlobChunk =
  | { readonly kind: 'restart' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** With a configuration that cannot be used, every call is refused with the reason. */
export function registry(http: HttpLink, config: RegistryConfig): Registry {
  const endpoint = readEndpoint(config);
  return endpoint.ok ? openRegistry(http, endpoint.value) : refusingRegistry(endpoint);
}

function openRegistry(http: HttpLink, endpoint: RegistryEndpoint): Registry {
  const auth = registryAuth({ http, endpoint });
  const ask = registryAsk({ http, endpoint, auth });
  return {
    name: endpoint.name,
    headManifest: (reference, signal) => headManifest(ask, reference, signal),
    getManifest: (reference, signal) => getManifest(ask, [MEDIA.ociManifest], reference, signal),
    getManifestOf: (types, reference, signal) => getManifest(ask, types, reference, signal),
    blob: (digest, offset, cap, signal) => readBlob(ask, { digest, offset, cap, signal }),
    hasBlob: (digest, signal) => hasBlob(ask, digest, signal),
    pushBlob: (digest, size, source, progress) => pushBlob(ask, { digest, size, source, progress }),
    putManifest: (reference, bytes) => putManifest(ask, reference, bytes),
    tags: (signal) => listTags(ask, signal),
  };
}

function refusingRegistry(why: Refused): Registry {
  const refuseAll = async (): Promise<Refused> => why;
  return {
    name: 'registry',
    headManifest: refuseAll,
    getManifest: refuseAll,
    getManifestOf: refuseAll,
    blob: async function* () {
      yield failed(why.fault);
    },
    hasBlob: refuseAll,
    pushBlob: refuseAll,
    putManifest: refuseAll,
    tags: refuseAll,
  };
}

/** A tag or a digest, in the grammar: it becomes part of a request line (C18). */
export function isReference(text: string): boolean {
  return isTag(text) || parseDigest(text) !== null;
}

async function headManifest(
  ask: Ask,
  reference: string,
  signal: AbortSignal | undefined,
): Promise<Result<Digest | null>> {
  if (!isReference(reference)) return badReference(ask, reference);
  const response = await ask.send({
    method: 'HEAD',
    path: `manifests/${reference}`,
    actions: 'pull',
    headers: { accept: MEDIA.ociManifest },
    redirects: 'same-origin',
    cap: 0,
    what: `manifest ${reference}`,
    signal,
  });
  if (!response.ok) return response;
  await discardBody(response.value);
  if (response.value.status === 404) return ok(null);
  if (response.value.status !== 200) return ask.refuseStatus(response.value);
  return ok(parseDigest(response.value.headers['docker-content-digest'] ?? ''));
}

async function getManifest(
  ask: Ask,
  types: readonly string[],
  reference: string,
  signal: AbortSignal | undefined,
): Promise<Result<Fetched | null>> {
  if (!isReference(reference)) return badReference(ask, reference);
  const what = `manifest ${reference}`;
  const response = await ask.send({
    method: 'GET',
    path: `manifests/${reference}`,
    actions: 'pull',
    headers: { accept: types.join(', ') },
    redirects: 'same-origin',
    cap: LIMITS.manifestBytes,
    what,
    signal,
  });
  if (!response.ok) return response;
  const { status, headers } = response.value;
  if (status === 404) {
    await discardBody(response.value);
    return ok(null);
  }
  if (status !== 200) return ask.refuseStatus(response.value);
  // Check 3
  const got = headers['content-type'] ?? 'nothing';
  if (!types.includes(got)) {
    response.value.cancel();
    const wanted = types.join(' or ');
    return refuse('source.media-type', { what, wanted, got: got.slice(0, 100) });
  }
  const bytes = await readBody(response.value);
  if (!bytes.ok) return bytes;
  // Check 4: the header's digest is not looked at.
  const digest = sha256(bytes.value);
  const wanted = parseDigest(reference);
  if (wanted !== null && wanted !== digest) {
    return refuse('source.digest-mismatch', { what, wanted, got: digest });
  }
  return ok({ bytes: bytes.value, digest });
}

function badReference(ask: Ask, reference: string): Result<never> {
  const reason = `${JSON.stringify(reference.slice(0, 40))} is neither a tag nor a digest`;
  return refuse('config.registry', { url: ask.name, reason });
}

async function hasBlob(
  ask: Ask,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<Result<boolean>> {
  const response = await ask.send({
    method: 'HEAD',
    path: `blobs/${digest}`,
    actions: 'pull',
    redirects: 'content',
    cap: 0,
    what: `blob ${digest}`,
    signal,
  });
  if (!response.ok) return response;
  await discardBody(response.value);
  if (response.value.status === 404) return ok(false);
  return response.value.status === 200 ? ok(true) : ask.refuseStatus(response.value);
}

interface BlobRequest {
  readonly digest: Digest;
  readonly offset: number;
  readonly cap: number;
  readonly signal: AbortSignal | undefined;
}

async function* readBlob(ask: Ask, request: BlobRequest): AsyncGenerator<BlobChunk> {
  const { digest, offset, cap, signal } = request;
  const what = `blob ${digest}`;
  const response = await ask.send({
    method: 'GET',
    path: `blobs/${digest}`,
    actions: 'pull',
    headers: offset === 0 ? {} : { range: `bytes=${offset}-` },
    redirects: 'content',
    cap,
    what,
    signal,
  });
  if (!response.ok) return yield failed(asSource(response.fault, cap));
  const { status } = response.value;
  if (status !== 200 && status !== 206)
    return yield failed(await noBlob(ask, what, response.value));
  const wrong = status === 206 ? wrongRange(response.value, request) : null;
  if (wrong !== null) {
    response.value.cancel();
    return yield failed(fault('source.range', { what, reason: wrong }));
  }
  if (status === 200 && offset > 0) yield { kind: 'restart' };
  let position = status === 206 ? offset : 0;
  for await (const chunk of response.value.body) {
    if (!chunk.ok) return yield failed(asSource(chunk.fault, cap));
    position += chunk.value.length;
    // Check 2: with a range, what came before counts too.
    if (position > cap) return yield failed(fault('source.too-large', { what, cap }));
    yield { kind: 'bytes', bytes: chunk.value };
  }
}

function failed(fault: Fault): BlobChunk {
  return { kind: 'failed', fault };
}

/** What is longer than its signed size is not what was signed. */
function asSource(from: Fault, cap: number): Fault {
  if (from.code !== 'link.too-large') return from;
  return fault('source.too-large', { what: from.message.split(' is longer')[0] ?? 'it', cap });
}

async function noBlob(ask: Ask, what: string, response: LinkResponse): Promise<Fault> {
  if (response.status === 404) {
    await discardBody(response);
    return fault('source.missing', { what, source: ask.name });
  }
  if (response.status === 416) {
    await discardBody(response);
    return fault('source.range', { what, reason: 'it is shorter than what is here already' });
  }
  const refused = await ask.refuseStatus(response);
  return refused.fault;
}

/** @see RFC 9110 section 14.4: a 206 must say which part it is; null when it is the one asked for */
function wrongRange(response: LinkResponse, { offset, cap }: BlobRequest): string | null {
  if (offset === 0) return 'a part came where the whole was asked for';
  const header = response.headers['content-range'] ?? '';
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(header);
  if (range === null) return 'its Content-Range is missing or unreadable';
  const [start, end] = [Number(range[1]), Number(range[2])];
  const total = range[3] === '*' ? null : Number(range[3]);
  if (start !== offset) return `it starts at ${start}, not at ${offset}`;
  if (end < start || end >= cap) return `it ends at ${end}`;
  return total !== null && total <= end ? `it ends at ${end} of ${total}` : null;
}
