/**
 * The store's engine on the simulated disk, with LMDB's promises (store/engine.ts, lmdb.ts): a
 * transaction is durable when it returns, and a cut inside it leaves all of it or nothing. A commit
 * is three steps: pages, their sync, the meta page. A file that was made and never committed to is
 * damaged after a power cut, as LMDB's own first pages may be (DESIGN section 7).
 */
import { assert, fault, ok, refuse } from '#errors/fault.ts';
import {
  type Engine,
  type EngineKind,
  type EngineTransaction,
  StoreFailure,
} from '#store/engine.ts';
import { Cut, type Trouble } from './crash.ts';
import { inodeOf } from './directory.ts';
import { type Disk, roomFor } from './disk.ts';
import type { Inode } from './inode.ts';
import type { Dice } from './random.ts';

const DATA = 'data.mdb';
const PAGES = new Uint8Array(8_192).fill(7);
const PAGE = 4_096;

export interface Commits {
  count: number;
}

export function simEngine(disk: Disk, dice: Dice, commits: Commits): EngineKind {
  return {
    dataFile: DATA,
    check(directory) {
      disk.steps.alive();
      const file = `${directory.path}/${DATA}`;
      const inode = inodeOf(directory).entries.get(DATA);
      if (!inode) return refuse('store.damaged', { file, reason: 'it is missing' });
      if (inode.rows === null) return refuse('store.damaged', { file, reason: 'no meta page' });
      return ok();
    },
    open(directory) {
      const held = inodeOf(directory);
      let inode = held.entries.get(DATA);
      if (!inode) {
        const trouble = disk.steps.take('store-create', directory.path);
        if (trouble !== null) return refuse(codeOf(trouble), details(trouble));
        inode = disk.nodes.make('file', { mode: 0o600, device: held.device });
        inode.data = PAGES;
        disk.nodes.rename([{ directory: held, name: DATA, to: inode }]);
        disk.changed();
      }
      return ok(engineOf({ disk, dice, commits, inode, path: `${directory.path}/${DATA}` }));
    },
  };
}

interface Opened {
  readonly disk: Disk;
  readonly dice: Dice;
  readonly commits: Commits;
  readonly inode: Inode;
  readonly path: string;
}

function engineOf(opened: Opened): Engine {
  const { disk, inode } = opened;
  let closed = false;
  const rows = (): ReadonlyMap<string, Uint8Array> => {
    disk.steps.alive();
    assert(!closed, 'the store was used after close');
    return inode.rows ?? new Map();
  };
  return {
    get: (key) => rows().get(key)?.slice(),
    range: (prefix) =>
      [...rows()]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, value]) => [key, value.slice()] as const),
    transaction(work) {
      const next = new Map(rows());
      let bytes = 0;
      const tx: EngineTransaction = {
        get: (key) => next.get(key)?.slice(),
        put(key, value) {
          bytes += value.length + PAGE;
          next.set(key, value.slice());
        },
        remove(key) {
          bytes += PAGE;
          next.delete(key);
        },
      };
      const result = work(tx);
      if (bytes > 0) commit(opened, next, bytes);
      return result;
    },
    transactionId: () => inode.transactions,
    close() {
      closed = true;
    },
  };
}

function commit(opened: Opened, next: ReadonlyMap<string, Uint8Array>, bytes: number): void {
  const { disk, dice, inode, path, commits } = opened;
  const { steps } = disk;
  if (!roomFor(disk, inode, Math.min(bytes, 64 * 1024))) fail('ENOSPC');
  for (const what of ['store-write', 'store-sync']) {
    const trouble = steps.take(what, path);
    if (trouble !== null) fail(trouble);
  }
  const land = (): void => {
    inode.rows = next;
    inode.transactions += 1;
    commits.count += 1;
    disk.changed();
    disk.nodes.touch(inode, 'data');
  };
  try {
    const trouble = steps.take('store-meta', path);
    if (trouble !== null) fail(trouble);
  } catch (error) {
    // The meta page is one sector: it is there or not.
    if (error instanceof Cut && dice.oneIn(2)) land();
    throw error;
  }
  land();
}

function codeOf(trouble: Trouble): 'store.no-space' | 'store.io' {
  return trouble === 'ENOSPC' ? 'store.no-space' : 'store.io';
}

function details(trouble: Trouble) {
  return { operation: 'commit to the store', reason: trouble };
}

function fail(trouble: Trouble): never {
  throw new StoreFailure(fault(codeOf(trouble), details(trouble)));
}
