/**
 * Check 14, where an owner or a signer wants more than an estimate: how old a state may be that this
 * device takes while it cannot prove what time it is. Time statements cure it (time-statement.ts).
 * Only new state waits: what runs goes on, and what was accepted is finished.
 */
import type { DesiredState } from '#state/desired-state.ts';
import { comparePoints, type Point, pointText } from '#state/point.ts';
import { durationText } from '#state/quantity.ts';
import { type Outcome, passed, wait } from './outcome.ts';
import type { TimeView } from './time.ts';

/** What the last answer to a nonce of this device said, carried on by CLOCK_BOOTTIME. */
export interface Attestation {
  /** Unix ms that it said: tells one from the next */
  readonly atMs: number;
  /** ms since */
  readonly ageMs: number;
  /** what it named as the head of the channel that is judged; null: it named none */
  readonly head: Point | null;
}

export interface AttestationFacts {
  readonly time: TimeView;
  /** default: nothing was attested */
  readonly attestation?: Attestation | null;
  /** the owner's trust.unattestedMax, ms; 0, the default: none */
  readonly unattestedMaxMs?: number;
}

/** Check 14. Null: neither owner nor signer asks for it. */
export function judgeUnattested(
  state: DesiredState,
  { attestation = null, unattestedMaxMs = 0, time }: AttestationFacts,
): Outcome<undefined> | null {
  const limits = [unattestedMaxMs, state.policy.unattestedMaxMs].filter((ms) => ms > 0);
  if (limits.length === 0) return null;
  const mostMs = Math.min(...limits);
  const attested = time.grade === 'attested' && attestation !== null;
  const { head = null, ageMs = 0 } = attested ? attestation : {};
  const behind = head !== null && comparePoints(state.point, head) < 0;
  if (attested && ageMs <= mostMs && !behind) {
    return passed(undefined, `the time was attested ${durationText(wholeSeconds(ageMs))} ago`);
  }
  const most = durationText(mostMs);
  if (!attested && !time.wallPlausible) {
    return wait('trust.unattested', { age: 'how old it is cannot be told', most });
  }
  if (state.issuedAt === 0) return wait('trust.unattested', { age: 'it has no date', most });
  const oldMs = Math.max(0, time.estimateMs - state.issuedAt);
  if (oldMs <= mostMs) {
    return passed(undefined, `${durationText(wholeSeconds(oldMs))} old, at most ${most}`);
  }
  const newer = behind && head ? `, and ${pointText(head)} is known` : '';
  const age = `it is ${durationText(wholeSeconds(oldMs))} old by ${time.grade} time${newer}`;
  return wait('trust.unattested', { age, most });
}

/** Fresh beyond doubt: what the time authority named as the newest there is. */
export function isAttestedHead(
  { point }: DesiredState,
  { attestation = null, time }: AttestationFacts,
): boolean {
  return time.grade === 'attested' && attestation?.head?.digest === point.digest;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1_000) * 1_000;
}
