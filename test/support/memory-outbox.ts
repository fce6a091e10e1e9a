/** The store over an engine in memory, as reporting sees it. Every commit is counted. */
import type { StatusEvent } from '#state/status.ts';
import type { OutboxStatus, StoreReader, StoreWriter } from '#store/store.ts';
import { typedStore } from '#store/typed-store.ts';
import { memoryEngine } from './memory-engine.ts';
import { value } from './store.ts';

export interface MemoryOutbox {
  readonly reader: StoreReader;
  /** All of `work`, or nothing when `fails`. */
  commit(work: (tx: StoreWriter) => void, fails?: 'fails'): void;
  events(): readonly StatusEvent[];
  status(): OutboxStatus | null;
  commits(): number;
}

export function memoryOutbox(): MemoryOutbox {
  const engine = memoryEngine();
  const reserve = { free: () => false, ensure: () => undefined, hasRoom: () => true };
  const store = typedStore(engine, reserve, () => undefined);
  return {
    reader: store,
    commit(work, fails) {
      if (fails) engine.failures.push('store.io');
      const done = store.transaction(work);
      if (done.ok === (fails !== undefined)) throw new Error('the commit did not end as meant');
    },
    events: () => value(store.outboxEvents()),
    status: () => value(store.outboxStatus()),
    commits: () => store.transactionId(),
  };
}
