/** The end of a change that recovery took up: no look stands behind it that would tell it. */
import type { Change, Outcome } from '#apply/transaction.ts';
import type { Point } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import type { Follower } from './follow.ts';

/** Of values their own channel tells it. */
export function tellRefused(
  follower: Pick<Follower, 'noteRefusal'>,
  change: Change,
  outcome: Outcome,
): void {
  if (outcome.kind !== 'rejected' || change.kind === 'values') return;
  follower.noteRefusal(outcome.fault, pointOf(change.to), change.via);
}

export function pointOf({ epoch, sequence, stateDigest }: StatusPoint): Point {
  return { epoch, sequence, digest: stateDigest };
}
