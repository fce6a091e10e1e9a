/**
 * What a disk may hold after a power cut, worked out from the operations that were asked of it
 * (disk-trace.ts) and from nothing that a file system promises beyond POSIX: bytes written since the
 * last sync of their file are there, gone or torn in sectors, in any order; names made, changed or
 * removed since the last sync of their directory likewise; a sync, or an O_DSYNC write that has
 * returned, is kept. A size may be there before the bytes that it counts: zeros, or what was there.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DiskOp, TOP } from './disk-trace.ts';

export const WAYS = ['all', 'none', 'prefix', 'subset', 'torn', 'newest-only'] as const;
/** what becomes of that which was not synced */
export type Way = (typeof WAYS)[number];

export interface Image {
  /** relative path → bytes; null: a directory */
  readonly entries: ReadonlyMap<string, Buffer | null>;
}

const SECTOR = 512;

type Name = Extract<DiskOp, { kind: 'mkdir' | 'create' | 'unlink' | 'rename' }>;
type Data = Extract<DiskOp, { kind: 'write' | 'truncate' }>;

/** The disk at one moment of the trace: what is durable, and what waits. */
export interface CrashDisk {
  /** The operation has returned. */
  done(op: DiskOp): void;
  /**
   * One image of a cut at this moment.
   * @param underWay  the operation that had not returned
   */
  cut(way: Way, random: () => number, underWay?: DiskOp): Image;
}

interface Disk {
  readonly files: Map<number, Buffer>;
  readonly names: Map<number, Map<string, number>>;
  waitingData: Data[];
  waitingNames: Name[];
}

export function makeCrashDisk(): CrashDisk {
  const names = new Map([[TOP, new Map<string, number>()]]);
  const disk: Disk = { files: new Map(), names, waitingData: [], waitingNames: [] };
  return {
    done: (op) => done(disk, op),
    cut: (way, random, underWay) => cut(disk, { way, random }, underWay),
  };
}

function done(disk: Disk, op: DiskOp): void {
  switch (op.kind) {
    case 'says':
      return;
    case 'sync':
      synced(disk, op.inode);
      return;
    case 'write':
      if (op.durable) throughWrite(disk, op);
      else disk.waitingData.push(op);
      return;
    case 'truncate':
      disk.waitingData.push(op);
      return;
    default:
      disk.waitingNames.push(op);
  }
}

function cut(
  disk: Disk,
  { way, random }: { way: Way; random: () => number },
  underWay?: DiskOp,
): Image {
  const data = [...disk.waitingData];
  const names = [...disk.waitingNames];
  if (underWay?.kind === 'write' || underWay?.kind === 'truncate') data.push(underWay);
  else if (underWay && underWay.kind !== 'sync' && underWay.kind !== 'says') names.push(underWay);
  const files = new Map(disk.files);
  const kept = keeps(way, data.length, random);
  data.forEach((op, index) => {
    put(files, op, kept(index), random);
  });
  const tree = new Map([...disk.names].map(([inode, entries]) => [inode, new Map(entries)]));
  const named = keeps(way === 'torn' ? 'subset' : way, names.length, random);
  names.forEach((op, index) => {
    if (named(index) !== 'gone') apply(tree, op);
  });
  return { entries: entriesOf(tree, files) };
}

function synced(disk: Disk, inode: number): void {
  const rest: Data[] = [];
  for (const op of disk.waitingData) {
    if (op.inode === inode) put(disk.files, op, 'kept', () => 0);
    else rest.push(op);
  }
  disk.waitingData = rest;
  const touches = (op: Name) =>
    op.kind === 'rename' ? op.from.in === inode || op.to.in === inode : op.in === inode;
  for (const op of disk.waitingNames.filter(touches)) apply(disk.names, op);
  disk.waitingNames = disk.waitingNames.filter((op) => !touches(op));
}

/** Older bytes that still wait may not come over it later. */
function throughWrite(disk: Disk, op: Extract<DiskOp, { kind: 'write' }>): void {
  put(disk.files, op, 'kept', () => 0);
  disk.waitingData = disk.waitingData.flatMap((old) => {
    if (old.kind !== 'write' || old.inode !== op.inode) return [old];
    return outside(old, op.at, op.at + op.bytes.length);
  });
}

function outside(old: Extract<DiskOp, { kind: 'write' }>, from: number, to: number) {
  const end = old.at + old.bytes.length;
  const before = { ...old, bytes: old.bytes.subarray(0, Math.max(0, from - old.at)) };
  const after = {
    ...old,
    at: Math.max(old.at, to),
    bytes: old.bytes.subarray(Math.max(0, to - old.at)),
  };
  if (to <= old.at || from >= end) return [old];
  return [before, after].filter(({ bytes }) => bytes.length > 0);
}

type Fate = 'kept' | 'gone' | 'torn';

function keeps(way: Way, count: number, random: () => number): (index: number) => Fate {
  const until = Math.floor(random() * (count + 1));
  const share = random();
  return (index) => {
    switch (way) {
      case 'all':
        return 'kept';
      case 'none':
        return 'gone';
      case 'prefix':
        return index < until ? 'kept' : 'gone';
      case 'newest-only':
        return index === count - 1 ? 'kept' : 'gone';
      case 'subset':
        return random() < share ? 'kept' : 'gone';
      case 'torn':
        return random() < 0.3 ? 'kept' : 'torn';
      default: {
        const never: never = way;
        return never;
      }
    }
  };
}

/** Buffers in the map are never changed: images share them. */
function put(files: Map<number, Buffer>, op: Data, fate: Fate, random: () => number): void {
  const old = files.get(op.inode) ?? Buffer.alloc(0);
  if (op.kind === 'truncate') {
    if (fate === 'gone') return;
    const changed = Buffer.alloc(op.size);
    old.copy(changed);
    files.set(op.inode, changed);
    return;
  }
  const end = op.at + op.bytes.length;
  const sized = fate === 'kept' || random() < 0.5;
  const changed = Buffer.alloc(sized ? Math.max(old.length, end) : old.length);
  old.copy(changed);
  for (let from = op.at; from < end; from = (Math.floor(from / SECTOR) + 1) * SECTOR) {
    const to = Math.min(end, (Math.floor(from / SECTOR) + 1) * SECTOR, changed.length);
    const there = fate === 'kept' || (fate === 'torn' && random() < 0.5);
    if (there && from < to) op.bytes.copy(changed, from, from - op.at, to - op.at);
  }
  files.set(op.inode, changed);
}

type Tree = Map<number, Map<string, number>>;

/** A directory may have durable entries before it has a durable name of its own. */
function directory(tree: Tree, inode: number): Map<string, number> {
  const entries = tree.get(inode) ?? new Map<string, number>();
  tree.set(inode, entries);
  return entries;
}

function apply(tree: Tree, op: Name): void {
  if (op.kind === 'rename') {
    // What was renamed gets the name, also when its first one never came to the disk; what had that
    // name earlier, and lost it in an operation that did not come to the disk either, keeps it.
    const { inode } = op;
    const from = directory(tree, op.from.in);
    if (from.get(op.from.name) === inode) from.delete(op.from.name);
    if (op.isDirectory) directory(tree, inode);
    directory(tree, op.to.in).set(op.to.name, inode);
    return;
  }
  if (op.kind === 'unlink') {
    directory(tree, op.in).delete(op.name);
    return;
  }
  if (op.kind === 'mkdir') directory(tree, op.inode);
  directory(tree, op.in).set(op.name, op.inode);
}

function entriesOf(
  tree: ReadonlyMap<number, ReadonlyMap<string, number>>,
  files: Map<number, Buffer>,
) {
  const entries = new Map<string, Buffer | null>();
  const visit = (inode: number, path: string) => {
    for (const [name, below] of tree.get(inode) ?? []) {
      const whole = path === '' ? name : `${path}/${name}`;
      const directory = tree.has(below);
      entries.set(whole, directory ? null : (files.get(below) ?? Buffer.alloc(0)));
      if (directory) visit(below, whole);
    }
  };
  visit(TOP, '');
  return entries;
}

/** Puts an image into an empty directory. */
export function writeImage({ entries }: Image, folder: string): void {
  mkdirSync(folder, { mode: 0o700 });
  for (const [path, bytes] of entries) {
    if (bytes === null) mkdirSync(join(folder, path), { mode: 0o700 });
    else writeFileSync(join(folder, path), bytes, { mode: 0o600 });
  }
}
