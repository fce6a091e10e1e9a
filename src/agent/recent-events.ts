/**
 * The newest events of this device, for `holdfast events`: the outbox forgets what a broker has
 * acknowledged, an operator at the device still wants to read it. Kept in memory, bounded; what an
 * earlier run had told and delivered is taken from the history instead (eventsBefore). No commit is
 * made for any of it.
 */

import type { EventsView, EventView } from '#control/api.ts';
import { ok, type Result, refused } from '#errors/fault.ts';
import { eventOf } from '#report/events.ts';
import type { HistoryRow } from '#state/channel-row.ts';
import { LIMITS } from '#state/limits.ts';
import { pointText } from '#state/point.ts';
import type { StatusEvent } from '#state/status.ts';
import type { Store } from '#store/store.ts';

const KEPT = LIMITS.eventsMax;
/** ms: an event and the history row of the same commit are no further apart */
const SAME_MOMENT_MS = 1_000;

export interface RecentEvents {
  /** the same store; what is committed through it is remembered */
  readonly store: Store;
  /** oldest first */
  list(): readonly StatusEvent[];
}

/** @param opened  its outbox is what an earlier run has not delivered */
export function recentEvents(opened: Store): RecentEvents {
  let kept: readonly StatusEvent[] = [];
  let last = 0n;
  const notice = () => {
    const queued = opened.outboxEvents();
    if (!queued.ok) return;
    const fresh = queued.value.filter(({ number }) => number > last);
    last = fresh.at(-1)?.number ?? last;
    kept = [...kept, ...fresh].slice(-KEPT);
  };
  notice();
  return {
    list: () => kept,
    store: {
      ...opened,
      transaction(work) {
        let told = false;
        const done = opened.transaction((tx) =>
          work({
            ...tx,
            addEvent(event) {
              told = true;
              tx.addEvent(event);
            },
          }),
        );
        if (told && done.ok) notice();
        return done;
      },
    },
  };
}

/** @param after  only what has a higher number; 0: all, with what the history knows from before */
export function eventsView(
  { recent, store }: { readonly recent: RecentEvents; readonly store: Store },
  after: bigint,
): Result<EventsView> {
  const events = recent.list();
  const newest = events.at(-1)?.number ?? 0n;
  // A store that was made anew counts from one again: whoever follows is told all of it.
  const from = after > newest ? 0n : after;
  const shown = events.filter(({ number }) => number > from).map(eventView);
  if (from > 0n) return ok({ last: `${newest}`, events: shown });
  const history = store.history(LIMITS.historyMax);
  if (!history.ok) return refused(history.fault);
  const before = eventsBefore(history.value, events);
  return ok({ last: `${newest}`, events: [...before, ...shown] });
}

/** What the history remembers from before the oldest event that is still there, oldest first. */
export function eventsBefore(
  rows: readonly HistoryRow[],
  kept: readonly Omit<StatusEvent, 'number'>[],
): readonly EventView[] {
  const from = kept[0]?.at ?? Number.MAX_SAFE_INTEGER;
  return rows
    .filter(({ at }) => at <= from + SAME_MOMENT_MS)
    .toReversed()
    .flatMap(eventOfHistory)
    .filter((event) => !kept.some((other) => isSame(event, other)));
}

/** One event, told by the outbox and by the history: what happened to which point, at one moment. */
function isSame(a: EventView, b: Omit<StatusEvent, 'number'>): boolean {
  if (a.code !== b.code || Math.abs(a.at - b.at) > SAME_MOMENT_MS) return false;
  const point = (message: string) => message.split(' ', 1)[0];
  return !a.code.startsWith('state.') || point(a.message) === point(b.message);
}

function eventOfHistory(row: HistoryRow): readonly EventView[] {
  const { at, channel, point, via, code, message } = row;
  const place = { at, channel };
  if (row.outcome === 'applied' && point) {
    const { tookMs } = row;
    if (row.deployment !== undefined) {
      const at = { ...place, deployment: row.deployment };
      return [plain(eventOf('deployment.applied', at, { point }))];
    }
    return [plain(eventOf('state.applied', place, { point, via: via ?? 'registry', tookMs }))];
  }
  if (row.outcome === 'rolled-back' && point) {
    return [plain(eventOf('state.rolled-back', place, { from: null, to: point, reason: '' }))];
  }
  if (code === null) return [];
  const cause: EventView = { number: '', at, code, channel, deployment: '', message };
  if (point === null || row.outcome === 'refused') return [cause];
  if (row.outcome === 'rejected') {
    return [cause, plain(eventOf('state.rejected', place, { point, code }))];
  }
  // The row does not say where the undo led back to.
  if (row.deployment !== undefined) {
    const at = { ...place, deployment: row.deployment };
    return [cause, plain(eventOf('deployment.undone', at, { point, code }))];
  }
  const undone = `${pointText(point)} undone (${code})`;
  return [cause, { ...cause, code: 'state.undone', message: undone }];
}

function plain(event: Omit<StatusEvent, 'number'>): EventView {
  return { ...event, number: '' };
}

function eventView(event: StatusEvent): EventView {
  return { ...event, number: `${event.number}` };
}
