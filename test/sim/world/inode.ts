/**
 * Inodes with two halves: what programs see, and what the medium holds. Changes of names are
 * operations that count when one of their directories is synced; contents and modes count at the
 * sync of the file (platform/files.ts states the contract). Contents are never changed in place, so
 * that a half may be kept by keeping its array.
 */
export type Kind = 'file' | 'directory' | 'link';

export interface Inode {
  readonly id: number;
  readonly kind: Kind;
  /** 1: the flash; 2: tmpfs, which a power cut empties */
  readonly device: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: bigint;
  ctime: bigint;
  data: Uint8Array;
  /** null: never synced */
  syncedData: Uint8Array | null;
  syncedMode: number;
  entries: Map<string, Inode>;
  syncedEntries: Map<string, Inode>;
  /** changes of names since the last sync of this directory */
  pending: NameChange[];
  readonly target: string;
  /** rows of a store whose data file this is; null: nothing was ever committed */
  rows: ReadonlyMap<string, Uint8Array> | null;
  transactions: number;
}

/** One operation: counts as a whole or not at all. */
export interface NameChange {
  readonly order: number;
  readonly changes: readonly {
    readonly directory: Inode;
    readonly name: string;
    readonly to: Inode | null;
  }[];
  durable: boolean;
}

const NOTHING = new Uint8Array();

export interface Inodes {
  make(kind: Kind, options: { mode: number; device: number; target?: string }): Inode;
  /** Puts names in place for programs, and remembers that the medium does not have them yet. */
  rename(changes: NameChange['changes']): void;
  touch(inode: Inode, what: 'data' | 'mode'): void;
}

export function inodes(nowMs: () => number): Inodes {
  let made = 0;
  let ticks = 0n;
  let order = 0;
  const tick = (): bigint => {
    ticks += 1n;
    return BigInt(Math.trunc(nowMs())) * 1_000_000n + ticks;
  };
  return {
    make(kind, { mode, device, target = '' }) {
      made += 1;
      const at = tick();
      return {
        id: made,
        kind,
        device,
        mode,
        uid: 0,
        gid: 0,
        mtime: at,
        ctime: at,
        data: NOTHING,
        syncedData: null,
        syncedMode: mode,
        entries: new Map(),
        syncedEntries: new Map(),
        pending: [],
        target,
        rows: null,
        transactions: 0,
      };
    },
    rename(changes) {
      order += 1;
      const change: NameChange = { order, changes, durable: false };
      const at = tick();
      for (const { directory, name, to } of changes) {
        if (to === null) directory.entries.delete(name);
        else directory.entries.set(name, to);
        directory.mtime = at;
        directory.ctime = at;
        if (to !== null) to.ctime = at;
        if (directory.pending.at(-1) !== change) directory.pending.push(change);
      }
    },
    touch(inode, what) {
      inode.ctime = tick();
      if (what === 'data') inode.mtime = inode.ctime;
    },
  };
}

/** fsync of a file, or of a directory's names. */
export function sync(inode: Inode): void {
  if (inode.kind === 'file') {
    inode.syncedData = inode.data;
    inode.syncedMode = inode.mode;
    return;
  }
  inode.syncedMode = inode.mode;
  settle(inode, Number.POSITIVE_INFINITY);
}

/** Makes the directory's changes durable in order, and before each one what the others hold earlier. */
function settle(directory: Inode, upTo: number): void {
  const due = directory.pending.filter(({ order }) => order <= upTo);
  directory.pending = directory.pending.filter(({ order }) => order > upTo);
  for (const change of due) {
    if (change.durable) continue;
    for (const other of change.changes) {
      if (other.directory !== directory) settle(other.directory, change.order - 1);
    }
    applyDurably(change);
  }
}

export function applyDurably(change: NameChange): void {
  change.durable = true;
  for (const { directory, name, to } of change.changes) {
    if (to === null) directory.syncedEntries.delete(name);
    else directory.syncedEntries.set(name, to);
  }
}
