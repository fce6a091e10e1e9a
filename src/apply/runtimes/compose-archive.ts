/**
 * Archives of images among the blobs of a deployment: OCI layouts in a tar (skopeo, `podman save
 * --format oci-archive`, Docker 25 and later) and Docker's own form. Found by digest, or by the name that
 * the archive gives: the archive is signed, so its names are. Only headers are read to open one.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { FileReader } from '#platform/files.ts';
import type { ImageName } from '#state/compose.ts';
import { type Digest, hexOf, parseDigest, sha256 } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import type { ContentStore } from '#store/content.ts';
import { forPlatform, type ImageIndex, readImageManifest } from '#wire/image-manifest.ts';
import { imageText, readImageName } from '#wire/image-name.ts';
import { indexTar, type TarIndex } from '#wire/tar-index.ts';
import type { ImageParts, Part } from './compose-images.ts';

export interface Archive {
  readonly reader: FileReader;
  readonly index: TarIndex;
  /** for messages */
  readonly name: string;
}

const NAMES = { names: /^(?:[A-Za-z0-9._-]+\/)*[A-Za-z0-9._-]+$/, passLinks: true };
const CHUNK = 256 * 1024;

export function openArchive(
  content: Pick<ContentStore, 'openBlob'>,
  name: string,
  { digest }: GenerationBlob,
): Result<Archive> {
  const reader = content.openBlob(digest);
  if (!reader.ok) return reader;
  const bad = (reason: string) => refuse('package.format', { name, reason });
  const index = indexTar(reader.value, bad, NAMES);
  if (index.ok) return ok({ reader: reader.value, index: index.value, name });
  reader.value.close();
  return index;
}

/** Null: it is not in there. */
export function imageIn(
  archive: Archive,
  wanted: ImageName,
  architecture: string,
): Result<ImageParts | null> {
  if (archive.index.has('index.json')) return inLayout(archive, wanted, architecture);
  return archive.index.has('manifest.json') ? inDocker(archive, wanted) : ok(null);
}

function inLayout(
  archive: Archive,
  wanted: ImageName,
  architecture: string,
): Result<ImageParts | null> {
  const index = manifestAt(archive, 'index.json', null);
  if (!index.ok) return index;
  if (index.value.kind !== 'index') return ok(null);
  const byDigest = wanted.digest && archive.index.has(place(wanted.digest as Digest));
  const digest = byDigest ? (wanted.digest as Digest) : named(index.value, wanted);
  return digest === null ? ok(null) : imageAt(archive, digest, architecture);
}

function named({ manifests }: ImageIndex, wanted: ImageName): Digest | null {
  const found = manifests.find(({ digest, name }) => {
    if (wanted.digest !== null) return digest === wanted.digest;
    const read = readImageName(name);
    return read !== null && imageText(read) === imageText(wanted);
  });
  return found?.digest ?? null;
}

function imageAt(
  archive: Archive,
  digest: Digest,
  architecture: string,
  depth = 0,
): Result<ImageParts | null> {
  const manifest = manifestAt(archive, place(digest), digest);
  if (!manifest.ok) return manifest;
  if (manifest.value.kind === 'index') {
    const fitting = forPlatform(manifest.value, architecture);
    if (fitting === null || depth > 0) return ok(null);
    return imageAt(archive, fitting.digest, architecture, depth + 1);
  }
  const { config, layers } = manifest.value;
  const parts = [config, ...layers].map((part) => partAt(archive, place(part.digest)));
  const [first, ...rest] = parts.flatMap((part) => part ?? []);
  if (!first || rest.length !== layers.length) {
    const reason = 'a layer of the image is not in the archive';
    return refuse('package.format', { name: archive.name, reason });
  }
  return ok({ id: config.digest, config: first, layers: rest });
}

function place(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

function manifestAt(archive: Archive, path: string, digest: Digest | null) {
  const bytes = bytesAt(archive, path);
  if (!bytes.ok) return bytes;
  // Check 4
  if (digest !== null && sha256(bytes.value) !== digest) {
    const what = `${path} in ${archive.name}`;
    return refuse('source.digest-mismatch', { what, wanted: digest, got: sha256(bytes.value) });
  }
  return readImageManifest(bytes.value, archive.name);
}

function bytesAt({ index, reader, name }: Archive, path: string): Result<Uint8Array> {
  const entry = index.get(path);
  const bad = (reason: string) => refuse('package.format', { name, reason });
  if (!entry) return bad(`${path} is not in the archive`);
  if (entry.size > LIMITS.manifestBytes) return bad(`${path} is too long`);
  return reader.read(entry.offset, entry.size);
}

function partAt({ index, reader }: Archive, path: string): Part | null {
  const entry = index.get(path);
  if (!entry) return null;
  const { offset, size } = entry;
  return {
    name: path.replace(/^blobs\/sha256\//, '').replace(/[^A-Za-z0-9._-]/g, '_'),
    size,
    *chunks() {
      for (let at = 0; at < size; at += CHUNK) {
        yield reader.read(offset + at, Math.min(CHUNK, size - at));
      }
    },
  };
}

/** Its configuration is named by its digest, which is checked; the engine checks the layers by it. */
function inDocker(archive: Archive, wanted: ImageName): Result<ImageParts | null> {
  const bytes = bytesAt(archive, 'manifest.json');
  if (!bytes.ok) return bytes;
  const images = entriesOf(Buffer.from(bytes.value).toString('utf8'));
  const found = images.find(({ tags }) =>
    tags.some((tag) => {
      const read = readImageName(tag);
      return wanted.digest === null && read !== null && imageText(read) === imageText(wanted);
    }),
  );
  if (!found) return ok(null);
  const config = bytesAt(archive, found.config);
  if (!config.ok) return config;
  const id = sha256(config.value);
  const parts = [found.config, ...found.layers].map((path) => partAt(archive, path));
  const [first, ...rest] = parts.flatMap((part) => part ?? []);
  const says = parseDigest(`sha256:${found.config.replace(/\.json$/, '').replace(/^.*\//, '')}`);
  if (!first || rest.length !== found.layers.length || (says !== null && says !== id)) {
    const reason = 'the image in it is not whole';
    return refuse('package.format', { name: archive.name, reason });
  }
  return ok({ id, config: { ...first, name: `${hexOf(id)}.json` }, layers: rest });
}

interface DockerEntry {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

function entriesOf(text: string): readonly DockerEntry[] {
  const texts = (value: unknown) =>
    Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
  try {
    const read: unknown = JSON.parse(text);
    if (!Array.isArray(read)) return [];
    return (read as readonly Readonly<Record<string, unknown>>[]).map((each) => ({
      config: String(each?.Config ?? ''),
      tags: texts(each?.RepoTags),
      layers: texts(each?.Layers),
    }));
  } catch {
    return [];
  }
}
