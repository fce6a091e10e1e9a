/**
 * Files out of the content store: read as verified streams, staged beside their target, compared
 * with what stands there. Invariants: bytes that do not hash to the digest of the signed statement
 * never stay under a name that could be activated; the blob in the store is only ever read.
 * Trees are in unpack.ts, generations of trees in generations.ts.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory, Entry, FileReader, FileWriter } from '#platform/files.ts';
import { type Digest, sha256Hasher } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import type { ContentStore } from '#store/content.ts';

/** What staging needs of the content store. */
export type Blobs = Pick<ContentStore, 'openBlob' | 'dropBlob'>;

/** Resolved on this device. */
export interface Ownership {
  readonly uid: number;
  readonly gid: number;
}

/** A regular file as it has to stand at its target. */
export interface WantedFile {
  readonly blob: GenerationBlob;
  readonly mode: number;
  /** null: whoever the agent runs as */
  readonly owner: Ownership | null;
}

/** bytes of one read */
const CHUNK = 256 * 1024;
/** bytes of work after which the loop gets a turn: a large tree must not starve keepalives */
const PACE = 4 * 1024 * 1024;

/** Counts work, and gives way when there was enough of it. */
export interface Pace {
  /** whether it is time to give way */
  spent(bytes: number): boolean;
  breathe(): Promise<void>;
}

export function pace(clock: Clock): Pace {
  let since = 0;
  return {
    spent(bytes) {
      since += bytes;
      return since >= PACE;
    },
    breathe() {
      since = 0;
      // A sleep of 0 resolves without a turn of the loop.
      return clock.sleep(1);
    },
  };
}

export interface StageTools {
  readonly blobs: Blobs;
  readonly spend: Pace;
}

/**
 * The bytes of a blob, hashed while they pass (check 18). The last item is `store.blob-damaged`
 * when they are not the signed ones: whatever was made of them has to be thrown away.
 */
export function* pristine(
  blobs: Blobs,
  blob: Pick<GenerationBlob, 'digest' | 'size'>,
): Iterable<Result<Uint8Array>> {
  const opened = blobs.openBlob(blob.digest);
  if (!opened.ok) {
    yield opened;
    return;
  }
  const hasher = sha256Hasher();
  try {
    let offset = 0;
    while (offset < blob.size) {
      const chunk = opened.value.read(offset, Math.min(CHUNK, blob.size - offset));
      if (!chunk.ok) {
        yield chunk;
        return;
      }
      if (chunk.value.length === 0) break;
      offset += chunk.value.length;
      hasher.update(chunk.value);
      yield chunk;
    }
    const found = hasher.digest();
    if (found !== blob.digest || opened.value.size !== blob.size) {
      // Dropped, so that the next try fetches it again.
      blobs.dropBlob(blob.digest);
      yield refuse('store.blob-damaged', { digest: blob.digest, found });
    }
  } finally {
    opened.value.close();
  }
}

/**
 * Writes the wanted file under `name`, with owner and mode, fsynced. The name must be free. Nothing
 * stays when it fails. One fsync; the directory's is the caller's.
 */
export async function stageFile(
  tools: StageTools,
  into: Directory,
  name: string,
  want: WantedFile,
): Promise<Result<void>> {
  const writer = into.create(name, 0o600);
  if (!writer.ok) return writer;
  const done = await fill(tools, writer.value, want);
  writer.value.close();
  if (!done.ok) into.unlink(name);
  return done;
}

async function fill(
  { blobs, spend }: StageTools,
  writer: FileWriter,
  want: WantedFile,
): Promise<Result<void>> {
  for (const chunk of pristine(blobs, want.blob)) {
    const wrote = chunk.ok ? writer.write(chunk.value) : chunk;
    if (!wrote.ok) return wrote;
    if (spend.spent(chunk.ok ? chunk.value.length : 0)) await spend.breathe();
  }
  return sealed(writer, want.mode, want.owner);
}

/** Owner first: changing it would clear bits of the mode. */
export function sealed(writer: FileWriter, mode: number, owner: Ownership | null): Result<void> {
  const owned = owner ? writer.chown(owner.uid, owner.gid) : ok(undefined);
  if (!owned.ok) return owned;
  const moded = writer.chmod(mode & 0o777);
  return moded.ok ? writer.sync() : moded;
}

/** Hash of a regular file, at most `size` bytes of it; null when it has another size. */
export async function hashOf(
  directory: Directory,
  name: string,
  size: number,
  spend: Pace,
): Promise<Result<Digest | null>> {
  const opened = directory.openFile(name);
  if (!opened.ok) return opened;
  const reader = opened.value;
  try {
    return reader.size === size ? await hashed(reader, spend) : ok(null);
  } finally {
    reader.close();
  }
}

async function hashed(reader: FileReader, spend: Pace): Promise<Result<Digest>> {
  const hasher = sha256Hasher();
  for (let offset = 0; offset < reader.size; ) {
    const chunk = reader.read(offset, Math.min(CHUNK, reader.size - offset));
    if (!chunk.ok) return chunk;
    if (chunk.value.length === 0) break;
    offset += chunk.value.length;
    hasher.update(chunk.value);
    if (spend.spent(chunk.value.length)) await spend.breathe();
  }
  return ok(hasher.digest());
}

/**
 * What of an entry is not as wanted, for people; null when its stat says nothing against it. Bytes
 * are the caller's: `hashOf`.
 */
export function statDiffers(entry: Entry, want: WantedFile, self: { uid: number }): string | null {
  if (entry.kind !== 'file') return `a ${entry.kind} stands there`;
  if (entry.size !== want.blob.size) return `${entry.size} bytes instead of ${want.blob.size}`;
  if (entry.mode !== (want.mode & 0o777)) {
    return `mode ${octal(entry.mode)} instead of ${octal(want.mode & 0o777)}`;
  }
  return ownerDiffers(entry, want.owner, self);
}

export function ownerDiffers(
  entry: Entry,
  owner: Ownership | null,
  self: { uid: number },
): string | null {
  const uid = owner?.uid ?? self.uid;
  if (entry.uid !== uid) return `owner ${entry.uid} instead of ${uid}`;
  if (owner && entry.gid !== owner.gid) return `group ${entry.gid} instead of ${owner.gid}`;
  return null;
}

export function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

/** Changes whenever anything wrote to the entry or replaced it, as far as stat can tell. */
export function fingerprint(entry: Entry): string {
  const { device, inode, size, mtimeNs, ctimeNs, mode, uid, gid } = entry;
  return `${device}:${inode}:${size}:${mtimeNs}:${ctimeNs}:${mode}:${uid}:${gid}`;
}

/**
 * A write within the clock tick of the last change may leave the same stat: an entry changed so
 * lately is not remembered, the next look hashes it again.
 */
export function settled(entry: Entry, clock: Clock): boolean {
  return Math.abs(clock.wallMs() - Number(entry.ctimeNs / 1_000_000n)) > SETTLE_MS;
}

const SETTLE_MS = 40;
