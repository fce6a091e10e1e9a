/**
 * Who says what: checks 5–12 without the audience. This is as far as anyone gets who is no device:
 * the publisher reads a channel's head with it, `verify` a bundle. Devices go on in verify.ts.
 *
 * Invariants: nothing of the payload is parsed before enough keys have signed it; `offered` is set
 * only from signed bytes of this fleet and channel.
 */
import type { Fault } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import type { Point } from '#state/point.ts';
import { channelOf, type Root, type RootChannel } from '#state/root.ts';
import { payloadTypeOf, readStatement } from '#wire/margo-statement.ts';
import { judgeCritical } from './critical.ts';
import { type ClockPolicy, judgeFreshness } from './freshness.ts';
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
import { type OfferedRoot, walkRoots } from './root-chain.ts';
import { strangers } from './strangers.ts';
import { countSigners } from './threshold.ts';
import { instantText, resetTime, type TimeView } from './time.ts';

/** Whose word counts, and when it is. */
export interface Authority {
  readonly root: Root;
  /** the channel that is followed: the statement must name it */
  readonly channel: string;
  readonly time: TimeView;
  readonly clock: ClockPolicy;
  readonly allowDemo: boolean;
}

/** Bytes with the roots that came beside them. Nothing of them is believed. */
export interface Signed {
  /** JSON as it came, or what a protobuf twin held */
  readonly envelope: Uint8Array | Envelope;
  /** ascending; walked here in memory, so none from a caller that walked and kept them itself */
  readonly roots: readonly OfferedRoot[];
  /** what that caller's walk said, from the root it held on: the trace of check 7 */
  readonly walked?: readonly Outcome<unknown>[];
}

export interface Authored {
  readonly kind: 'authored';
  readonly state: DesiredState;
  readonly envelope: Envelope;
  /** the channel's entry in the root */
  readonly channel: RootChannel;
  /** the newest that is held or was walked to, and the time by it */
  readonly root: Root;
  readonly time: TimeView;
}

export interface Unacceptable {
  readonly kind: 'waiting' | 'refused';
  readonly fault: Fault;
  /** on this fleet's channel, by counted signatures; else null: nobody offered anything here */
  readonly offered: Point | null;
  /** always false for waiting */
  readonly attack: boolean;
}

/** Appends a row to the trace and hands the outcome on. */
export type Judge = <T>(number: CheckNumber, outcome: Outcome<T>) => Outcome<T>;

export function verifyAuthorship(
  signed: Signed,
  authority: Authority,
): (Authored | Unacceptable) & { readonly checks: readonly CheckTrace[] } {
  const checks: CheckTrace[] = [];
  const judge: Judge = (number, outcome) => traced(checks, number, outcome);
  return { ...judgeAuthorship(signed, authority, judge), checks };
}

export function judgeAuthorship(
  offer: Signed,
  authority: Authority,
  judge: Judge,
): Authored | Unacceptable {
  judge(0, describeTime(authority.time));
  const signed = verifySigned(offer, authority, judge);
  if (signed.kind !== 'passed') return unacceptable(signed, null);
  const { envelope, channel, newest } = signed.value;
  const read = judge(11, readPayload(envelope, newest.root)); // Check 11
  if (read.kind !== 'passed') return unacceptable(read, null);
  const state = read.value;
  const offered = pointOnLine(state, newest);
  const rooted = judge(11, judgeRootVersion(state, newest.root));
  if (rooted.kind !== 'passed') return unacceptable(rooted, offered);
  const named = judge(12, judgeNames(state, newest)); // Check 12
  if (named.kind !== 'passed') return unacceptable(named, offered);
  const { root, time } = newest;
  return { kind: 'authored', state, envelope, channel, root, time };
}

/** Checks 5–10: the envelope alone. */
function verifySigned(
  offer: Signed,
  authority: Authority,
  judge: Judge,
): Outcome<{ envelope: Envelope; channel: RootChannel; newest: Authority }> {
  const limits = { bytesMax: LIMITS.envelopeBytes, what: 'the envelope' };
  const parsed = judge(5, parseEnvelope(offer.envelope, limits)); // Check 5
  if (parsed.kind !== 'passed') return parsed;
  const envelope = parsed.value;
  const typed = judge(6, judgePayloadType(envelope, payloadTypeOf(authority.channel))); // Check 6
  if (typed.kind !== 'passed') return typed;
  const newest = newestOf(offer, authority, judge); // Check 7
  const inForce = judge(7, judgeRoot(newest));
  if (inForce.kind !== 'passed') return inForce;
  const channel = judgeSigners(envelope, newest, judge); // Checks 8–10
  return channel.kind === 'passed'
    ? passed({ envelope, channel: channel.value, newest }, channel.compared)
    : channel;
}

/** Check 7: root first. An offered root that fails is told, and the statement judged without it. */
function newestOf({ roots, walked }: Signed, authority: Authority, judge: Judge): Authority {
  const before = walked ?? [passed(undefined, `root ${authority.root.version} held`)];
  for (const outcome of before) judge(7, outcome);
  let newest = authority;
  for (const step of walkRoots({ root: authority.root, digest: null }, roots)) {
    if (step.kind === 'refused') {
      judge(7, step.stop);
      continue;
    }
    const { root } = step.held;
    judge(7, passed(undefined, step.compared));
    const time = root.timeReset ? resetTime(newest.time, root.timeReset.notBefore) : newest.time;
    newest = { ...newest, root, time };
  }
  return newest;
}

// Check 0
function describeTime({ floorMs, estimateMs, grade, wallPlausible }: TimeView): Outcome<undefined> {
  const wall = wallPlausible ? '' : ', the wall clock is implausible and does not count';
  const range = `at least ${instantText(floorMs)}, probably ${instantText(estimateMs)}`;
  return passed(undefined, `${range} (${grade})${wall}`);
}

/** Check 7: the root itself must be in force, as check 14 judges a statement. */
function judgeRoot({ root, time, clock, allowDemo }: Authority): Outcome<undefined> {
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
function judgeSigners(
  envelope: Envelope,
  authority: Authority,
  judge: Judge,
): Outcome<RootChannel> {
  const { root, time } = authority;
  const channel = channelOf(root, authority.channel);
  if (!channel) return judge(8, stop('trust.channel-unsigned', { channel: authority.channel }));
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
  const why = [...count.unusable, ...strangers(envelope, root, role)];
  const unusable = why.map((text) => `; ${text}`).join('');
  const signers = count.signers.map((keyid) => keyid.slice(0, 8)).join(', ');
  return judge(
    10,
    got >= threshold
      ? passed(channel, `${got} of ${threshold} keys of ${name}: ${signers}`)
      : stop('trust.threshold', { role: name, got, threshold, unusable }),
  );
}

/** Check 11: only now is the payload parsed. A signed Margo manifest may name no fleet: its keys do. */
function readPayload(envelope: Envelope, { fleet }: Root): Outcome<DesiredState> {
  const read = readStatement(envelope);
  if (!read.ok) return stopWith(read.fault);
  const state = read.value.fleet === '' ? { ...read.value, fleet } : read.value;
  const critical = judgeCritical(state.critical, 'statement');
  return critical.kind === 'passed' ? passed(state, critical.compared) : critical;
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
function judgeNames(state: DesiredState, { root, channel }: Authority): Outcome<undefined> {
  if (state.fleet !== root.fleet) {
    return stop('trust.wrong-fleet', { offered: state.fleet, own: root.fleet });
  }
  if (state.channel !== channel) {
    return stop('trust.wrong-channel', { offered: state.channel, followed: channel });
  }
  return passed(undefined, `fleet ${root.fleet.slice(0, 8)}, channel ${channel}`);
}

/** A point of another fleet or channel says nothing about how far this line has gone. */
function pointOnLine({ fleet, channel, point }: DesiredState, authority: Authority): Point | null {
  return fleet === authority.root.fleet && channel === authority.channel ? point : null;
}

export function unacceptable({ kind, fault, attack }: Stop, offered: Point | null): Unacceptable {
  return { kind, fault, offered, attack };
}
