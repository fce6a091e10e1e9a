/** The outbox part of the store in memory, for tests of reporting. Every commit is counted. */
import { ok } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import type { StatusEvent } from '#state/status.ts';
import type { OutboxStatus, StoreReader, StoreWriter } from '#store/store.ts';

export interface MemoryOutbox {
  readonly reader: StoreReader;
  /** All of `work`, or nothing when `fails`. */
  commit(work: (tx: StoreWriter) => void, fails?: 'fails'): void;
  events(): readonly StatusEvent[];
  status(): OutboxStatus | null;
  commits(): number;
}

export function memoryOutbox(): MemoryOutbox {
  let events: readonly StatusEvent[] = [];
  let status: OutboxStatus | null = null;
  let commits = 0;
  const outbox = {
    outboxStatus: () => ok(status),
    outboxEvents: () => ok(events),
    putOutboxStatus: (row: OutboxStatus) => {
      status = row;
    },
    addEvent: (event: Omit<StatusEvent, 'number'>) => {
      const number = (status?.lastEvent ?? 0n) + 1n;
      const all = [...events, { ...event, number }];
      const dropped = Math.max(0, all.length - LIMITS.eventsMax);
      events = all.slice(dropped);
      status = {
        boot: status?.boot ?? 0n,
        report: status?.report ?? 0n,
        previousReport: status?.previousReport ?? null,
        eventsDropped: (status?.eventsDropped ?? 0n) + BigInt(dropped),
        lastEvent: number,
      };
    },
    removeEvents: (upTo: bigint) => {
      events = events.filter(({ number }) => number > upTo);
    },
  };
  // Reporting uses these and nothing else of the store.
  const writer = outbox as unknown as StoreWriter;
  return {
    reader: writer,
    commit(work, fails) {
      const before = { events, status };
      work(writer);
      if (fails) ({ events, status } = before);
      else commits += 1;
    },
    events: () => events,
    status: () => status,
    commits: () => commits,
  };
}
