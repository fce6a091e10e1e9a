/**
 * Trees: written into a fresh directory, compared with what stands there, told apart by stat.
 * A tree comes from the pristine blob every time (check 18): the archive is both what is unpacked
 * and what a directory is compared with, so no list of hashes lies beside the tree to be edited.
 * Rules for entries (no links, devices, setuid, odd names) and caps are wire/tar.ts (check 17).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Entry, FileReader, FileWriter } from '#platform/files.ts';
import type { Inflate } from '#platform/inflate.ts';
import { type Digest, sha256Hasher } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { LIMITS } from '#state/limits.ts';
import { readTar, type TarItem } from '#wire/tar.ts';
import {
  fingerprint,
  type Ownership,
  octal,
  ownerDiffers,
  type Pace,
  pristine,
  type StageTools,
  sealed,
} from './stage.ts';
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

const PLAIN_DIRECTORY = 0o755;
const PROGRAM = 0o755;
/** while it is being written, nobody else looks in */
const STAGING = 0o700;
/** bytes that headers, padding and long names of one entry may add to an archive */
const ENTRY_OVERHEAD = 4_096;
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

/** The first thing found that is not as in the archive. */
export interface Difference {
  /** below the tree; empty: the tree itself */
  readonly path: readonly string[];
  readonly found: string;
}

interface WantedDirectory {
  readonly path: readonly string[];
  readonly mode: number;
  readonly names: Set<string>;
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
    const name = path.at(-1) ?? '';
    const directory = cursor.at(path);
    if (!directory.ok) return directory;
    const synced = directory.value.sync();
    if (!synced.ok) return synced;
    const parent = cursor.at(path.slice(0, -1));
    if (!parent.ok) return parent;
    const owned = owner ? parent.value.chown(name, owner.uid, owner.gid) : ok(undefined);
    if (!owned.ok) return owned;
    const moded = parent.value.chmod(name, mode);
    if (!moded.ok) return moded;
  }
  const root = cursor.at([]);
  return root.ok ? root.value.sync() : root;
}

/**
 * What of `tree` is not as in the archive; null: every byte, name, mode and owner is. Entries that
 * the archive does not have count as well.
 */
export async function treeDiffers(
  tools: TreeTools,
  source: TreeSource,
  tree: Directory,
): Promise<Result<Difference | null>> {
  const cursor = treeCursor(tree);
  const wanted = new Map<string, WantedDirectory>();
  wanted.set('', { path: [], mode: PLAIN_DIRECTORY, names: new Set() });
  const check = fileCheck(tools, source, cursor);
  try {
    for (const item of treeItems(tools, source)) {
      if (!item.ok) return item;
      const entry = item.value;
      if (entry.kind !== 'data') expectEntry(wanted, entry);
      const wrong = check.next(entry);
      if (!wrong.ok || wrong.value !== null) return wrong;
      if (tools.spend.spent(entry.kind === 'data' ? entry.bytes.length : ENTRY_OVERHEAD))
        await tools.spend.breathe();
    }
    for (const directory of wanted.values()) {
      const wrong = directoryDiffers(tools, source, cursor, directory);
      if (!wrong.ok || wrong.value !== null) return wrong;
    }
    return ok(null);
  } finally {
    check.close();
    cursor.close();
  }
}

function expectEntry(
  wanted: Map<string, WantedDirectory>,
  entry: Exclude<TarItem, { kind: 'data' }>,
): void {
  const { path } = entry;
  for (let depth = 0; depth < path.length; depth += 1) {
    const at = path.slice(0, depth);
    const key = at.join('/');
    const parent = wanted.get(key) ?? { path: at, mode: PLAIN_DIRECTORY, names: new Set() };
    parent.names.add(path[depth] ?? '');
    wanted.set(key, parent);
  }
  if (entry.kind !== 'directory') return;
  const names = wanted.get(path.join('/'))?.names ?? new Set<string>();
  wanted.set(path.join('/'), { path, mode: entry.mode & 0o777, names });
}

/** Compares one file after the other, byte for byte, as the archive passes. */
function fileCheck(tools: TreeTools, source: TreeSource, cursor: TreeCursor) {
  let reader: FileReader | null = null;
  let path: readonly string[] = [];
  let offset = 0;
  const close = () => {
    reader?.close();
    reader = null;
  };
  const compare = (bytes: Uint8Array): Result<Difference | null> => {
    if (!reader) return ok(null);
    const found = reader.read(offset, bytes.length);
    if (!found.ok) return found;
    offset += bytes.length;
    return Buffer.compare(found.value, bytes) === 0 ? ok(null) : differs(path, 'other bytes');
  };
  const next = (entry: TarItem): Result<Difference | null> => {
    if (entry.kind === 'data') return compare(entry.bytes);
    close();
    if (entry.kind === 'directory') return ok(null);
    path = entry.path;
    offset = 0;
    const name = path.at(-1) ?? '';
    const parent = present(cursor.at(path.slice(0, -1)));
    if (!parent.ok) return parent;
    const stat = parent.value ? parent.value.stat(name) : ok(null);
    if (!stat.ok) return stat;
    const wrong = fileStatDiffers(stat.value, entry, source.owner, tools.self);
    if (wrong !== null || !parent.value) return differs(path, wrong ?? 'missing');
    const opened = parent.value.openFile(name);
    if (!opened.ok) return opened;
    reader = opened.value;
    return ok(null);
  };
  return { next, close };
}

function fileStatDiffers(
  entry: Entry | null,
  want: { readonly size: number; readonly mode: number },
  owner: Ownership | null,
  self: { readonly uid: number },
): string | null {
  if (entry?.kind !== 'file') return entry ? `a ${entry.kind}` : 'missing';
  if (entry.size !== want.size) return `${entry.size} bytes instead of ${want.size}`;
  if (entry.mode !== (want.mode & 0o777)) return `mode ${octal(entry.mode)}`;
  return ownerDiffers(entry, owner, self);
}

/** A component that is gone, or is no directory any more, is a finding and not a failure. */
function present(directory: Result<Directory>): Result<Directory | null> {
  return isGone(directory) ? ok(null) : directory;
}

/** Nothing there, or something that is no directory. */
export function isGone(result: Result<unknown>): boolean {
  if (result.ok) return false;
  const { code } = result.fault;
  return (
    code === 'platform.missing' || code === 'platform.link' || code === 'platform.not-a-directory'
  );
}

function directoryDiffers(
  tools: TreeTools,
  source: TreeSource,
  cursor: TreeCursor,
  want: WantedDirectory,
): Result<Difference | null> {
  const directory = present(cursor.at(want.path));
  if (!directory.ok) return directory;
  if (directory.value === null) return differs(want.path, 'missing');
  const names = directory.value.list();
  if (!names.ok) return names;
  const extra = names.value.find((name) => !want.names.has(name));
  if (extra !== undefined) return differs([...want.path, extra], 'does not belong there');
  if (want.path.length === 0) return ok(null);
  const parent = cursor.at(want.path.slice(0, -1));
  const stat = parent.ok ? parent.value.stat(want.path.at(-1) ?? '') : parent;
  if (!stat.ok) return stat;
  if (stat.value === null) return differs(want.path, 'missing');
  if (stat.value.mode !== want.mode) return differs(want.path, `mode ${octal(stat.value.mode)}`);
  const owner = ownerDiffers(stat.value, source.owner, tools.self);
  return owner === null ? ok(null) : differs(want.path, owner);
}

function differs(path: readonly string[], found: string): Result<Difference> {
  return ok({ path, found });
}

/** One digest over the stat of every entry: equal means that nothing was touched since. */
export async function treeStat(tree: Directory, spend: Pace): Promise<Result<Digest>> {
  const hasher = sha256Hasher();
  const walked = await walk(tree, '', hasher.update, spend);
  return walked.ok ? ok(hasher.digest()) : walked;
}

async function walk(
  directory: Directory,
  path: string,
  tell: (bytes: Uint8Array) => void,
  spend: Pace,
): Promise<Result<void>> {
  const names = directory.list();
  if (!names.ok) return names;
  for (const name of names.value) {
    const stat = directory.stat(name);
    if (!stat.ok) return stat;
    const print = stat.value ? fingerprint(stat.value) : 'gone';
    tell(Buffer.from(`${path}/${name}\0${print}\0`));
    if (spend.spent(ENTRY_OVERHEAD)) await spend.breathe();
    if (stat.value?.kind !== 'directory') continue;
    if (path.split('/').length > LIMITS.treeDepth) continue;
    const below = directory.directory(name);
    if (!below.ok) return below;
    const walked = await walk(below.value, `${path}/${name}`, tell, spend);
    below.value.close();
    if (!walked.ok) return walked;
  }
  return ok(undefined);
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
