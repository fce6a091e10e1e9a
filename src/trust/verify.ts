/**
 * Is this statement acceptable? Checks 5–15 of DESIGN section 5, in that order, each ending the
 * judgement where it fails. Checks 0–4 are the caller's (time.ts makes the view; sources fetch by
 * digest under caps), 16–23 are apply's.
 *
 * Invariants: pure, so one offer against one state of trust has one verdict; nothing of the payload
 * is parsed before enough keys have signed it; `offered` is set only from signed bytes; a verdict
 * never changes the floor, only acceptance (check 19) does.
 */
import type { Code, Fault } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Point } from '#state/point.ts';
import { channelOf, type Root, type RootChannel } from '#state/root.ts';
import type { Freshness, StatusPoint, Via } from '#state/status.ts';
import { readDesiredState } from '#wire/desired-state.ts';
import { judgeAudience } from './audience.ts';
import { judgeCritical } from './critical.ts';
import { type ClockPolicy, judgeFreshness } from './freshness.ts';
import { judgeAgentVersion, judgeRemoval } from './guards.ts';
import { judgePayloadType, parseEnvelope } from './open-envelope.ts';
import {
  type CheckNumber,
  type CheckTrace,
  type Outcome,
  passed,
  type Stop,
  stop,
  stopWith,
  traced,
  wait,
} from './outcome.ts';
import { walkRoots } from './root-chain.ts';
import { judgeSequence, type Newness } from './sequence.ts';
import { countSigners } from './threshold.ts';
import { instantText, type TimeView } from './time.ts';

/** What some source holds out. Nothing of it is believed. */
export interface Offer {
  /** JSON bytes as they came, or what a protobuf twin held */
  readonly envelope: Uint8Array | Envelope;
  /** ascending */
  readonly roots: readonly (Uint8Array | Envelope)[];
  readonly via: Via;
  /** highest verified point that this same source showed before (a verdict's `offered`) */
  readonly sourceHighest: Point | null;
  /** a broker's retained message; default false */
  readonly retained?: boolean;
}

/** What this device holds. */
export interface Trusted {
  readonly root: Root;
  /** the channel that is followed: the statement must name it */
  readonly channel: string;
  readonly floor: StatusPoint | null;
  /** proven and in force */
  readonly appliedDigest: Digest | null;
  readonly rejected: ReadonlyMap<Digest, { readonly code: Code; readonly message: string }>;
  readonly time: TimeView;
  readonly clock: ClockPolicy;
  readonly device: DeviceFacts;
  readonly agentVersion: string;
  readonly allowDemo: boolean;
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

export interface Unacceptable {
  readonly kind: 'waiting' | 'refused';
  readonly fault: Fault;
  /** on this fleet's channel, by counted signatures; else null: nobody offered anything here */
  readonly offered: Point | null;
  /** always false for waiting */
  readonly attack: boolean;
}

export function verifyStatement(offer: Offer, trusted: Trusted): Verdict {
  const checks: CheckTrace[] = [];
  const judge = <T>(number: CheckNumber, outcome: Outcome<T>) => traced(checks, number, outcome);
  judge(0, describeTime(trusted.time));
  const signed = verifySigned(offer, trusted, judge);
  if (signed.kind !== 'passed') return { ...unacceptable(signed, null), checks };
  const { envelope, channel } = signed.value;

  const read = judge(11, readPayload(envelope)); // Check 11
  if (read.kind !== 'passed') return { ...unacceptable(read, null), checks };
  const state = read.value;
  const judged = judgeStatement(state, channel, { offer, trusted, judge });
  return judged.kind === 'passed'
    ? { ...judged.value, state, envelope, checks }
    : { ...unacceptable(judged, pointOnLine(state, trusted)), checks };
}

type Judge = <T>(number: CheckNumber, outcome: Outcome<T>) => Outcome<T>;

/** Checks 5–10: the envelope alone. */
function verifySigned(
  offer: Offer,
  trusted: Trusted,
  judge: Judge,
): Outcome<{ envelope: Envelope; channel: RootChannel }> {
  const limits = { bytesMax: LIMITS.envelopeBytes, what: 'the envelope' };
  const parsed = judge(5, parseEnvelope(offer.envelope, limits)); // Check 5
  if (parsed.kind !== 'passed') return parsed;
  const envelope = parsed.value;
  const typed = judge(6, judgePayloadType(envelope, PAYLOAD.desiredState)); // Check 6
  if (typed.kind !== 'passed') return typed;
  const walked = judge(7, walkRoots(trusted.root, offer.roots)); // Check 7
  if (walked.kind !== 'passed') return walked;
  const inForce = judge(7, judgeRoot(trusted));
  if (inForce.kind !== 'passed') return inForce;
  const channel = judgeSigners(envelope, trusted, judge); // Checks 8–10
  return channel.kind === 'passed'
    ? passed({ envelope, channel: channel.value }, channel.compared)
    : channel;
}

/** Checks 11–15: what the statement says, now that it is known who says it. */
function judgeStatement(
  state: DesiredState,
  channel: RootChannel,
  { offer, trusted, judge }: { offer: Offer; trusted: Trusted; judge: Judge },
): Outcome<{ kind: Newness; freshness: Freshness }> {
  const rooted = judge(11, judgeRootVersion(state, trusted.root));
  if (rooted.kind !== 'passed') return rooted;
  const named = judge(12, judgeNames(state, trusted)); // Check 12
  if (named.kind !== 'passed') return named;
  const addressed = judge(12, judgeAudience(state.audience, trusted.device));
  if (addressed.kind !== 'passed') return addressed;
  const { floor, appliedDigest, rejected } = trusted;
  const { via, sourceHighest, retained = false } = offer;
  const facts = { floor, appliedDigest, rejected, via, sourceHighest, retained };
  const newness = judge(13, judgeSequence(state.point, { ...facts, rootEpoch: channel.epoch })); // Check 13
  if (newness.kind !== 'passed') return newness;
  const fresh = judgeFreshness(state.notAfter, trusted.time, trusted.clock);
  if (newness.value === 'current') {
    // what runs is not stopped by age: the checks below are for new state only
    const freshness = fresh.kind === 'passed' ? fresh.value : 'unknown';
    return passed({ kind: 'current', freshness }, newness.compared);
  }
  const fit = judge(14, fresh); // Check 14
  if (fit.kind !== 'passed') return fit;
  const agent = judge(15, judgeAgentVersion(state.minAgentVersion, trusted.agentVersion)); // Check 15
  if (agent.kind !== 'passed') return agent;
  const removal = judge(15, judgeRemoval(state, trusted.appliedIds, trusted.appliedPoint));
  if (removal.kind !== 'passed') return removal;
  return passed({ kind: newness.value, freshness: fit.value }, newness.compared);
}

// Check 0
function describeTime({ floorMs, estimateMs, grade, wallPlausible }: TimeView): Outcome<undefined> {
  const wall = wallPlausible ? '' : ', the wall clock is implausible and does not count';
  const range = `at least ${instantText(floorMs)}, probably ${instantText(estimateMs)}`;
  return passed(undefined, `${range} (${grade})${wall}`);
}

/** Check 7: the root itself must be in force, as check 14 judges a statement. */
function judgeRoot({ root, time, clock, allowDemo }: Trusted): Outcome<undefined> {
  if (root.demo && !allowDemo) return stop('trust.demo-root', {});
  const fresh = judgeFreshness(root.notAfter, time, clock);
  if (fresh.kind === 'passed') return passed(undefined, `root ${root.version}: ${fresh.compared}`);
  if (fresh.kind === 'waiting') return fresh;
  return stop('trust.root-expired', {
    notAfter: instantText(root.notAfter),
    floor: instantText(time.floorMs),
  });
}

/** Checks 8–10, for the role that the root gives the followed channel. */
function judgeSigners(envelope: Envelope, trusted: Trusted, judge: Judge): Outcome<RootChannel> {
  const { root, time } = trusted;
  const channel = channelOf(root, trusted.channel);
  if (!channel) return judge(8, stop('trust.channel-unsigned', { channel: trusted.channel }));
  const role = root.roles.find(({ name }) => name === channel.role);
  // Check 10: zero or missing threshold refuses, before anything is counted
  if (!role || role.threshold < 1) {
    return judge(10, stop('trust.threshold-missing', { role: channel.role }));
  }
  const count = countSigners(envelope, root, role, time.floorMs);
  const { threshold, name } = role;
  const got = count.signers.length;
  judge(8, passed(undefined, `${count.keys} distinct keys of ${name} may count`));
  judge(9, passed(undefined, `${count.verifications} verifications, ${got} good`));
  const unusable = count.unusable.map((why) => `; ${why}`).join('');
  const signers = count.signers.map((keyid) => keyid.slice(0, 8)).join(', ');
  return judge(
    10,
    got >= threshold
      ? passed(channel, `${got} of ${threshold} keys of ${name}: ${signers}`)
      : stop('trust.threshold', { role: name, got, threshold, unusable }),
  );
}

/** Check 11: only now is the payload parsed. */
function readPayload(envelope: Envelope): Outcome<DesiredState> {
  const read = readDesiredState(envelope.payload);
  if (!read.ok) return stopWith(read.fault);
  const critical = judgeCritical(read.value.critical, 'statement');
  return critical.kind === 'passed' ? passed(read.value, critical.compared) : critical;
}

/** Check 11: a statement made under a root that this device has not seen. */
function judgeRootVersion({ rootVersion }: DesiredState, root: Root): Outcome<undefined> {
  return rootVersion > root.version
    ? wait('trust.root-missing', {
        needs: `root version ${rootVersion}`,
        held: `version ${root.version}`,
      })
    : passed(undefined, `made under root ${rootVersion}, held ${root.version}`);
}

/** Check 12: the right fleet and channel. wire/desired-state.ts has refused names that stand twice. */
function judgeNames(state: DesiredState, { root, channel }: Trusted): Outcome<undefined> {
  if (state.fleet !== root.fleet) {
    return stop('trust.wrong-fleet', { offered: state.fleet, own: root.fleet });
  }
  if (state.channel !== channel) {
    return stop('trust.wrong-channel', { offered: state.channel, followed: channel });
  }
  return passed(undefined, `fleet ${root.fleet.slice(0, 8)}, channel ${channel}`);
}

/** A point of another fleet or channel says nothing about how far this line has gone. */
function pointOnLine({ fleet, channel, point }: DesiredState, trusted: Trusted): Point | null {
  return fleet === trusted.root.fleet && channel === trusted.channel ? point : null;
}

function unacceptable({ kind, fault, attack }: Stop, offered: Point | null): Unacceptable {
  return { kind, fault, offered, attack };
}
