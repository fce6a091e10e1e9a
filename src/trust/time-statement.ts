/**
 * Check 0 by somebody's word: a statement that the role `time` of the root signed. It goes through
 * the checks of a state, in their order: envelope, payload type, root, threshold, payload, names.
 * With a nonce that this device made and still waits for, it binds the time to an interval: it was
 * made after the nonce and before now (ATTACKS R06). Without one it is a lower bound, however old.
 *
 * Invariants: pure; nothing of the payload is parsed before enough keys have signed it; no other
 * role may sign one, and its payload type makes it nothing else. What an accepted one does to floor
 * and grade is agent/time.ts.
 * @see https://uptane.org/docs/2.1.0/standard/uptane-standard section 5.4.2 (signed time, nonce)
 */

import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { TIME_ROLE, type TimeStatement } from '#state/time-statement.ts';
import { readTimeStatement } from '#wire/time-statement.ts';
import { judgeCritical } from './critical.ts';
import { openEnvelope } from './open-envelope.ts';
import { type Outcome, passed, stop, stopWith, wait } from './outcome.ts';
import { countSigners } from './threshold.ts';
import { instantText, type TimeView } from './time.ts';

export interface TimeFacts {
  /** the newest held */
  readonly root: Root;
  readonly allowDemo: boolean;
  readonly deviceId: string;
  readonly time: TimeView;
  /** ms of CLOCK_BOOTTIME since this nonce was made; null: it is not waited for (any more) */
  askedAgoMs(nonce: Uint8Array): number | null;
}

export interface JudgedTime {
  readonly statement: TimeStatement;
  /** of its payload */
  readonly digest: Digest;
  /** ms since the nonce was made that it answers; null: it is for everyone, or at least not bound */
  readonly askedAgoMs: number | null;
}

const EXPECTED = { type: PAYLOAD.time, bytesMax: LIMITS.timeBytes, what: 'the time statement' };

export function judgeTimeStatement(
  offered: Uint8Array | Envelope,
  facts: TimeFacts,
): Outcome<JudgedTime> {
  const opened = openEnvelope(offered, EXPECTED); // Checks 5 and 6
  if (opened.kind !== 'passed') return opened;
  const envelope = opened.value;
  const signed = judgeTimeSigners(envelope, facts);
  if (signed.kind !== 'passed') return signed;
  const read = readTimePayload(envelope.payload, facts.root);
  if (read.kind !== 'passed') return read;
  const statement = read.value;
  const bound = judgeAnswer(statement, facts);
  if (bound.kind !== 'passed') return bound;
  const plausible = judgePlausible(statement, bound.value ?? 0, facts.time);
  if (plausible.kind !== 'passed') return plausible;
  const what = bound.value === null ? 'a lower bound' : `an answer after ${bound.value} ms`;
  const compared = `${instantText(statement.at)}, ${what}, ${signed.compared}`;
  return passed({ statement, digest: sha256(envelope.payload), askedAgoMs: bound.value }, compared);
}

/** Checks 7–10: the root is in force by the floor, and enough keys of its role `time` signed. */
function judgeTimeSigners(envelope: Envelope, facts: TimeFacts): Outcome<undefined> {
  const { root, allowDemo, time } = facts;
  if (root.demo && !allowDemo) return stop('trust.demo-root', {});
  if (root.notAfter !== 0 && root.notAfter < time.floorMs) {
    const [notAfter, floor] = [instantText(root.notAfter), instantText(time.floorMs)];
    return stop('trust.root-expired', { notAfter, floor });
  }
  const role = root.roles.find(({ name }) => name === TIME_ROLE);
  // Check 10
  if (!role || role.threshold < 1) return stop('trust.threshold-missing', { role: TIME_ROLE });
  const { signers, unusable } = countSigners(envelope, root, role, time.floorMs);
  const { threshold } = role;
  const got = signers.length;
  if (got >= threshold) return passed(undefined, `${got} of ${threshold} keys of ${TIME_ROLE}`);
  const reasons = unusable.map((why) => `; ${why}`).join('');
  return stop('trust.threshold', { role: TIME_ROLE, got, threshold, unusable: reasons });
}

// Checks 11 and 12
function readTimePayload(payload: Uint8Array, root: Root): Outcome<TimeStatement> {
  const read = readTimeStatement(payload);
  if (!read.ok) return stopWith(read.fault);
  const statement = read.value;
  const critical = judgeCritical(statement.critical, 'time statement');
  if (critical.kind !== 'passed') return critical;
  if (statement.fleet !== root.fleet) {
    return stop('trust.wrong-fleet', { offered: statement.fleet, own: root.fleet });
  }
  if (statement.rootVersion > root.version) {
    const needs = `root version ${statement.rootVersion}`;
    return wait('trust.root-missing', { needs, held: `version ${root.version}` });
  }
  // What was said before a time reset must not come again: only a nonce tells old from new.
  if (statement.nonce.length === 0 && statement.rootVersion < root.version) {
    return stop('trust.time-root', { made: statement.rootVersion, held: root.version });
  }
  return passed(statement, critical.compared);
}

/** Check 12: whom it answers. Null: nobody, and then it binds nothing. */
function judgeAnswer(
  { nonce, deviceId }: TimeStatement,
  { deviceId: own, askedAgoMs }: TimeFacts,
): Outcome<number | null> {
  if (deviceId !== '' && deviceId !== own) {
    return stop('trust.time-device', { offered: deviceId, own });
  }
  if (nonce.length === 0) return passed(null, 'for everyone');
  const ago = askedAgoMs(nonce);
  if (ago === null) return stop('trust.time-nonce', { device: own });
  return deviceId === own
    ? passed(ago, 'its own nonce')
    : stop('trust.time-device', { offered: 'no device', own });
}

/** An old statement for everyone is old news; an answer from before the floor contradicts it. */
function judgePlausible(
  { at, notAfter, nonce }: TimeStatement,
  agoMs: number,
  { floorMs }: TimeView,
): Outcome<undefined> {
  const said = { at: instantText(at), floor: instantText(floorMs) };
  if (at > floorMs + LIMITS.wallAheadMs) {
    return stop('trust.time-implausible', { ...said, why: 'more than ten years later' });
  }
  if (nonce.length > 0 && at + agoMs < floorMs) {
    return stop('trust.time-implausible', { ...said, why: 'an answer must not be earlier' });
  }
  // Check 14
  return notAfter !== 0 && notAfter < floorMs
    ? stop('trust.expired', { notAfter: instantText(notAfter), floor: said.floor })
    : passed(undefined, said.at);
}
