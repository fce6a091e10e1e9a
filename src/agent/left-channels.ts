/**
 * At a start: channels that agent.yaml no longer names and that left something here. Each is told once,
 * as an event, and marked so in its row; the mark goes when it is followed again. Nothing that runs is
 * touched (apply/orphans.ts).
 */
import { type Followed, isFollowed, leftRows } from '#apply/orphans.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import type { StoreWriter } from '#store/store.ts';

/** In the commit of a start. @param at  Unix ms by the wall clock */
export function markLeft(tx: StoreWriter, followed: Followed, at: number): void {
  for (const row of leftRows(tx, followed)) {
    if (row.left === true) continue;
    tx.putChannel({ ...row, left: true });
    queueEvent(tx, eventOf('channel.orphaned', { at, channel: row.channel }));
  }
  const rows = tx.channels();
  for (const { left, ...row } of rows.ok ? rows.value : []) {
    if (left === true && isFollowed(followed, row)) tx.putChannel(row);
  }
}
