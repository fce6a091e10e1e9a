/**
 * Margo's state manifest, bytes ↔ state (MARGO.md section 4; M29, M33–M36, M39, M44). Strict JSON;
 * digits become a bigint, so that 2^53 + 1 is not 2^53. Anything doubtful refuses the whole manifest
 * with the JSON pointer of the member; members that nobody defined are ignored. Of a `url` only the
 * form counts: it must end in the route that ids and digest imply, and is never another origin.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { BlobRef } from '#state/desired-state.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA, type MargoManifest, type MargoRef } from '#state/margo.ts';
import { MEDIA } from '#state/media-types.ts';
import { quote } from './quote.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from './strict-json.ts';
import { treePath } from './tar-path.ts';

export const VERSION_MAX = 2n ** 64n - 1n;
/** our own members of a manifest, ignored by every other device */
const OURS = 'x-holdfast-extensions';
/** Margo: a UUID; tools in the field also use plain names. Nothing that is not one path segment. */
const ID = /^[A-Za-z0-9](?:[A-Za-z0-9._~-]{0,126}[A-Za-z0-9])?$/;
const PREFIX = /^\/api\/v1\/(?:clients\/[A-Za-z0-9._~-]{1,255}\/)?$/;
const BLOBS_MAX = 2_000;

export function isMargoId(text: string): boolean {
  return ID.test(text);
}

/** @param bytes  at most LIMITS.manifestBytes; their SHA-256 is the state digest */
export function readMargoManifest(bytes: Uint8Array): Result<MargoManifest> {
  const json = readStrictJson(bytes, 'the manifest of the Margo manager', 'digits');
  if (!json.ok) return refuse('margo.manifest', { pointer: '', reason: json.fault.message });
  const { value } = json;
  if (!isJsonObject(value)) return no('', 'it is no object');
  const version = versionOf(value.manifestVersion);
  if (version === null) return no('/manifestVersion', 'expected digits, from 1 to 2^64 - 1');
  const list = value.deployments;
  if (!Array.isArray(list)) return no('/deployments', 'expected a list');
  if (list.length > LIMITS.deploymentsMax) {
    return no('/deployments', `more than ${LIMITS.deploymentsMax} deployments`);
  }
  if (value.bundle === undefined) return no('/bundle', 'it is missing; null where there is none');
  const bundle = value.bundle === null ? ok(null) : readBundle(value.bundle);
  if (!bundle.ok) return bundle;
  if (list.length === 0 && bundle.value) return no('/bundle', 'a bundle of no deployments');
  const deployments = readDeployments(list);
  if (!deployments.ok) return deployments;
  const blobs = readMargoBlobs(value[OURS]);
  if (!blobs.ok) return blobs;
  const single = bundle.value === null && list.length > 0;
  return ok({
    version,
    bundle: bundle.value,
    deployments: deployments.value,
    blobs: blobs.value,
    warnings: single ? ['/bundle is null although something is deployed'] : [],
  });
}

export interface MargoManifestParts {
  readonly version: bigint;
  readonly bundle: { readonly digest: Digest; readonly size: number } | null;
  readonly deployments: readonly {
    readonly id: string;
    readonly digest: Digest;
    readonly size: number;
  }[];
  readonly blobs: readonly BlobRef[];
  /** before `bundles/` and `deployments/`: `/api/v1/`, older dialects with the client */
  readonly prefix: string;
}

/** The same parts always give the same bytes. */
export function writeMargoManifest(parts: MargoManifestParts): Uint8Array {
  const { version, bundle, deployments, blobs, prefix } = parts;
  const rest = {
    bundle: bundle && {
      mediaType: MARGO_MEDIA.bundle,
      digest: bundle.digest,
      sizeBytes: bundle.size,
      url: `${prefix}bundles/${bundle.digest}`,
    },
    deployments: deployments.map(({ id, digest, size }) => ({
      deploymentId: id,
      digest,
      sizeBytes: size,
      url: `${prefix}deployments/${id}/${digest}`,
    })),
    ...(blobs.length > 0 && { [OURS]: { blobs } }),
  };
  // A bigint has no JSON of its own; its digits come first.
  return new TextEncoder().encode(`{"manifestVersion":${version},${JSON.stringify(rest).slice(1)}`);
}

/** Digits alone (M29); null: a fraction, an exponent, text, 0, or too large. */
function versionOf(value: Json | undefined): bigint | null {
  if (typeof value === 'bigint') return value >= 1n && value <= VERSION_MAX ? value : null;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1
    ? BigInt(value)
    : null;
}

function readBundle(value: Json): Result<Digest> {
  if (!isJsonObject(value)) return no('/bundle', 'expected an object or null');
  if (value.mediaType !== MARGO_MEDIA.bundle) {
    return no('/bundle/mediaType', `expected ${MARGO_MEDIA.bundle}`);
  }
  const digest = digestOf(value.digest);
  if (digest === null) return no('/bundle/digest', 'expected sha256: and 64 lowercase hex digits');
  if (!isSizeHint(value.sizeBytes)) return no('/bundle/sizeBytes', 'expected a number of bytes');
  const bad = urlProblem(value.url, `bundles/${digest}`);
  return bad === null ? ok(digest) : no('/bundle/url', bad);
}

function readDeployments(list: readonly Json[]): Result<readonly MargoRef[]> {
  const deployments: MargoRef[] = [];
  const seen = new Set<string>();
  for (const [index, item] of list.entries()) {
    const at = `/deployments/${index}`;
    if (!isJsonObject(item)) return no(at, 'expected an object');
    const { deploymentId: id, sizeBytes } = item;
    if (typeof id !== 'string' || !ID.test(id)) {
      return no(`${at}/deploymentId`, 'expected a UUID');
    }
    // M35: two that a file system takes for one are one.
    if (seen.has(id.toLowerCase())) return no(`${at}/deploymentId`, `${quote(id)} stands twice`);
    seen.add(id.toLowerCase());
    const digest = digestOf(item.digest);
    if (digest === null) return no(`${at}/digest`, 'expected sha256: and 64 lowercase hex digits');
    if (!isSizeHint(sizeBytes)) return no(`${at}/sizeBytes`, 'expected a number of bytes');
    const bad = urlProblem(item.url, `deployments/${id}/${digest}`);
    if (bad !== null) return no(`${at}/url`, bad);
    deployments.push({ id, digest, sizeHint: typeof sizeBytes === 'number' ? sizeBytes : 0 });
  }
  return ok(deployments);
}

/** M44 */
function urlProblem(url: Json | undefined, ending: string): string | null {
  if (typeof url !== 'string') return 'expected text';
  if (!url.startsWith('/') || url.startsWith('//')) return 'it does not begin at this origin';
  if (!url.endsWith(`/${ending}`)) return `expected an end of /${ending}`;
  const prefix = url.slice(0, url.length - ending.length);
  return PREFIX.test(prefix) ? null : 'expected /api/v1/ before it';
}

/** Absent, or a whole number: a wrong one is no fault (M39), another type is no manifest. */
function isSizeHint(value: Json | undefined): boolean {
  if (value === undefined) return true;
  if (typeof value === 'bigint') return value >= 0n && value <= VERSION_MAX;
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Our own member of a manifest: content by digest, for the documents of our profiles. */
export function readMargoBlobs(extension: Json | undefined): Result<readonly BlobRef[]> {
  const list = isJsonObject(extension) ? extension.blobs : undefined;
  if (list === undefined) return ok([]);
  const at = `/${OURS}/blobs`;
  if (!Array.isArray(list) || list.length > BLOBS_MAX) {
    return no(at, `expected a list of at most ${BLOBS_MAX}`);
  }
  const blobs: BlobRef[] = [];
  const names = new Set<string>();
  for (const [index, item] of list.entries()) {
    const blob = isJsonObject(item) ? blobOf(item) : null;
    if (blob === null) {
      return no(`${at}/${index}`, 'expected name, mediaType, digest, size and unpackedSize');
    }
    if (names.has(blob.name)) return no(`${at}/${index}/name`, `${quote(blob.name)} stands twice`);
    names.add(blob.name);
    blobs.push(blob);
  }
  return ok(blobs);
}

function blobOf(item: JsonObject): BlobRef | null {
  const { name, mediaType, size, unpackedSize } = item;
  const digest = digestOf(item.digest);
  if (typeof name !== 'string' || 'reason' in treePath(name)) return null;
  if (mediaType !== MEDIA.file && mediaType !== MEDIA.tree) return null;
  if (digest === null || !isBlobSize(size) || !isBlobSize(unpackedSize)) return null;
  return { name, mediaType, digest, size, unpackedSize };
}

function isBlobSize(value: Json | undefined): value is number {
  return (
    typeof value === 'number' &&
    Number.isSafeInteger(value) &&
    value >= 0 &&
    value <= LIMITS.blobBytes
  );
}

function digestOf(value: Json | undefined): Digest | null {
  return typeof value === 'string' ? parseDigest(value) : null;
}

function no(pointer: string, reason: string): Refused {
  return refuse('margo.manifest', { pointer, reason });
}
