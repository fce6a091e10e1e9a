/**
 * Where published artifacts lie: an image layout, an archive of one, a repository. A shelf hands out
 * bytes whose digests it has checked; what they say is judged by head.ts.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import type { Directory, Files } from '#platform/files.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { type OciDescriptor, readIndex } from '#wire/oci.ts';
import { openArchive } from './archive.ts';
import { type Content, readerChunks } from './content.ts';
import type { LayoutFiles } from './layout-files.ts';

export interface Shelf {
  /** for messages */
  readonly name: string;
  /** manifests worth a look: the one that the reference names, or all of a layout */
  manifests(): Promise<Result<readonly ShelfManifest[]>>;
  /** All bytes, at most `cap`, checked. */
  read(
    blob: Pick<OciDescriptor, 'digest' | 'size' | 'data'>,
    cap: number,
  ): Promise<Result<Uint8Array>>;
  /** Null: only `read` works here (a repository); the artifact must be copied to be sent on. */
  content(blob: Pick<OciDescriptor, 'digest' | 'size'>): Result<Content> | null;
}

export interface ShelfManifest {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** `oci:DIRECTORY` or `oci-archive:FILE`, as skopeo names them; the path is absolute. */
export function openBundle(files: Files, text: string): Result<Shelf> {
  const kind = text.startsWith('oci-archive:')
    ? 'archive'
    : text.startsWith('oci:')
      ? 'layout'
      : null;
  const path = text.slice(text.indexOf(':') + 1);
  if (kind === null || !path.startsWith('/')) {
    return refuse('publish.bundle', { bundle: text, reason: 'it is no bundle’s name' });
  }
  const absolute = files.realPath(path);
  if (!absolute.ok) return absolute;
  return kind === 'layout'
    ? openLayout(files, absolute.value)
    : archiveShelf(files, absolute.value);
}

/** @param directory  absolute */
export function openLayout(files: Files, directory: string): Result<Shelf> {
  const folder = files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  folder.value.close();
  return ok(layoutShelf(`oci:${directory}`, directoryFiles(files, directory)));
}

function archiveShelf(files: Files, path: string): Result<Shelf> {
  const archive = openArchive(files, path);
  return archive.ok ? ok(layoutShelf(`oci-archive:${path}`, archive.value)) : archive;
}

/** @param reference  a tag or a digest; null bytes there: an empty list */
export function registryShelf(registry: Registry, reference: string): Shelf {
  return {
    name: `${registry.name}:${reference}`,
    async manifests() {
      const fetched = await registry.getManifest(reference);
      if (!fetched.ok) return fetched;
      return ok(fetched.value ? [fetched.value] : []);
    },
    async read({ digest, size, data }, cap) {
      if (size > cap) return refuse('publish.too-large', { what: digest, size, most: cap });
      if (data) return ok(data);
      const parts: Uint8Array[] = [];
      for await (const chunk of registry.blob(digest, 0, size)) {
        if (chunk.kind === 'failed') return { ok: false, fault: chunk.fault };
        if (chunk.kind === 'bytes') parts.push(chunk.bytes);
      }
      return checked(digest, new Uint8Array(Buffer.concat(parts)), registry.name);
    },
    content: () => null,
  };
}

function layoutShelf(name: string, layout: LayoutFiles): Shelf {
  return {
    name,
    manifests: () => Promise.resolve(readManifests(name, layout)),
    read({ digest, size, data }, cap) {
      if (size > cap) {
        return Promise.resolve(refuse('publish.too-large', { what: digest, size, most: cap }));
      }
      return Promise.resolve(data ? ok(data) : readBlob(name, layout, digest, size));
    },
    content: ({ digest, size }) =>
      ok({ digest, size, chunks: () => layout.chunks(blobPath(digest), size) }),
  };
}

function readManifests(name: string, layout: LayoutFiles): Result<readonly ShelfManifest[]> {
  const bytes = layout.read('index.json', LIMITS.indexBytes);
  if (!bytes.ok) return bytes;
  const index = readIndex(bytes.value);
  if (!index.ok) return index;
  if (index.value.length > LIMITS.layoutManifestsMax) {
    const reason = `it lists ${index.value.length} manifests, more than ${LIMITS.layoutManifestsMax}`;
    return refuse('publish.bundle', { bundle: name, reason });
  }
  const manifests: ShelfManifest[] = [];
  for (const { digest, size } of index.value) {
    if (size > LIMITS.manifestBytes) continue; // another tool's: no state has such a manifest
    const manifest = readBlob(name, layout, digest, size);
    if (!manifest.ok) return manifest;
    manifests.push({ digest, bytes: manifest.value });
  }
  return ok(manifests);
}

function readBlob(
  name: string,
  layout: LayoutFiles,
  digest: Digest,
  size: number,
): Result<Uint8Array> {
  const bytes = layout.read(blobPath(digest), size);
  return bytes.ok ? checked(digest, bytes.value, name) : bytes;
}

// Check 4
function checked(wanted: Digest, bytes: Uint8Array, source: string): Result<Uint8Array> {
  const got = sha256(bytes);
  if (got === wanted) return ok(bytes);
  return refuse('source.digest-mismatch', { what: `a blob of ${source}`, wanted, got });
}

function blobPath(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}

/** A directory's files by relative path; the path is made here from checked digests only. */
function directoryFiles(files: Files, directory: string): LayoutFiles {
  const folderOf = (path: string): Result<{ folder: Directory; name: string }> => {
    const at = path.lastIndexOf('/');
    const folder = files.open(at < 0 ? directory : `${directory}/${path.slice(0, at)}`, {
      follow: true,
    });
    return folder.ok ? ok({ folder: folder.value, name: path.slice(at + 1) }) : folder;
  };
  return {
    read(path, cap) {
      const place = folderOf(path);
      if (!place.ok) return place;
      const bytes = place.value.folder.read(place.value.name, cap);
      place.value.folder.close();
      return bytes;
    },
    *chunks(path, size) {
      const place = folderOf(path);
      if (!place.ok) return yield place;
      const reader = place.value.folder.openFile(place.value.name);
      place.value.folder.close();
      if (!reader.ok) return yield reader;
      yield* readerChunks(reader.value, 0, size);
    },
  };
}
