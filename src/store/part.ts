/**
 * A download under way, as a file that survives a restart. Its bytes are hashed as they are
 * written; those found on disk are hashed again before anything is added, so `adopt` judges every
 * byte that was ever written (check 16). The file's name says which digest it wants to become.
 */
import { type Fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Directory, FileWriter } from '#platform/files.ts';
import { type Digest, type Hasher, sha256Hasher } from '#state/digest.ts';

export interface Part {
  readonly digest: Digest;
  /** bytes so far: the offset to go on from */
  readonly size: number;
  write(bytes: Uint8Array): Result<void>;
  /** Throws away what there is: the source starts from the first byte. */
  restart(): Result<void>;
  /**
   * The download is complete: digest and size match, then fsync and the blob's name (durable
   * after `ContentStore.sync`). `store.blob-mismatch` throws the part away. Closes it either way.
   */
  adopt(size: number): Result<void>;
  /** Keeps the bytes for later. */
  close(): void;
  /** Closes and removes it. */
  discard(): Result<void>;
}

export interface PartNames {
  readonly directory: Directory;
  readonly digest: Digest;
  readonly part: string;
  readonly blob: string;
}

const FILE_MODE = 0o600;
const CHUNK_BYTES = 256 * 1024;

export function openPart(names: PartNames): Result<Part> {
  const { directory, digest } = names;
  const begun = begin(names);
  if (!begun.ok) return begun;
  let { writer, hasher } = begun.value;
  // After a failed write the file may hold part of it: only its bytes on disk say what is there.
  let broken: Fault | null = null;

  const discard = (): Result<void> => {
    writer.close();
    return unlinkIfThere(directory, names.part);
  };

  return ok({
    digest,
    get size() {
      return writer.size;
    },
    write(bytes) {
      if (broken) return refused(broken);
      const written = writer.write(bytes);
      if (written.ok) hasher.update(bytes);
      else broken = written.fault;
      return written;
    },
    restart() {
      const discarded = discard();
      if (!discarded.ok) return discarded;
      const again = begin(names);
      if (!again.ok) return again;
      ({ writer, hasher } = again.value);
      broken = null;
      return ok();
    },
    adopt(size) {
      if (broken) {
        writer.close();
        return refused(broken);
      }
      const found = hasher.digest();
      if (found !== digest || writer.size !== size) {
        const mismatch = { digest, found, size: writer.size, wanted: size };
        discard();
        return refuse('store.blob-mismatch', mismatch);
      }
      const synced = writer.sync();
      writer.close();
      return synced.ok ? directory.rename(names.part, names.blob) : synced;
    },
    close: () => writer.close(),
    discard,
  });
}

/** The writer at the end of what is on disk, and a hasher that has seen it. */
function begin({ directory, part }: PartNames): Result<{ writer: FileWriter; hasher: Hasher }> {
  const writer = directory.append(part, FILE_MODE);
  if (!writer.ok) return writer;
  const hasher = sha256Hasher();
  if (writer.value.size === 0) return ok({ writer: writer.value, hasher });
  const hashed = hashFile(directory, part, hasher);
  if (hashed.ok && hashed.value === writer.value.size) return ok({ writer: writer.value, hasher });
  // Unreadable or changing under us: the bytes are worth nothing.
  writer.value.close();
  if (!hashed.ok && hashed.fault.code !== 'platform.io') return hashed;
  const removed = unlinkIfThere(directory, part);
  if (!removed.ok) return removed;
  const fresh = directory.append(part, FILE_MODE);
  return fresh.ok ? ok({ writer: fresh.value, hasher: sha256Hasher() }) : fresh;
}

/** @returns bytes hashed */
function hashFile(directory: Directory, name: string, hasher: Hasher): Result<number> {
  const reader = directory.openFile(name);
  if (!reader.ok) return reader;
  let offset = 0;
  for (;;) {
    const chunk = reader.value.read(offset, CHUNK_BYTES);
    if (!chunk.ok || chunk.value.length === 0) {
      reader.value.close();
      return chunk.ok ? ok(offset) : chunk;
    }
    hasher.update(chunk.value);
    offset += chunk.value.length;
  }
}

export function unlinkIfThere(directory: Directory, name: string): Result<void> {
  const removed = directory.unlink(name);
  return !removed.ok && removed.fault.code === 'platform.missing' ? ok() : removed;
}
