/**
 * What a power cut leaves: of everything that was not synced, any part. Names: all, none, up to a
 * moment, or each change by itself (reordered); contents: the old, the new, or a mixture by sectors
 * of old, new and nothing. tmpfs is empty afterwards.
 */
import { applyDurably, type Inode, type NameChange } from './inode.ts';
import type { Dice } from './random.ts';

const SECTOR = 512;

/** 'all': of what was not synced nothing is left; 'any': any part of it */
export type Loss = 'all' | 'any';

export function powerCut(root: Inode, dice: Dice, loss: Loss = 'any'): void {
  const directories: Inode[] = [];
  const files = new Set<Inode>();
  collect(root, directories, files);
  if (loss === 'any') keepNames(directories, dice);
  for (const directory of directories) {
    directory.entries = new Map(directory.syncedEntries);
    directory.pending = [];
    directory.mode = directory.syncedMode;
  }
  for (const file of files) keepContent(file, dice, loss);
}

/** In the order of names: the same whatever the Map's history is. */
function collect(at: Inode, directories: Inode[], files: Set<Inode>): void {
  const seen = new Set<Inode>();
  const visit = (inode: Inode): void => {
    if (seen.has(inode)) return;
    seen.add(inode);
    if (inode.kind === 'file') files.add(inode);
    if (inode.kind !== 'directory') return;
    directories.push(inode);
    if (inode.device === 2) {
      inode.entries = new Map();
      inode.syncedEntries = new Map();
      inode.pending = [];
      return;
    }
    for (const below of [...inode.syncedEntries.values(), ...inode.entries.values()]) visit(below);
    for (const { changes } of inode.pending) for (const { to } of changes) if (to) visit(to);
  };
  visit(at);
}

function keepNames(directories: readonly Inode[], dice: Dice): void {
  const open = new Set<NameChange>();
  for (const { pending } of directories) {
    for (const change of pending) if (!change.durable) open.add(change);
  }
  if (open.size === 0) return;
  const changes = [...open].sort((a, b) => a.order - b.order);
  const keep = policyOf(changes, dice);
  for (const change of changes) if (keep(change)) applyDurably(change);
}

/** One policy for all changes of one cut. */
function policyOf(changes: readonly NameChange[], dice: Dice): (change: NameChange) => boolean {
  const how = dice.pick(['none', 'all', 'prefix', 'prefix', 'each'] as const);
  const last = changes[dice.below(changes.length)]?.order ?? 0;
  return ({ order }) => {
    if (how === 'none') return false;
    if (how === 'all') return true;
    return how === 'prefix' ? order < last : dice.oneIn(2);
  };
}

function keepContent(file: Inode, dice: Dice, loss: Loss): void {
  const { data, syncedData } = file;
  if (file.rows !== null) {
    file.syncedData = data;
    return;
  }
  const before = syncedData ?? new Uint8Array();
  if (data !== syncedData) file.data = loss === 'all' ? before : tornOf(before, data, dice);
  if (file.mode !== file.syncedMode && (loss === 'all' || dice.oneIn(2))) {
    file.mode = file.syncedMode;
  }
  file.syncedData = file.data;
  file.syncedMode = file.mode;
}

function tornOf(before: Uint8Array, after: Uint8Array, dice: Dice): Uint8Array {
  switch (dice.below(4)) {
    case 0:
      return before;
    case 1:
      return after;
    default: {
      const torn = new Uint8Array(dice.oneIn(2) ? before.length : after.length);
      for (let at = 0; at < torn.length; at += SECTOR) {
        const from = dice.pick([before, after, null]);
        if (from) torn.set(from.subarray(at, Math.min(at + SECTOR, torn.length)), at);
      }
      return torn;
    }
  }
}
