/** An ordered, transactional, durable map of bytes: LMDB, or the simulator's. */
export interface Engine {
  get(key: string): Uint8Array | undefined;
  /** keys with the prefix, ascending */
  range(prefix: string): Iterable<readonly [key: string, value: Uint8Array]>;
  /**
   * All of `work`'s writes, or none; durable when it returns. Throws what `work` throws, after
   * rollback. ENOSPC and EIO come as `StoreFailure`; the store stays usable.
   */
  transaction<T>(work: (tx: EngineTransaction) => T): T;
  /** grows by one per write transaction */
  transactionId(): number;
  close(): void;
}

export interface EngineTransaction {
  get(key: string): Uint8Array | undefined;
  put(key: string, value: Uint8Array): void;
  remove(key: string): void;
}
