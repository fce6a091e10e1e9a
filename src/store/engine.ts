/**
 * An ordered, transactional, durable map of bytes: LMDB, or the simulator's. Everything is
 * synchronous. One process, one writer; store/open.ts holds the lock that makes it so.
 */
import type { Fault, Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';

export interface Engine {
  get(key: string): Uint8Array | undefined;
  /** keys with the prefix, ascending; consumed at once, not across a write */
  range(prefix: string): Iterable<readonly [key: string, value: Uint8Array]>;
  /**
   * All of `work`'s writes, or none; durable when it returns. Throws what `work` throws, after
   * rollback. ENOSPC and EIO come as `StoreFailure`; the store stays usable. Without a write in
   * it nothing reaches the disk.
   */
  transaction<T>(work: (tx: EngineTransaction) => T): T;
  /** grows by one per write transaction */
  transactionId(): number;
  close(): void;
}

/** `get` sees the transaction's own writes. */
export interface EngineTransaction {
  get(key: string): Uint8Array | undefined;
  put(key: string, value: Uint8Array): void;
  remove(key: string): void;
}

/** How a kind of engine lives in a directory: lmdb.ts, or the simulator's. */
export interface EngineKind {
  /** its data file, which holds all that was committed */
  readonly dataFile: string;
  /**
   * Judges the data file before it is opened: `store.damaged` means quarantine; anything else
   * (an I/O error, say) means try again later, nothing is moved.
   */
  check(directory: Directory): Result<void>;
  /**
   * Opens it, or makes an empty one in an empty directory.
   * @param readOnly  no write is possible through it; it has to be there
   */
  open(directory: Directory, readOnly?: boolean): Result<Engine>;
}

/** `store.no-space` or `store.io`, on its way out of a transaction. */
export class StoreFailure extends Error {
  override readonly name = 'StoreFailure';
  readonly fault: Fault;
  constructor(fault: Fault) {
    super(`${fault.code}: ${fault.message}`);
    this.fault = fault;
  }
}
