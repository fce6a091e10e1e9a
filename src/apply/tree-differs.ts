/**
 * What stands on the disk against the archive it was made of (check 18): byte by byte while the
 * archive passes, so that nothing but the pristine blob says what is right; or by stat alone, as
 * far as that tells that nothing was touched since the last comparison.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Directory, Entry, FileReader } from '#platform/files.ts';
import { type Digest, sha256Hasher } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { TarItem } from '#wire/tar.ts';
import { fingerprint, type Ownership, octal, ownerDiffers, type Pace } from './stage.ts';
import { type TreeCursor, treeCursor } from './tree-cursor.ts';
import {
  ENTRY_OVERHEAD,
  PLAIN_DIRECTORY,
  type TreeSource,
  type TreeTools,
  treeItems,
} from './unpack.ts';

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
