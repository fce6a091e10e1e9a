/**
 * The outbox: what a device has to tell and nobody has acknowledged yet. Events are put in by the
 * transaction that does what they tell about; of statuses nothing is queued, because only the newest
 * is ever sent. Acknowledged events leave with the next commit that is made for another reason
 * (settle): reporting costs the flash nothing. After a cut between acknowledgement and settle they are
 * sent once more, with the same numbers.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { StatusEvent } from '#state/status.ts';
import type { OutboxStatus, StoreReader, StoreWriter } from '#store/store.ts';
import { statusText } from './text.ts';

const MESSAGE_BYTES = 512;

/** What a broker has acknowledged since the agent started. */
export interface Acknowledged {
  readonly boot: bigint;
  readonly report: bigint;
  readonly digest: Digest;
  /** the newest event that it carried; 0n: none yet */
  readonly event: bigint;
  /** of `eventsDropped`: how many that report told about */
  readonly dropped: bigint;
}

/** What the next status carries of the outbox. */
export interface Outbox {
  readonly previousReport: Digest | null;
  readonly events: readonly StatusEvent[];
  readonly eventsDropped: bigint;
}

/** Within the transaction that does what the event tells. */
export function queueEvent(tx: StoreWriter, event: Omit<StatusEvent, 'number'>): void {
  tx.addEvent({ ...event, message: statusText(event.message, MESSAGE_BYTES) });
}

export function readOutbox(store: StoreReader, acknowledged: Acknowledged | null): Result<Outbox> {
  const row = store.outboxStatus();
  if (!row.ok) return row;
  const events = store.outboxEvents();
  if (!events.ok) return events;
  const told = acknowledged?.event ?? 0n;
  return ok({
    previousReport: acknowledged?.digest ?? row.value?.previousReport ?? null,
    events: events.value.filter(({ number }) => number > told),
    eventsDropped: stillDropped(row.value, acknowledged),
  });
}

/** Within a transaction made for another reason: the outbox forgets what was acknowledged. */
export function settleOutbox(tx: StoreWriter, acknowledged: Acknowledged): Result<void> {
  const read = tx.outboxStatus();
  if (!read.ok) return read;
  if (isSettled(read.value, acknowledged)) return ok();
  const { boot, report, digest, event } = acknowledged;
  tx.removeEvents(event);
  tx.putOutboxStatus({
    boot,
    report,
    previousReport: digest,
    eventsDropped: stillDropped(read.value, acknowledged),
    lastEvent: read.value?.lastEvent ?? event,
  });
  return ok();
}

/** The row itself says whether a settle was committed: a transaction that failed changed nothing. */
function isSettled(row: OutboxStatus | null, { boot, report }: Acknowledged): boolean {
  return row !== null && (row.boot > boot || (row.boot === boot && row.report >= report));
}

function stillDropped(row: OutboxStatus | null, acknowledged: Acknowledged | null): bigint {
  const dropped = row?.eventsDropped ?? 0n;
  if (!acknowledged || isSettled(row, acknowledged)) return dropped;
  return dropped > acknowledged.dropped ? dropped - acknowledged.dropped : 0n;
}
