/**
 * LMDB, and the only module that opens it. The options are the ones under which every
 * acknowledgement came after fdatasync and the O_DSYNC write of the meta page (DESIGN section 7):
 * no overlapping sync, no noSync of any kind, no write map, synchronous transactions only (an
 * asynchronous put that meets a full disk ends the process even when caught).
 *
 * lmdb-js dies on a damaged file with a signal that nothing can catch: guard.ts judges the file
 * before each open. After EIO, LMDB refuses further writes and reads: the environment is closed and
 * opened again by the next use; for reading alone where the disk takes no writes any more, so that
 * status still tells what is in force.
 */
import { open, type RootDatabase } from 'lmdb';
import { assert, type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { type Engine, type EngineKind, type EngineTransaction, StoreFailure } from './engine.ts';
import { checkDataFile, MAP_BYTES, PAGE_BYTES } from './guard.ts';

const DATA_FILE = 'data.mdb';
const LOCK_FILE = 'data.mdb-lock';
/** one process, one thread; one more for a reader that died */
const READERS_MAX = 4;
/** not in lmdb's types: otherwise the environment variable LMDB_RESTORE decides */
const HERMETIC: object = { safeRestore: false };
const EIO = 5;
const ENOSPC = 28;
/** less than one commit may write */
const NEARLY_FULL_BYTES = 256 * 1024;
/** every row fits many times; the map is address space, not memory */
const MDB_MAP_FULL = -30792;

/** Keys are bytes to LMDB: decoding of its own would throw at a key with a flipped bit. */
type Database = RootDatabase<Uint8Array, Uint8Array>;

export const lmdbKind: EngineKind = {
  dataFile: DATA_FILE,
  check: (directory) => checkDataFile(directory, DATA_FILE),
  open(directory, readOnly = false) {
    const opened = openDatabase(directory, readOnly);
    return opened.ok ? ok(engine(directory, opened.value)) : opened;
  },
};

function openDatabase(directory: Directory, readOnly = false): Result<Database> {
  // The lock of the state directory is held (open.ts): what a dead process left in LMDB's own lock
  // file is worth nothing, and a torn one would keep the store shut.
  const cleared = directory.removeTree(LOCK_FILE);
  if (!cleared.ok && !readOnly) return cleared;
  try {
    return ok(
      open<Uint8Array, Uint8Array>({
        path: `${directory.path}/${DATA_FILE}`,
        noSubdir: true,
        encoding: 'binary',
        keyEncoding: 'binary',
        cache: false,
        overlappingSync: false,
        pageSize: PAGE_BYTES,
        mapSize: MAP_BYTES,
        maxDbs: 1,
        maxReaders: READERS_MAX,
        readOnly,
        ...HERMETIC,
      }),
    );
  } catch (error) {
    return refused(faultOf(directory, error, 'open the store'));
  }
}

/**
 * ENOSPC or a full map is `store.no-space`; anything else that LMDB throws is `store.io`. A disk
 * that fills up in the middle of a write makes it short, which LMDB calls EIO (measured on tmpfs).
 */
function faultOf(directory: Directory, error: unknown, operation: string): Fault {
  const code = codeOf(error);
  const full =
    code === ENOSPC || code === MDB_MAP_FULL || (code === EIO && isNearlyFull(directory));
  if (full) return fault('store.no-space', { operation });
  const reason = error instanceof Error ? error.message : String(error);
  return fault('store.io', { operation, reason: reason.slice(0, 200) });
}

function isNearlyFull(directory: Directory): boolean {
  const space = directory.freeSpace();
  return space.ok && space.value.bytes < NEARLY_FULL_BYTES;
}

function codeOf(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'number' ? error.code : null;
}

function engine(directory: Directory, first: Database): Engine {
  let database: Database | null = first;
  /** opened again, and the disk took no write */
  let onlyRead = false;
  let closed = false;

  const reopen = (readOnly: boolean): Result<Database> => {
    const checked = checkDataFile(directory, DATA_FILE);
    return checked.ok ? openDatabase(directory, readOnly) : checked;
  };
  const use = (purpose: 'read' | 'write'): Database => {
    assert(!closed, 'the store was used after close');
    if (database && !(onlyRead && purpose === 'write')) return database;
    end();
    const whole = reopen(false);
    onlyRead = !whole.ok && purpose === 'read';
    const opened = onlyRead ? reopen(true) : whole;
    if (!opened.ok) throw new StoreFailure(opened.fault);
    database = opened.value;
    return database;
  };
  const end = (): void => {
    // Synchronous here: nothing asynchronous is ever queued.
    void database?.close();
    database = null;
  };

  return {
    get: (key) => read(use('read'), key),
    range: (prefix) => rangeOf(use('read'), prefix),
    transaction(work) {
      try {
        return transact({ directory, database: use('write') }, work);
      } catch (error) {
        // LMDB may hold the environment for broken after a failed write or sync.
        if (error instanceof StoreFailure && error.fault.code === 'store.io') end();
        throw error;
      }
    },
    transactionId: () => lastTransaction(use('read')),
    close() {
      closed = true;
      end();
    },
  };
}

interface Opened {
  readonly directory: Directory;
  readonly database: Database;
}

function transact<T>(opened: Opened, work: (tx: EngineTransaction) => T): T {
  // What `work` throws is the caller's; what LMDB throws becomes a StoreFailure.
  let thrown: { readonly error: unknown } | null = null;
  try {
    return opened.database.transactionSync(() => {
      try {
        return work(transactionOf(opened));
      } catch (error) {
        thrown = { error };
        throw error;
      }
    });
  } catch (error) {
    if (thrown) throw error;
    throw new StoreFailure(faultOf(opened.directory, error, 'commit to the store'));
  }
}

function transactionOf({ directory, database }: Opened): EngineTransaction {
  const guarded = (operation: string, call: () => unknown): void => {
    try {
      call();
    } catch (error) {
      throw new StoreFailure(faultOf(directory, error, operation));
    }
  };
  return {
    get: (key) => read(database, key),
    put: (key, value) => guarded('write a record', () => database.putSync(Buffer.from(key), value)),
    remove: (key) => guarded('remove a record', () => database.removeSync(Buffer.from(key))),
  };
}

function read(database: Database, key: string): Uint8Array | undefined {
  const value = database.getBinary(Buffer.from(key));
  return value && Uint8Array.from(value);
}

function* rangeOf(
  database: Database,
  prefix: string,
): Iterable<readonly [key: string, value: Uint8Array]> {
  const start = prefix === '' ? {} : { start: Buffer.from(prefix) };
  for (const { key, value } of database.getRange(start)) {
    const text = Buffer.from(key).toString();
    if (!text.startsWith(prefix)) return;
    yield [text, Uint8Array.from(value)];
  }
}

function lastTransaction(database: Database): number {
  const stats: { readonly lastTxnId?: unknown } = database.getStats();
  assert(typeof stats.lastTxnId === 'number', 'LMDB tells its last transaction');
  return stats.lastTxnId;
}
