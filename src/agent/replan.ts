/**
 * Other values of this device, and a state in force that names some: planned anew and brought into
 * force as a change of its own, proven and undone like any. What differs in no value stays as it is.
 * The end of every other change comes back here, so values that came meanwhile are not forgotten.
 */
import type { Change } from '#apply/transaction.ts';
import { type Fault, fault, type Result, refused } from '#errors/fault.ts';
import type { Log } from '#platform/log.ts';
import { pointText } from '#state/point.ts';
import type { Follower } from './follow.ts';
import type { Runner } from './runner.ts';

export interface ReplanParts {
  readonly follower: Follower;
  readonly runner: Runner;
  readonly log: Log;
  makeValuesChange(signal: AbortSignal): Promise<Result<Change | null>>;
  rejectValues(why: Fault): void;
}

/**
 * `ended`: a change came to its end, and other values may have come meanwhile; `told`: why there is
 * none; `later`: it is tried again after a while.
 */
export async function replan(
  parts: ReplanParts,
  signal: AbortSignal,
): Promise<'nothing' | 'ended' | 'told' | 'later'> {
  const { follower, runner } = parts;
  const { applied, hold, intent } = follower.row();
  const open = intent !== null && (intent.kind !== 'values' || intent.phase !== 'waiting');
  if (!applied || hold || open || runner.busy) return 'nothing';
  if (follower.paused() || follower.safeMode()) return 'nothing';
  const first = await parts.makeValuesChange(signal);
  if (!first.ok) return notMade(parts, first.fault);
  if (!first.value) return 'nothing';
  const { epoch, sequence, stateDigest: digest } = applied;
  const end = await runner.run({
    point: { epoch, sequence, digest },
    manifestDigest: null,
    async make(ended) {
      const change = await parts.makeValuesChange(ended);
      if (!change.ok) return change;
      const point = pointText(applied);
      return change.value
        ? { ok: true, value: change.value }
        : refused(fault('apply.superseded', { point }));
    },
  });
  if (end.kind === 'superseded') return 'nothing';
  if (end.kind === 'not-made') return notMade(parts, end.fault);
  const { outcome } = end;
  const code = 'fault' in outcome ? outcome.fault.code : '';
  parts.log.write('info', `replan.${outcome.kind}`, { point: pointText(applied), code });
  return outcome.kind === 'waiting' || outcome.kind === 'stuck' ? 'later' : 'ended';
}

/** What can never be used here makes way for the values before it; all else is waited for. */
function notMade({ follower, rejectValues }: ReplanParts, why: Fault): 'nothing' | 'told' {
  if (why.code === 'apply.superseded') return 'nothing';
  if (why.retry !== 'never') {
    follower.noteFault(why, null, null);
    return 'told';
  }
  rejectValues(why);
  return 'told';
}
