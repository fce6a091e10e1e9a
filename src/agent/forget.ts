/**
 * `holdfast forget CHANNEL`: takes out of force what a channel left here that is no longer followed, and
 * forgets the channel. The operator's act, never a state's. Programs are stopped and files taken away
 * in reverse order, what stood at their targets before comes back; data directories stay unless they
 * say `purge`. The row goes last, in one commit: after a cut in between it is all still told, and the same
 * command ends it. Nothing of a channel that is followed is touched.
 */
import { orphansOf } from '#apply/orphans.ts';
import { doStep } from '#apply/transaction.ts';
import type { ForgottenView } from '#control/api.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Step } from '#plan/step.ts';
import { stepsBetween } from '#plan/steps.ts';
import { eventOf } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Assembled } from './assemble.ts';
import { orphanName } from './orphan-status.ts';

export async function forget(assembled: Assembled, name: string): Promise<Result<ForgottenView>> {
  const { base, context } = assembled;
  const own = context.followed;
  const orphans = orphansOf(base, own);
  const found = orphans.find(({ row }) => orphanName(row, own) === name);
  if (!found?.row.applied) {
    const known = orphans.map(({ row }) => orphanName(row, own)).join(', ');
    return refuse('agent.not-orphaned', { channel: name, known: known || 'none' });
  }
  if (assembled.busy()) return refuse('agent.busy', { what: `forgetting ${name}` });
  const steps = stepsBetween(found.generations, []);
  const endTurn = await assembled.turns.take(name, new AbortController().signal);
  try {
    const gone = await takeAway(assembled, { steps, row: found.row, name });
    if (!gone.ok) return gone;
  } finally {
    endTurn?.();
  }
  assembled.delivery?.changed('phase');
  return ok({ channel: name, removed: found.generations.map(({ id }) => id) });
}

async function takeAway(
  assembled: Assembled,
  {
    steps,
    row,
    name,
  }: { readonly steps: readonly Step[] } & {
    readonly row: ChannelRow;
    readonly name: string;
  },
): Promise<Result<void>> {
  for (const step of steps) {
    const done = await doStep(assembled.context, step);
    if (!done.ok) return done;
  }
  return remove(assembled, row, name);
}

/** One commit: the row, its states and rejections, the event, the audit entry. */
function remove({ base, context }: Assembled, row: ChannelRow, name: string): Result<void> {
  const { fleet, channel, applied } = row;
  const done = base.store.transaction((tx) => {
    const states = tx.states(fleet, channel);
    for (const { stateDigest } of states.ok ? states.value : []) {
      tx.removeState(fleet, channel, stateDigest);
    }
    const rejected = tx.rejected(fleet, channel);
    for (const { point } of rejected.ok ? rejected.value : []) {
      tx.removeRejected(fleet, channel, point.stateDigest);
    }
    tx.removeChannel(fleet, channel);
    queueEvent(tx, eventOf('channel.forgotten', { at: context.clock.wallMs(), channel: name }));
    base.audit.add(tx, { kind: 'forgotten', actor: 'operator', channel: name, point: applied });
  });
  if (done.ok) base.audit.landed();
  return done;
}
