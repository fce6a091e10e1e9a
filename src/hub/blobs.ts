/** Blobs over HTTP: GET and HEAD with one range, uploads in one piece, in chunks, or mounted. */

import type { Fault } from '#errors/fault.ts';
import type { FileReader } from '#platform/files.ts';
import type { ServedRequest, ServedResponse } from '#platform/listener.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { failure, refusal } from './answers.ts';
import type { Disk } from './disk.ts';
import { isRepository } from './names.ts';
import type { Upload, Uploads } from './uploads.ts';

const CHUNK_BYTES = 256 * 1024;

export interface BlobService {
  serve(repository: string, digest: Digest, request: ServedRequest): ServedResponse;
  begin(
    repository: string,
    query: URLSearchParams,
    request: ServedRequest,
  ): Promise<ServedResponse>;
  goOn(upload: Upload, query: URLSearchParams, request: ServedRequest): Promise<ServedResponse>;
}

export function blobService(disk: Disk, uploads: Uploads): BlobService {
  return {
    serve: (repository, digest, request) => serveBlob(disk, repository, digest, request),
    async begin(repository, query, request) {
      const mounted = mount(disk, repository, query);
      if (mounted) return mounted;
      const upload = uploads.begin(repository);
      if (!upload.ok) return uploadFailure(upload.fault);
      const text = query.get('digest');
      if (text === null) return accepted(upload.value);
      return complete({ disk, uploads, upload: upload.value, text, request });
    },
    async goOn(upload, query, request) {
      switch (request.method) {
        case 'PATCH':
          return patch(uploads, upload, request);
        case 'PUT': {
          const misplaced = misplacedChunk(upload, request);
          if (misplaced) return misplaced;
          const text = query.get('digest') ?? '';
          return complete({ disk, uploads, upload, text, request });
        }
        case 'GET':
          return { ...accepted(upload), status: 204 };
        case 'DELETE':
          uploads.cancel(upload);
          return { status: 204 };
        default:
          return refusal('UNSUPPORTED', `${request.method} is not for uploads`);
      }
    },
  };
}

/** A blob that another repository has. Null: begin an upload. */
function mount(disk: Disk, repository: string, query: URLSearchParams): ServedResponse | null {
  const digest = parseDigest(query.get('mount') ?? '');
  const from = query.get('from') ?? '';
  if (!digest || !isRepository(from) || !disk.hasBlob(from, digest)) return null;
  const mounted = disk.mount(repository, digest);
  return mounted.ok ? created(repository, digest) : failure(mounted.fault);
}

async function patch(
  uploads: Uploads,
  upload: Upload,
  request: ServedRequest,
): Promise<ServedResponse> {
  const misplaced = misplacedChunk(upload, request);
  if (misplaced) return misplaced;
  const appended = await uploads.append(upload, request.body);
  return appended.ok ? accepted(upload) : uploadFailure(appended.fault);
}

/** A chunk that says where it belongs must belong at the end. */
function misplacedChunk(upload: Upload, request: ServedRequest): ServedResponse | null {
  const range = request.headers['content-range'];
  if (range === undefined) return null;
  const match = /^(?:bytes )?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(range);
  if (match && Number(match[1]) === upload.size) return null;
  const message = `the chunk ${range.slice(0, 80)} does not follow ${upload.size} bytes`;
  return { ...refusal('BLOB_UPLOAD_INVALID', message, 416), ...headersOf(upload) };
}

interface Completion {
  readonly disk: Disk;
  readonly uploads: Uploads;
  readonly upload: Upload;
  readonly text: string;
  readonly request: ServedRequest;
}

async function complete({ uploads, upload, text, request }: Completion): Promise<ServedResponse> {
  const digest = parseDigest(text);
  if (!digest) {
    uploads.cancel(upload);
    return refusal('DIGEST_INVALID', 'digest is not sha256: and 64 hexadecimal digits');
  }
  const appended = await uploads.append(upload, request.body);
  if (!appended.ok) return uploadFailure(appended.fault);
  const finished = uploads.finish(upload, digest);
  return finished.ok ? created(upload.repository, digest) : uploadFailure(finished.fault);
}

function uploadFailure(fault: Fault): ServedResponse {
  switch (fault.code) {
    case 'hub.busy':
      return refusal('TOOMANYREQUESTS', fault.message);
    case 'hub.too-large':
      return refusal('SIZE_INVALID', fault.message);
    case 'hub.digest-mismatch':
      return refusal('DIGEST_INVALID', fault.message);
    case 'link.cut':
      return refusal('BLOB_UPLOAD_INVALID', fault.message);
    default:
      return failure(fault);
  }
}

function accepted(upload: Upload): ServedResponse {
  return { status: 202, ...headersOf(upload) };
}

/** Range of nothing is 0-0: the specification has no better one. */
function headersOf({ id, repository, size }: Upload): Pick<ServedResponse, 'headers'> & {
  headers: Record<string, string>;
} {
  return {
    headers: {
      location: `/v2/${repository}/blobs/uploads/${id}`,
      range: `0-${Math.max(0, size - 1)}`,
      'docker-upload-uuid': id,
      'content-type': 'application/json',
    },
  };
}

function created(repository: string, digest: Digest): ServedResponse {
  return {
    status: 201,
    headers: {
      location: `/v2/${repository}/blobs/${digest}`,
      'docker-content-digest': digest,
    },
  };
}

function serveBlob(
  disk: Disk,
  repository: string,
  digest: Digest,
  request: ServedRequest,
): ServedResponse {
  const reader = disk.hasBlob(repository, digest) ? disk.openBlob(digest) : null;
  if (!reader) return refusal('BLOB_UNKNOWN', `${repository} does not have ${digest}`);
  if (!reader.ok) return failure(reader.fault);
  const { size } = reader.value;
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: `"${digest}"`,
    'accept-ranges': 'bytes',
  };
  const end = (response: ServedResponse): ServedResponse => {
    reader.value.close();
    return response;
  };
  if (request.headers['if-none-match'] === headers.etag) return end({ status: 304, headers });
  const range = rangeOf(request.headers.range, size);
  if (range === 'unsatisfiable') {
    return end({ status: 416, headers: { ...headers, 'content-range': `bytes */${size}` } });
  }
  const { from, to } = range ?? { from: 0, to: size - 1 };
  const all = {
    ...headers,
    'content-length': String(to - from + 1),
    ...(range && { 'content-range': `bytes ${from}-${to}/${size}` }),
  };
  const status = range ? 206 : 200;
  if (request.method === 'HEAD') return end({ status, headers: all });
  return { status, headers: all, body: chunksOf(reader.value, from, to + 1) };
}

/**
 * One byte range; null for none, for several, and for what is no range: the whole is served.
 * @see RFC 9110 section 14.2
 */
export function rangeOf(
  header: string | undefined,
  size: number,
): { readonly from: number; readonly to: number } | 'unsatisfiable' | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '');
  const [first, last] = [match?.[1] ?? '', match?.[2] ?? ''];
  if (!match || (first === '' && last === '')) return null;
  if (first === '') {
    const from = Math.max(0, size - Number(last));
    return Number(last) === 0 || size === 0 ? 'unsatisfiable' : { from, to: size - 1 };
  }
  if (last !== '' && Number(last) < Number(first)) return null;
  if (Number(first) >= size) return 'unsatisfiable';
  return { from: Number(first), to: Math.min(size - 1, last === '' ? size : Number(last)) };
}

/** A file that cannot be read to its end breaks the connection: fewer bytes than announced. */
async function* chunksOf(
  reader: FileReader,
  from: number,
  end: number,
): AsyncGenerator<Uint8Array> {
  try {
    for (let at = from; at < end; ) {
      const chunk = reader.read(at, Math.min(CHUNK_BYTES, end - at));
      if (!chunk.ok || chunk.value.length === 0) return;
      yield chunk.value;
      at += chunk.value.length;
    }
  } finally {
    reader.close();
  }
}
