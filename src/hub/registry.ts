/**
 * An OCI registry: pull and push of the distribution-spec 1.1, with tags, referrers and deletion,
 * on a folder (disk.ts). No users: the hub listens on loopback. It trusts no client with a name, a
 * digest or a size; devices trust none of its bytes (trust/verify.ts), so it is a place, no more.
 */
import type { Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import type { Random } from '#platform/random.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import { failure, refusal } from './answers.ts';
import { type BlobService, blobService } from './blobs.ts';
import { wholeBody } from './body.ts';
import { type Disk, MANIFEST_MAX } from './disk.ts';
import { type CheckedManifest, checkManifest } from './manifests.ts';
import { isTag, type Route, routeOf } from './names.ts';
import { type Uploads, uploadsOn } from './uploads.ts';

const TAGS_PAGE = 1_000;

export type RegistryHandler = (request: ServedRequest) => Promise<ServedResponse>;

export function registryOn(disk: Disk, clock: Clock, random: Random): RegistryHandler {
  const uploads = uploadsOn(disk, clock, random);
  const blobs = blobService(disk, uploads);
  return async (request) => {
    const [path = '', search = ''] = request.target.split('?', 2);
    const response = await answer({ disk, uploads, blobs }, routeOf(path), {
      request,
      query: new URLSearchParams(search),
    });
    const headers = { ...response.headers, 'docker-distribution-api-version': 'registry/2.0' };
    return { ...response, headers };
  };
}

interface Parts {
  readonly disk: Disk;
  readonly uploads: Uploads;
  readonly blobs: BlobService;
}

interface Call {
  readonly request: ServedRequest;
  readonly query: URLSearchParams;
}

async function answer(parts: Parts, route: Route, call: Call): Promise<ServedResponse> {
  const { disk, uploads, blobs } = parts;
  const { request, query } = call;
  const { method } = request;
  const reads = method === 'GET' || method === 'HEAD';
  switch (route.kind) {
    case 'base':
      return reads ? json(200, {}) : refusal('UNSUPPORTED', `${method} is not for /v2/`);
    case 'bad-name':
      return refusal('NAME_INVALID', 'a repository is lower case words, joined by . _ - and /');
    case 'none':
      return refusal('UNSUPPORTED', 'the registry has nothing there', 404);
    case 'manifest':
      return manifest(disk, route, call);
    case 'blob':
      if (!route.digest) return refusal('DIGEST_INVALID', 'only sha256 digests name blobs here');
      if (reads) return blobs.serve(route.repository, route.digest, request);
      if (method === 'DELETE') return deletedBlob(disk, route.repository, route.digest);
      return refusal('UNSUPPORTED', `${method} is not for blobs`);
    case 'uploads':
      if (method === 'POST') return blobs.begin(route.repository, query, request);
      return refusal('UNSUPPORTED', `${method} is not for uploads`);
    case 'upload': {
      const upload = uploads.find(route.repository, route.id);
      if (!upload) return refusal('BLOB_UPLOAD_UNKNOWN', 'no such upload: begin again');
      return blobs.goOn(upload, query, request);
    }
    case 'tags':
      return reads ? tags(disk, route.repository, query) : refusal('UNSUPPORTED', method);
    case 'referrers':
      if (!route.digest) return refusal('DIGEST_INVALID', 'only sha256 digests name subjects here');
      return reads
        ? referrers(disk, route.repository, route.digest, query)
        : refusal('UNSUPPORTED', method);
  }
}

type ManifestRoute = Extract<Route, { kind: 'manifest' }>;

async function manifest(disk: Disk, route: ManifestRoute, call: Call): Promise<ServedResponse> {
  const { request } = call;
  const digest = parseDigest(route.reference);
  if (!digest && route.reference.includes(':')) {
    return refusal('DIGEST_INVALID', 'only sha256 digests name manifests here');
  }
  if (!digest && !isTag(route.reference)) {
    return refusal('MANIFEST_INVALID', 'that is neither a tag nor a digest');
  }
  switch (request.method) {
    case 'GET':
    case 'HEAD':
      return serveManifest(disk, route, digest, request);
    case 'PUT':
      return putManifest(disk, route, digest, request);
    case 'DELETE': {
      const dropped = digest
        ? disk.dropManifest(route.repository, digest)
        : disk.dropTag(route.repository, route.reference);
      return deleted(dropped, 'MANIFEST_UNKNOWN');
    }
    default:
      return refusal('UNSUPPORTED', `${request.method} is not for manifests`);
  }
}

function serveManifest(
  disk: Disk,
  { repository, reference }: ManifestRoute,
  named: Digest | null,
  request: ServedRequest,
): ServedResponse {
  const unknown = refusal('MANIFEST_UNKNOWN', `${repository} has no ${reference.slice(0, 128)}`);
  const tagged = named ? null : disk.tag(repository, reference);
  if (tagged && !tagged.ok) return failure(tagged.fault);
  const digest = named ?? tagged?.value ?? null;
  if (!digest) return unknown;
  const found = disk.manifest(repository, digest);
  if (!found.ok) return failure(found.fault);
  if (!found.value) return unknown;
  const headers = {
    'content-type': found.value.mediaType,
    'content-length': String(found.value.bytes.length),
    'docker-content-digest': digest,
    etag: `"${digest}"`,
  };
  if (request.headers['if-none-match'] === headers.etag) {
    return { status: 304, headers: { 'docker-content-digest': digest, etag: headers.etag } };
  }
  return request.method === 'HEAD'
    ? { status: 200, headers }
    : { status: 200, headers, body: found.value.bytes };
}

async function putManifest(
  disk: Disk,
  { repository, reference }: ManifestRoute,
  named: Digest | null,
  request: ServedRequest,
): Promise<ServedResponse> {
  const bytes = await wholeBody(request.body, MANIFEST_MAX);
  if (!bytes) return refusal('SIZE_INVALID', `a manifest has at most ${MANIFEST_MAX} bytes`);
  const digest = sha256(bytes);
  if (named && named !== digest) {
    return refusal('DIGEST_INVALID', `what came as ${named} is ${digest}`);
  }
  const contentType = request.headers['content-type']?.split(';')[0]?.trim() ?? null;
  const checked = checkManifest(bytes, contentType);
  if (!checked.ok) return refusal('MANIFEST_INVALID', checked.fault.message);
  const absent = absentPart(disk, repository, checked.value);
  if (absent) {
    return refusal('MANIFEST_BLOB_UNKNOWN', `it names ${absent}, which is not in ${repository}`);
  }
  const { mediaType, subject } = checked.value;
  const tag = named ? null : reference;
  const put = disk.putManifest(repository, { digest, bytes, mediaType, tag, subject });
  if (!put.ok) return failure(put.fault);
  return {
    status: 201,
    headers: {
      location: `/v2/${repository}/manifests/${digest}`,
      'docker-content-digest': digest,
      ...(subject && { 'oci-subject': subject }),
    },
  };
}

function absentPart(disk: Disk, repository: string, parts: CheckedManifest): Digest | null {
  const blob = parts.blobs.find((digest) => !disk.hasBlob(repository, digest));
  if (blob) return blob;
  const absent = parts.manifests.find((digest) => {
    const found = disk.manifest(repository, digest);
    return !found.ok || !found.value;
  });
  return absent ?? null;
}

function deletedBlob(disk: Disk, repository: string, digest: Digest): ServedResponse {
  return deleted(disk.dropBlob(repository, digest), 'BLOB_UNKNOWN');
}

function deleted(
  dropped: Result<boolean>,
  unknown: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN',
): ServedResponse {
  if (!dropped.ok) return failure(dropped.fault);
  return dropped.value ? { status: 202 } : refusal(unknown, 'the repository does not have it');
}

/** In byte order, from after `last`; a page is at most 1,000, and the next one is linked. */
function tags(disk: Disk, repository: string, query: URLSearchParams): ServedResponse {
  const all = disk.tags(repository);
  if (!all.ok) return failure(all.fault);
  if (!all.value) return refusal('NAME_UNKNOWN', `there is no repository ${repository}`);
  const wanted = query.get('n');
  if (wanted !== null && !/^\d{1,9}$/.test(wanted)) {
    return refusal('UNSUPPORTED', 'n is a number', 400);
  }
  const count = Math.min(TAGS_PAGE, wanted === null ? TAGS_PAGE : Number(wanted));
  const last = query.get('last') ?? '';
  const after = all.value.filter((tag) => tag > last);
  const page = after.slice(0, count);
  const response = json(200, { name: repository, tags: page });
  const end = page.at(-1);
  if (end === undefined || after.length <= page.length) return response;
  const link = `</v2/${repository}/tags/list?n=${count}&last=${end}>; rel="next"`;
  return { ...response, headers: { ...response.headers, link } };
}

function referrers(
  disk: Disk,
  repository: string,
  subject: Digest,
  query: URLSearchParams,
): ServedResponse {
  const found = disk.referrers(repository, subject);
  if (!found.ok) return failure(found.fault);
  const filter = query.get('artifactType');
  const manifests = [];
  for (const digest of found.value) {
    const stored = disk.manifest(repository, digest);
    if (!stored.ok || !stored.value) continue;
    const checked = checkManifest(stored.value.bytes, stored.value.mediaType);
    if (!checked.ok || (filter !== null && checked.value.artifactType !== filter)) continue;
    const { artifactType, annotations } = checked.value;
    const size = stored.value.bytes.length;
    manifests.push({ mediaType: stored.value.mediaType, digest, size, artifactType, annotations });
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  return {
    status: 200,
    headers: {
      'content-type': mediaType,
      ...(filter !== null && { 'oci-filters-applied': 'artifactType' }),
    },
    body: JSON.stringify({ schemaVersion: 2, mediaType, manifests }),
  };
}

function json(status: number, value: unknown): ServedResponse {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}
