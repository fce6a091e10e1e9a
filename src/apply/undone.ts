/**
 * The end of a change that was undone: one commit that says so, and whether it is tried again (check 21).
 * Of a part of a statement its row says it (open-parts.ts): the others go on, no verdict on the whole.
 */
import type { Fault } from '#errors/fault.ts';
import type { ChannelRow, Intent, OpenParts } from '#state/channel-row.ts';
import type { RejectedMark } from '#wire/records.ts';
import { historyOf } from './history-line.ts';
import { entered, givenUp, mayTryAgain, partUndone, retriable, undoing } from './journal.ts';
import { isOfDisk } from './of-disk.ts';
import { failedParts, failureIn } from './open-parts.ts';
import { readRow } from './read-row.ts';
import { restoreReplaced, settleStuck } from './replaced.ts';
import type { ApplyContext, Change, Outcome } from './transaction.ts';

/** Check 21: rejected, unless what failed may pass by itself and tries are left. */
export function finishUndo(
  context: ApplyContext,
  change: Change,
  why: Fault,
  superseded: boolean,
): Outcome {
  const row = readRow(context.store, change);
  if (!row.ok) return { kind: 'stuck', fault: row.fault };
  const current = undoing(row.value, why, superseded);
  const { intent } = current;
  const again =
    change.kind !== 'rollback' && intent !== null && !superseded && mayTryAgain(intent, why);
  const ended = !again && !superseded;
  const rejected = ended && change.kind === 'apply' && !change.part;
  const { fleet, channel } = change;
  const refusal = { point: change.to, code: why.code, message: why.message, deployment: '' };
  if (rejected) markRejected(context, { fleet, channel, row: refusal });
  // The whole old state is back: what an undo before this one left half done is over.
  const next = {
    ...closed(current, { again, superseded, why, isPart: !!change.part }),
    degraded: null,
  };
  const done = context.store.transaction((tx) => {
    tx.putChannel(next);
    if (rejected) {
      const { code, message } = why;
      tx.putRejected(change.fleet, change.channel, {
        point: change.to,
        code,
        message,
        deployment: '',
      });
    }
    tx.addHistory(
      historyOf(context, change, superseded ? 'undone' : rejected ? 'rejected' : 'undone', why),
    );
    restoreReplaced(
      tx,
      change,
      intent && openAfterUndo(change, { intent, again, superseded, why }),
    );
    settleStuck(tx, change, row.value);
    const part = change.part && { part: change.part };
    const what = { row: next, point: change.to, fault: why, change: change.kind, ...part };
    context.beside(tx, { kind: 'undone', rejected: ended && change.kind !== 'rollback', ...what });
  });
  if (!done.ok) return { kind: 'stuck', fault: done.fault };
  context.onPhase(next.intent?.phase ?? 'idle', next);
  if (superseded) return { kind: 'superseded' };
  return { kind: again ? 'waiting' : 'rejected', fault: why };
}

/** The second copy of a rejection, beside the statement: it survives the loss of the store. */
function markRejected({ content, log }: ApplyContext, mark: RejectedMark): void {
  const marked = content.markRejected(mark);
  const done = marked.ok ? content.sync() : marked;
  if (!done.ok) log.write('warn', 'rejection.unmarked', { code: done.fault.code });
}

interface Ending {
  readonly again: boolean;
  readonly superseded: boolean;
  readonly why: Fault;
}

function closed(
  row: ChannelRow,
  { again, superseded, why, isPart }: Ending & { readonly isPart: boolean },
): ChannelRow {
  if (isPart) return superseded ? entered(row, 'undone') : partUndone(row);
  if (again) return retriable(row, why);
  return superseded ? givenUp(row) : entered(row, 'undone');
}

/** The count of a part outlives its undo; a try that the disk ended (of-disk.ts) or the operator is given back. */
function openAfterUndo(
  { part, stateRow: { open } }: Change,
  { intent, again, superseded, why }: Ending & { readonly intent: Intent },
): OpenParts | null {
  if (!part || !open) return null;
  const back = intent.restarting === true || isOfDisk(why.code);
  const tries = back ? Math.max(0, intent.tries - 1) : intent.tries;
  const ended = !again && !superseded;
  return failedParts(open, part, { tries, ended, failure: failureIn(why) });
}
