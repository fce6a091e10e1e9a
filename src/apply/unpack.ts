/**
 * Trees out of blobs: the entries of one, and all of them written into a fresh directory. A tree
 * comes from the pristine blob every time (check 18): the archive is both what is unpacked and what
 * tree-differs.ts compares with, so no list of hashes lies beside the tree to be edited.
 * Rules for entries (no links, devices, setuid, odd names) and caps are wire/tar.ts (check 17).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, FileWriter } from '#platform/files.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import { readTar, type TarItem } from '#wire/tar.ts';
import { type Ownership, pristine, type StageTools, sealed } from './stage.ts';
import { type TreeCursor, treeCursor } from './tree-cursor.ts';

/** Where a tree's entries come from: an archive, or one file that becomes a tree of one. */
export interface TreeSource {
  readonly blob: GenerationBlob;
  /** of the one file; unused for archives */
  readonly fileName: string;
  readonly owner: Ownership | null;
}

export interface TreeTools extends StageTools {
  readonly inflate: Inflate;
  /** uid of the agent */
  readonly self: { readonly uid: number };
}

export const PLAIN_DIRECTORY = 0o755;
const PROGRAM = 0o755;
/** while it is being written, nobody else looks in */
const STAGING = 0o700;
/** bytes that headers, padding and long names of one entry may add to an archive */
export const ENTRY_OVERHEAD = 4_096;
const RATIO_FREE = 1024 * 1024;

/** Writes all entries below `into`, fsynced with every directory. `into` itself keeps its mode. */
export async function unpack(
  tools: TreeTools,
  source: TreeSource,
  into: Directory,
): Promise<Result<void>> {
  const cursor = treeCursor(into);
  const modes = new Map<string, DirectoryMode>();
  let file: FileWriter | null = null;
  let mode = 0;
  const finish = (): Result<void> => {
    const done = file ? sealed(file, mode, source.owner) : ok(undefined);
    file?.close();
    file = null;
    return done;
  };
  try {
    for (const item of treeItems(tools, source)) {
      if (!item.ok) return item;
      const entry = item.value;
      if (entry.kind === 'data') {
        const wrote: Result<void> = file ? (file as FileWriter).write(entry.bytes) : ok(undefined);
        if (!wrote.ok) return wrote;
      } else {
        const begun = finish();
        if (!begun.ok) return begun;
        const opened = begin(cursor, modes, entry);
        if (!opened.ok) return opened;
        file = opened.value;
        mode = entry.mode;
      }
      if (tools.spend.spent(entry.kind === 'data' ? entry.bytes.length : ENTRY_OVERHEAD))
        await tools.spend.breathe();
    }
    const ended = finish();
    return ended.ok ? sealDirectories(cursor, modes, source.owner) : ended;
  } finally {
    (file as FileWriter | null)?.close();
    cursor.close();
  }
}

interface DirectoryMode {
  readonly path: readonly string[];
  readonly mode: number;
}

/** Directories get their modes last: one without the owner's w would bar its own content. */
function begin(
  cursor: TreeCursor,
  modes: Map<string, DirectoryMode>,
  entry: Exclude<TarItem, { kind: 'data' }>,
): Result<FileWriter | null> {
  const parents = entry.kind === 'directory' ? entry.path : entry.path.slice(0, -1);
  for (let depth = 1; depth <= parents.length; depth += 1) {
    const path = parents.slice(0, depth);
    const key = path.join('/');
    if (!modes.has(key)) modes.set(key, { path, mode: PLAIN_DIRECTORY });
  }
  if (entry.kind === 'directory') {
    modes.set(parents.join('/'), { path: parents, mode: entry.mode & 0o777 });
  }
  const directory = cursor.at(parents, STAGING);
  if (!directory.ok) return directory;
  if (entry.kind === 'directory') return ok(null);
  return directory.value.create(entry.path.at(-1) ?? '', 0o600);
}

/** Deepest first, so that every parent's sync comes after what it holds. */
function sealDirectories(
  cursor: TreeCursor,
  modes: ReadonlyMap<string, DirectoryMode>,
  owner: Ownership | null,
): Result<void> {
  for (const { path, mode } of [...modes.values()].sort((a, b) => b.path.length - a.path.length)) {
    const parent = cursor.at(path.slice(0, -1));
    if (!parent.ok) return parent;
    const sealed = sealDirectory(parent.value, path.at(-1) ?? '', mode, owner);
    if (!sealed.ok) return sealed;
  }
  const root = cursor.at([]);
  return root.ok ? root.value.sync() : root;
}

/** Opened first: its mode may bar its owner too. Synced last: owner and mode are part of the tree. */
function sealDirectory(
  parent: Directory,
  name: string,
  mode: number,
  owner: Ownership | null,
): Result<void> {
  const directory = parent.directory(name);
  if (!directory.ok) return directory;
  const owned = owner ? parent.chown(name, owner.uid, owner.gid) : ok(undefined);
  const moded = owned.ok ? parent.chmod(name, mode) : owned;
  const synced = moded.ok ? directory.value.sync() : moded;
  directory.value.close();
  return synced;
}

/** Entries of the source. Ends with a refusal when the blob is not the signed one. */
export function* treeItems(tools: TreeTools, source: TreeSource): Iterable<Result<TarItem>> {
  const { blob } = source;
  if (!blob.tree) {
    yield ok({ kind: 'file', path: [source.fileName], mode: PROGRAM, size: blob.size } as const);
    for (const chunk of pristine(tools.blobs, blob)) {
      yield chunk.ok ? ok({ kind: 'data', bytes: chunk.value } as const) : chunk;
    }
    return;
  }
  let whole = false;
  const packed = counted(pristine(tools.blobs, blob), () => {
    whole = true;
  });
  const caps = { entries: LIMITS.treeEntriesMax, bytes: blob.unpackedSize };
  yield* readTar(tools.inflate.gunzip(packed, archiveCap(blob)), caps);
  // An archive may end before its blob does: the digest covers all of it.
  if (!whole) yield* remainder(tools, blob);
}

function* counted<T>(items: Iterable<T>, atEnd: () => void): Iterable<T> {
  yield* items;
  atEnd();
}

function* remainder(tools: TreeTools, blob: GenerationBlob): Iterable<Result<TarItem>> {
  for (const chunk of pristine(tools.blobs, blob)) if (!chunk.ok) yield chunk;
}

/** Bytes of archive that may come out of the gzip: the signed size plus headers, and the ratio. */
function archiveCap({ size, unpackedSize }: GenerationBlob): number {
  const declared = unpackedSize + LIMITS.treeEntriesMax * ENTRY_OVERHEAD;
  return Math.min(declared, RATIO_FREE + size * LIMITS.unpackRatioMax);
}

/** Whether a tree of this size could have been packed so small at all (attack rows B01, B06). */
export function ratioFault(deployment: string, { size, unpackedSize, tree }: GenerationBlob) {
  if (!tree || unpackedSize <= RATIO_FREE + size * LIMITS.unpackRatioMax) return null;
  return refuse('apply.unpack-ratio', { deployment, size, unpackedSize });
}
