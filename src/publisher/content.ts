/** Bytes to be published: small ones in memory, files read where they lie, in bounded pieces. */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { FileReader, Files } from '#platform/files.ts';
import { type Digest, sha256, sha256Hasher } from '#state/digest.ts';
import { splitLast } from './place.ts';

export interface Content {
  readonly digest: Digest;
  readonly size: number;
  /** From the first byte on, as often as asked; ends with a fault when a file has changed. */
  chunks(): Iterable<Result<Uint8Array>>;
}

const CHUNK_BYTES = 1024 * 1024;

export function bytesContent(bytes: Uint8Array): Content {
  return { digest: sha256(bytes), size: bytes.length, chunks: () => [ok(bytes)] };
}

/** Hashes the file once; each later reading must give the same bytes. */
export function fileContent(files: Files, path: string): Result<Content> {
  const hasher = sha256Hasher();
  let size = 0;
  for (const chunk of fileChunks(files, path)) {
    if (!chunk.ok) return chunk;
    hasher.update(chunk.value);
    size += chunk.value.length;
  }
  const digest = hasher.digest();
  return ok({ digest, size, chunks: () => unchanged(fileChunks(files, path), path, digest) });
}

function* fileChunks(files: Files, path: string): Iterable<Result<Uint8Array>> {
  const { directory, name } = splitLast(path);
  const folder = files.open(directory, { follow: true });
  if (!folder.ok) return yield folder;
  const reader = folder.value.openFile(name);
  folder.value.close();
  if (!reader.ok) return yield reader;
  yield* readerChunks(reader.value, 0, reader.value.size);
}

/** `size` bytes from `offset`; closes the reader. */
export function* readerChunks(
  reader: FileReader,
  offset: number,
  size: number,
): Iterable<Result<Uint8Array>> {
  try {
    for (let at = 0; at < size; ) {
      const chunk = reader.read(offset + at, Math.min(CHUNK_BYTES, size - at));
      if (!chunk.ok || chunk.value.length === 0) return yield chunk;
      at += chunk.value.length;
      yield chunk;
    }
  } finally {
    reader.close();
  }
}

function* unchanged(
  chunks: Iterable<Result<Uint8Array>>,
  path: string,
  digest: Digest,
): Iterable<Result<Uint8Array>> {
  const hasher = sha256Hasher();
  for (const chunk of chunks) {
    if (chunk.ok) hasher.update(chunk.value);
    yield chunk;
    if (!chunk.ok) return;
  }
  if (hasher.digest() !== digest) yield refuse('publish.changed-meanwhile', { path });
}

/** All of it, for content that is known to be small. */
export function wholeContent(
  chunks: Iterable<Result<Uint8Array>>,
  cap: number,
  what: string,
): Result<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (const chunk of chunks) {
    if (!chunk.ok) return refused(chunk.fault);
    size += chunk.value.length;
    if (size > cap) return refuse('publish.too-large', { what, size, most: cap });
    parts.push(chunk.value);
  }
  return ok(new Uint8Array(Buffer.concat(parts)));
}
