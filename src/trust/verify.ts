/**
 * Is this statement acceptable to this device? Checks 5–15 of DESIGN section 5, in that order, each
 * ending the judgement where it fails: authorship.ts is 5–12, the rest is here. Checks 0–4 are the
 * caller's (time.ts makes the view; sources fetch by digest under caps), 16–23 are apply's.
 *
 * Invariants: pure, so one offer against one state of trust has one verdict; a verdict never
 * changes the floor, only acceptance (check 19) does.
 */
import type { Code } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Point } from '#state/point.ts';
import type { RootChannel } from '#state/root.ts';
import type { Freshness, StatusPoint, Via } from '#state/status.ts';
import { type AttestationFacts, isAttestedHead, judgeUnattested } from './attestation.ts';
import { judgeAudience } from './audience.ts';
import {
  type Authority,
  type Judge,
  judgeAuthorship,
  type Signed,
  type Unacceptable,
  unacceptable,
} from './authorship.ts';
import { judgeFreshness } from './freshness.ts';
import { judgeAgentVersion, judgeRemoval } from './guards.ts';
import { type CheckTrace, type Outcome, passed, traced } from './outcome.ts';
import { judgeSequence, type Newness } from './sequence.ts';

/** What some source holds out. Nothing of it is believed. */
export interface Offer extends Signed {
  readonly via: Via;
  /** highest verified point that this same source showed before (a verdict's `offered`) */
  readonly sourceHighest: Point | null;
  /** a broker's retained message; default false */
  readonly retained?: boolean;
}

/** What this device holds. */
export interface Trusted extends Authority, AttestationFacts {
  readonly floor: StatusPoint | null;
  /** proven and in force */
  readonly appliedDigest: Digest | null;
  readonly rejected: ReadonlyMap<Digest, { readonly code: Code; readonly message: string }>;
  readonly device: DeviceFacts;
  readonly agentVersion: string;
  readonly appliedPoint: StatusPoint | null;
  readonly appliedIds: readonly string[];
}

export type Verdict = (Acceptable | Unacceptable) & { readonly checks: readonly CheckTrace[] };

export interface Acceptable {
  /** new; accepted before but not applied; applied already: nothing to do */
  readonly kind: Newness;
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly freshness: Freshness;
}

export function verifyStatement(offer: Offer, trusted: Trusted): Verdict {
  const checks: CheckTrace[] = [];
  const judge: Judge = (number, outcome) => traced(checks, number, outcome);
  const authored = judgeAuthorship(offer, trusted, judge); // Checks 5–12
  if (authored.kind !== 'authored') return { ...authored, checks };
  const { state, envelope, channel, time } = authored;
  const judged = judgeForDevice(state, channel, { offer, trusted: { ...trusted, time }, judge });
  return judged.kind === 'passed'
    ? { ...judged.value, state, envelope, checks }
    : { ...unacceptable(judged, state.point), checks };
}

/** Checks 12–15: what it means for this device, now that it is known who says it. */
function judgeForDevice(
  state: DesiredState,
  channel: RootChannel,
  { offer, trusted, judge }: { offer: Offer; trusted: Trusted; judge: Judge },
): Outcome<{ kind: Newness; freshness: Freshness }> {
  const addressed = judge(12, judgeAudience(state.audience, trusted.device)); // Check 12
  if (addressed.kind !== 'passed') return addressed;
  const { floor, appliedDigest, rejected } = trusted;
  const { via, sourceHighest, retained = false } = offer;
  const facts = { floor, appliedDigest, rejected, via, sourceHighest, retained };
  const newness = judge(13, judgeSequence(state.point, { ...facts, rootEpoch: channel.epoch })); // Check 13
  if (newness.kind !== 'passed') return newness;
  const fresh = judgeFreshness(state.notAfter, trusted.time, trusted.clock);
  if (newness.value === 'current') {
    // what runs is not stopped by age: the checks below are for new state only
    const byTime = fresh.kind === 'passed' ? fresh.value : 'unknown';
    const freshness = isAttestedHead(state, trusted) ? 'attested' : byTime;
    return passed({ kind: 'current', freshness }, newness.compared);
  }
  const fit = judge(14, fresh); // Check 14
  if (fit.kind !== 'passed') return fit;
  const proved = newness.value === 'accept' ? judgeUnattested(state, trusted) : null;
  if (proved) judge(14, proved);
  if (proved && proved.kind !== 'passed') return proved;
  const agent = judge(15, judgeAgentVersion(state.minAgentVersion, trusted.agentVersion)); // Check 15
  if (agent.kind !== 'passed') return agent;
  const removal = judge(15, judgeRemoval(state, trusted.appliedIds, trusted.appliedPoint));
  if (removal.kind !== 'passed') return removal;
  const freshness = isAttestedHead(state, trusted) ? 'attested' : fit.value;
  return passed({ kind: newness.value, freshness }, newness.compared);
}
