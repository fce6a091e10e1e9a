/**
 * An OCI image layout: a directory, or one in a tar (what `skopeo copy … oci-archive:` writes). It
 * comes on a stick from anyone, so nothing in it is followed, and everything but index.json is
 * checked by its digest. Which channel a manifest is for is said by the signed statement alone, so
 * `heads` offers every manifest of ours; the name in the index only decides which comes first.
 * @see OCI image-spec 1.1, "Image Layout"
 */
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { type OciDescriptor, readIndex } from '#wire/oci.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import { type HeadOptions, readArtifact, readHead } from './artifact.ts';
import { type LayoutFiles, openLayout } from './layout-files.ts';
import { readSmallBlob } from './read-blob.ts';
import type { BlobPart, Head, Source } from './source.ts';
import { readTime } from './time-statements.ts';

export interface LayoutSource extends Source {
  /**
   * Each manifest of ours, one after the other; with a fault where one cannot be read. At most
   * LIMITS.layoutManifestsMax; lazily, so that one head is in memory at a time.
   */
  heads(signal: AbortSignal): AsyncIterable<Result<Head>>;
  /** The time statements beside them; what cannot be read is passed over. */
  times(signal: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface LayoutOptions extends HeadOptions {
  /** whose manifest comes first, by the name that its publisher gave it in the index */
  readonly channel?: string;
}

type Reader = Pick<Files, 'open' | 'realPath'>;
const REF_NAME = 'org.opencontainers.image.ref.name';
const CHUNK_BYTES = 256 * 1024;
const LAYOUT_FILE_BYTES = 4 * 1024;

/** @param path  of the directory or tar, named by the owner: links in it are followed */
export function ociLayout(files: Reader, path: string, options: LayoutOptions = {}): LayoutSource {
  const blob: Source['blob'] = (digest, offset, cap, signal) =>
    readLayoutBlob({ files, path, signal }, digest, offset, cap);
  const headOf = (entry: OciDescriptor, signal: AbortSignal): Promise<Result<Head | null>> =>
    readEntry({ files, path, signal }, blob, entry, options);
  return {
    name: path,
    via: 'bundle',
    // Reading the index is no cheaper than reading the head.
    peek: async () => ok(null),
    head: async (wanted, signal) => {
      const entries = readEntries(files, path, options.channel);
      if (!entries.ok) return entries;
      const named = entries.value.filter(({ digest }) => wanted === null || digest === wanted);
      let first: Result<null> = ok(null);
      for (const entry of named) {
        const head = await headOf(entry, signal);
        if (head.ok && head.value !== null) return head;
        if (!head.ok && first.ok) first = head;
      }
      return first;
    },
    heads: async function* (signal) {
      const entries = readEntries(files, path, options.channel);
      if (!entries.ok) return yield entries;
      for (const entry of entries.value) {
        const head = await headOf(entry, signal);
        if (!head.ok) yield head;
        else if (head.value !== null) yield ok(head.value);
      }
    },
    times: async function* (signal) {
      const entries = readEntries(files, path, undefined);
      for (const entry of entries.ok ? entries.value : []) {
        const manifest = await readManifestOf({ files, path, signal }, blob, entry);
        if (!manifest.ok) continue;
        const time = await readTime(manifest.value, path, (layer, name) =>
          readSmallBlob(blob, { ...layer, what: name }, signal),
        );
        if (time.ok && time.value) yield time.value;
      }
    },
    blob,
  };
}

interface Reading {
  readonly files: Reader;
  readonly path: string;
  readonly signal: AbortSignal;
}

/** The manifests of index.json, that of the channel first. */
function readEntries(
  files: Reader,
  path: string,
  channel: string | undefined,
): Result<readonly OciDescriptor[]> {
  const layout = openLayout(files, path);
  if (!layout.ok) return layout;
  const index = readLayoutIndex(layout.value, path);
  layout.value.close();
  if (!index.ok) return index;
  const entries = index.value.filter(({ mediaType }) => mediaType === MEDIA.ociManifest);
  if (entries.length > LIMITS.layoutManifestsMax) {
    const reason = `${entries.length} manifests; at most ${LIMITS.layoutManifestsMax}`;
    return refuse('source.layout', { path, reason });
  }
  const isNamed = ({ annotations }: OciDescriptor): boolean =>
    channel !== undefined && annotations[REF_NAME] === channel;
  return ok(entries.toSorted((a, b) => Number(isNamed(b)) - Number(isNamed(a))));
}

function readLayoutIndex(layout: LayoutFiles, path: string): Result<readonly OciDescriptor[]> {
  const marker = layout.read('oci-layout', LAYOUT_FILE_BYTES);
  if (!marker.ok) return marker;
  const version = readStrictJson(marker.value, 'oci-layout');
  if (!version.ok) return version;
  if (!isJsonObject(version.value) || version.value.imageLayoutVersion !== '1.0.0') {
    return refuse('source.layout', { path, reason: 'its imageLayoutVersion is not 1.0.0' });
  }
  const index = layout.read('index.json', LIMITS.indexBytes);
  return index.ok ? readIndex(index.value) : index;
}

/** Skopeo drops artifactType from the index: the manifest itself says what it is. */
async function readManifestOf(
  { path, signal }: Reading,
  blob: Source['blob'],
  entry: OciDescriptor,
): Promise<Result<Uint8Array>> {
  const what = `manifest ${entry.digest} of ${path}`;
  if (entry.size > LIMITS.manifestBytes) {
    return refuse('source.too-large', { what, cap: LIMITS.manifestBytes });
  }
  return entry.data === null ? readSmallBlob(blob, { ...entry, what }, signal) : ok(entry.data);
}

/** Null when the manifest is not one of ours. */
async function readEntry(
  reading: Reading,
  blob: Source['blob'],
  entry: OciDescriptor,
  options: HeadOptions,
): Promise<Result<Head | null>> {
  const { path, signal } = reading;
  const bytes = await readManifestOf(reading, blob, entry);
  if (!bytes.ok) return bytes;
  const artifact = readArtifact(bytes.value, `manifest ${entry.digest} of ${path}`);
  if (!artifact.ok) return artifact.fault.code === 'source.media-type' ? ok(null) : artifact;
  return readHead(
    artifact.value,
    sha256(bytes.value),
    (layer, name) => readSmallBlob(blob, { ...layer, what: `${name} in ${path}` }, signal),
    options,
  );
}

async function* readLayoutBlob(
  { files, path, signal }: Reading,
  digest: Digest,
  offset: number,
  cap: number,
): AsyncGenerator<BlobPart> {
  const what = `blob ${digest}`;
  const layout = openLayout(files, path);
  if (!layout.ok) return yield { kind: 'failed', fault: layout.fault };
  try {
    const blob = layout.value.open(digest);
    if (!blob.ok) return yield { kind: 'failed', fault: missing(blob.fault, what, path) };
    // Check 2: a file has a size before it has bytes; a growing one is counted below.
    const fits = blob.value.size <= cap;
    for (let at = offset; fits && at < cap; ) {
      if (signal.aborted) return yield { kind: 'failed', fault: stopped(path) };
      const chunk = blob.value.read(at, Math.min(CHUNK_BYTES, cap - at));
      if (!chunk.ok) return yield { kind: 'failed', fault: chunk.fault };
      if (chunk.value.length === 0) break;
      at += chunk.value.length;
      yield { kind: 'bytes', bytes: chunk.value };
    }
    blob.value.close();
    if (!fits) yield { kind: 'failed', fault: fault('source.too-large', { what, cap }) };
  } finally {
    layout.value.close();
  }
}

function missing(from: Fault, what: string, source: string): Fault {
  return from.code === 'platform.missing' ? fault('source.missing', { what, source }) : from;
}

function stopped(path: string): Fault {
  return fault('link.cut', { peer: path, reason: 'the reading was stopped' });
}
