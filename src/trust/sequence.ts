/**
 * Check 13: a statement is newer than all that this device accepted of the channel. (epoch,
 * sequence) in that order, against the floor, which only acceptance raises. The state digest tells
 * a repeated statement from two statements under one number.
 */
import type { Code } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import { comparePoints, type Point, pointText } from '#state/point.ts';
import type { StatusPoint, Via } from '#state/status.ts';
import { attack, type Outcome, passed, recordedFault, stop, stopWith, wait } from './outcome.ts';

export type Newness = 'accept' | 'resume' | 'current';

export interface SequenceFacts {
  readonly floor: StatusPoint | null;
  readonly appliedDigest: Digest | null;
  readonly rejected: ReadonlyMap<Digest, { readonly code: Code; readonly message: string }>;
  /** the channel's epoch in the newest root held */
  readonly rootEpoch: bigint;
  /** the highest verified point that this same source showed before */
  readonly sourceHighest: Point | null;
  readonly via: Via;
  /** a broker repeats what it retained: old news there are no attack */
  readonly retained: boolean;
}

// Check 13
export function judgeSequence(offered: Point, facts: SequenceFacts): Outcome<Newness> {
  const { floor } = facts;
  const order = floor ? comparePoints(offered, floor) : 1;
  if (floor && order < 0) return lower(offered, floor, facts);
  if (floor && order === 0) {
    if (offered.digest !== floor.stateDigest) {
      return attack('trust.equivocation', {
        point: pointText(offered),
        offered: offered.digest,
        accepted: floor.stateDigest,
      });
    }
    const compared = `${pointText(offered)} is the floor`;
    if (offered.digest === facts.appliedDigest) return passed('current', `${compared}, applied`);
    const failure = facts.rejected.get(offered.digest);
    if (failure) return stopWith(recordedFault(failure.code, failure.message));
    return ofThisEpoch(offered, facts.rootEpoch, passed('resume', `${compared}, not applied`));
  }
  const above = floor ? `above ${pointText(floor)}` : 'the first of this channel here';
  return ofThisEpoch(offered, facts.rootEpoch, passed('accept', `${pointText(offered)}, ${above}`));
}

/**
 * Old mirrors, sticks and retained messages are part of life; only a source that goes back behind
 * what it had shown itself is reported as an attack.
 */
function lower(offered: Point, floor: StatusPoint, facts: SequenceFacts): Outcome<Newness> {
  const showed = facts.sourceHighest;
  const lasting = facts.via === 'bundle' || facts.retained;
  const compared = { offered: pointText(offered), floor: pointText(floor) };
  return !lasting && showed !== null && comparePoints(offered, showed) < 0
    ? attack('trust.rollback', compared)
    : stop('source.stale', compared);
}

/** The root's epoch is the only one in which anything new may begin (recovery from a fast-forward). */
function ofThisEpoch(
  offered: Point,
  rootEpoch: bigint,
  otherwise: Outcome<Newness>,
): Outcome<Newness> {
  if (offered.epoch < rootEpoch) {
    return stop('trust.epoch', { offered: pointText(offered), epoch: rootEpoch });
  }
  if (offered.epoch > rootEpoch) {
    return wait('trust.root-missing', {
      needs: `epoch ${offered.epoch}`,
      held: `epoch ${rootEpoch}`,
    });
  }
  return otherwise;
}
