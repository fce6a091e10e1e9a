/** An engine in memory that fails on demand: for the logic above it. */
import { fault } from '#errors/fault.ts';
import { type Engine, StoreFailure } from '#store/engine.ts';

export interface MemoryEngine extends Engine {
  readonly rows: Map<string, Uint8Array>;
  /** codes of the failures that the next commits end in */
  readonly failures: ('store.no-space' | 'store.io')[];
}

export function memoryEngine(): MemoryEngine {
  const rows = new Map<string, Uint8Array>();
  const failures: ('store.no-space' | 'store.io')[] = [];
  let transactions = 0;
  return {
    rows,
    failures,
    get: (key) => rows.get(key),
    range: (prefix) =>
      [...rows].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : 1)),
    transaction(work) {
      const staged = new Map(rows);
      const result = work({
        get: (key) => staged.get(key),
        put: (key, value) => void staged.set(key, value),
        remove: (key) => void staged.delete(key),
      });
      const failure = failures.shift();
      if (failure === 'store.no-space')
        throw new StoreFailure(fault(failure, { operation: 'commit' }));
      if (failure) throw new StoreFailure(fault(failure, { operation: 'commit', reason: 'test' }));
      rows.clear();
      for (const [key, value] of staged) rows.set(key, value);
      transactions += 1;
      return result;
    },
    transactionId: () => transactions,
    close: () => undefined,
  };
}
