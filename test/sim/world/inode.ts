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
  counts(): InodeCounts;
}

/** Whoever goes on from a copy of a disk numbers on from here. */
export interface InodeCounts {
  readonly made: number;
  readonly ticks: bigint;
  readonly order: number;
}

export function inodes(
  nowMs: () => number,
  from: InodeCounts = { made: 0, ticks: 0n, order: 0 },
): Inodes {
  let { made, ticks, order } = from;
  const tick = (): bigint => {
    ticks += 1n;
    return BigInt(Math.trunc(nowMs())) * 1_000_000n + ticks;
  };
  return {
    counts: () => ({ made, ticks, order }),
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

/**
 * A tree as it stands, both halves of it, that no change of the other moves. Contents are shared: they
 * are never changed in place.
 */
export function copyTree(root: Inode): Inode {
  const copies = new Map<Inode, Inode>();
  const changes = new Map<NameChange, NameChange>();
  const copy = (inode: Inode): Inode => {
    const known = copies.get(inode);
    if (known) return known;
    const made: Inode = { ...inode };
    copies.set(inode, made);
    if (inode.kind !== 'directory') return made;
    made.entries = copyNames(inode.entries);
    made.syncedEntries = copyNames(inode.syncedEntries);
    made.pending = inode.pending.map(copyChange);
    return made;
  };
  const copyNames = (names: ReadonlyMap<string, Inode>): Map<string, Inode> => {
    const made = new Map<string, Inode>();
    for (const [name, inode] of names) made.set(name, copy(inode));
    return made;
  };
  const copyChange = (change: NameChange): NameChange => {
    const known = changes.get(change);
    if (known) return known;
    const made: NameChange = {
      order: change.order,
      durable: change.durable,
      changes: change.changes.map(({ directory, name, to }) => ({
        directory: copy(directory),
        name,
        to: to && copy(to),
      })),
    };
    changes.set(change, made);
    return made;
  };
  return copy(root);
}
