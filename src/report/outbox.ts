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
  /** every event up to this number was told, or was counted as dropped */
  readonly event: bigint;
}

/** What the next status carries of the outbox. */
export interface Outbox {
  readonly previousReport: Digest | null;
  readonly events: readonly StatusEvent[];
  readonly eventsDropped: bigint;
  /** the number before the first of `events` */
  readonly before: bigint;
}

/** Within the transaction that does what the event tells. */
export function queueEvent(tx: StoreWriter, event: Omit<StatusEvent, 'number'>): void {
  tx.addEvent({ ...event, message: statusText(event.message, MESSAGE_BYTES) });
}

export function readOutbox(store: StoreReader, acknowledged: Acknowledged | null): Result<Outbox> {
  const row = store.outboxStatus();
  if (!row.ok) return row;
  const stored = store.outboxEvents();
  if (!stored.ok) return stored;
  const told = acknowledged?.event ?? 0n;
  const events = stored.value.filter(({ number }) => number > told);
  const lastEvent = row.value?.lastEvent ?? 0n;
  return ok({
    previousReport: acknowledged?.digest ?? row.value?.previousReport ?? null,
    events,
    // Before anything was acknowledged in this boot, the row has the count since the last settle.
    eventsDropped: acknowledged ? gapAfter(told, events) : (row.value?.eventsDropped ?? 0n),
    before: events[0] ? events[0].number - 1n : lastEvent > told ? lastEvent : told,
  });
}

/** Within a transaction made for another reason: the outbox forgets what was acknowledged. */
export function settleOutbox(tx: StoreWriter, acknowledged: Acknowledged): Result<void> {
  const row = tx.outboxStatus();
  if (!row.ok) return row;
  if (isSettled(row.value, acknowledged)) return ok();
  const { boot, report, digest, event } = acknowledged;
  tx.removeEvents(event);
  const left = tx.outboxEvents();
  if (!left.ok) return left;
  tx.putOutboxStatus({
    boot,
    report,
    previousReport: digest,
    eventsDropped: gapAfter(event, left.value),
    lastEvent: row.value?.lastEvent ?? event,
  });
  return ok();
}

/** Numbers have no holes but those of events that were dropped: the oldest go first. */
function gapAfter(told: bigint, events: readonly StatusEvent[]): bigint {
  const [first] = events;
  return first && first.number > told ? first.number - told - 1n : 0n;
}

function isSettled(row: OutboxStatus | null, { boot, report }: Acknowledged): boolean {
  return row !== null && (row.boot > boot || (row.boot === boot && row.report >= report));
}
