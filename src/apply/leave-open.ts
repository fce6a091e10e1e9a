/**
 * A change that is under way when the operator stops what runs (`holdfast stop`): it is neither judged
 * nor undone by what is no longer there to be judged. It ends at its next step and stays open in the
 * journal; the next start goes on with it (recover.ts), and no try was cut.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Fleet } from '#state/names.ts';
import { leftOpen } from './journal.ts';
import type { ApplyContext } from './transaction.ts';

/** What the signal of a transaction aborts with, instead of a newer state. */
const LEAVE_OPEN = 'leave open';

export function leaveOpen(running: AbortController): void {
  running.abort(LEAVE_OPEN);
}

export function isLeftOpen(signal: AbortSignal): boolean {
  return signal.aborted && signal.reason === LEAVE_OPEN;
}

/** Before the step that is under way has ended: whoever asked may not wait for that. */
export function recordLeftOpen(
  { store, onPhase }: Pick<ApplyContext, 'store' | 'onPhase'>,
  fleet: Fleet,
  channel: string,
): Result<void> {
  const row = store.channel(fleet, channel);
  if (!row.ok) return row;
  const next: ChannelRow | null = row.value && leftOpen(row.value);
  if (!next?.intent) return ok();
  const done = store.transaction((tx) => tx.putChannel(next));
  if (done.ok) onPhase(next.intent.phase, next);
  return done;
}
