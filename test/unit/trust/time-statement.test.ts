/** Check 0 by somebody's word: signed time statements, what they bind, and what is made of them. */
import { describe, expect, test } from 'bun:test';
import type { Envelope } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { whyUnsound } from '#trust/root-sound.ts';
import { resetTime, viewTime } from '#trust/time.ts';
import { judgeTimeStatement, type TimeFacts } from '#trust/time-statement.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import {
  DAY,
  FLOOR,
  NOW,
  newKey,
  offer,
  ROOT_KEY,
  role,
  rootKey,
  rootWithTime,
  STABLE_KEY,
  signed,
  signedState,
  signedTime,
  statement,
  TIME_KEY,
  trusted,
  verdictText,
} from './world.ts';

const FLOOR_MS = NOW - 30 * DAY;
const OWN = new Uint8Array(16).fill(7);
const YEAR = 365 * DAY;
const press7 = { nonce: OWN, deviceId: 'press-7' };

function facts(more: Partial<TimeFacts> = {}): TimeFacts {
  return {
    root: rootWithTime(),
    allowDemo: false,
    deviceId: 'press-7',
    time: viewTime({ floorMs: FLOOR_MS, wallMs: 0 }),
    askedAgoMs: (nonce) => (Buffer.from(nonce).equals(OWN) ? 250 : null),
    ...more,
  };
}

function ends(envelope: Uint8Array | Envelope, more: Partial<TimeFacts> = {}): string {
  const outcome = judgeTimeStatement(envelope, facts(more));
  if (outcome.kind === 'passed') return outcome.value.askedAgoMs === null ? 'bound' : 'answer';
  return `${outcome.kind} ${outcome.fault.code}${outcome.attack ? ' attack' : ''}`;
}

describe('check 0: a time statement goes through the checks of a state', () => {
  const demo = rootWithTime({ demo: true });
  const ended = rootWithTime({ notAfter: FLOOR_MS - 1 });
  const two = rootWithTime({ roles: [role('root', [ROOT_KEY]), role('time', [TIME_KEY], 2)] });
  const none = rootWithTime({ roles: [role('root', [ROOT_KEY])] });
  const zero = rootWithTime({ roles: [role('root', [ROOT_KEY]), role('time', [TIME_KEY], 0)] });
  const past = rootWithTime({
    keys: [rootKey(ROOT_KEY), rootKey(TIME_KEY, { notAfter: FLOOR_MS - 1 })],
    roles: [role('root', [ROOT_KEY]), role('time', [TIME_KEY])],
    channels: [],
  });
  const rows: readonly [string, string, Envelope | Uint8Array, Partial<TimeFacts>?][] = [
    ['for everyone', 'bound', signedTime()],
    ['as JSON', 'bound', writeEnvelope(signedTime())],
    ['that answers our nonce', 'answer', signedTime(press7)],
    ['that is no envelope', 'refused format.json', Buffer.from('{')],
    ['above its size', 'refused trust.too-large', new Uint8Array(70_000)],
    ['signed by nobody', 'refused trust.threshold', signedTime({}, [])],
    ['signed by the key of a channel', 'refused trust.threshold', signedTime({}, [STABLE_KEY])],
    ['signed by the root keys', 'refused trust.threshold', signedTime({}, [ROOT_KEY])],
    ['signed by a stranger', 'refused trust.threshold', signedTime({}, [newKey()])],
    ['with one of two keys', 'refused trust.threshold', signedTime(), { root: two }],
    ['without such a role', 'refused trust.threshold-missing', signedTime(), { root: none }],
    ['under a threshold of 0', 'refused trust.threshold-missing', signedTime(), { root: zero }],
    ['by a key past its end', 'refused trust.threshold', signedTime(), { root: past }],
    ['under a root that ended', 'refused trust.root-expired', signedTime(), { root: ended }],
    ['under a demo root', 'refused trust.demo-root', signedTime(), { root: demo }],
    ['under a demo root, allowed', 'bound', signedTime(), { root: demo, allowDemo: true }],
    ['of another fleet', 'refused trust.wrong-fleet', signedTime({ fleet: 'ff'.repeat(16) })],
    ['from a newer root', 'waiting trust.root-missing', signedTime({ rootVersion: 2n })],
    ['with an unknown critical', 'refused trust.critical', signedTime({ critical: ['leap'] })],
    ['with known criticals', 'bound', signedTime({ critical: ['nonce', 'heads'] })],
    ['past its own end', 'refused trust.expired', signedTime({ notAfter: FLOOR_MS - 1 })],
  ];
  for (const [what, end, envelope, more] of rows) {
    test(`one ${what}: ${end}`, () => expect(ends(envelope, more)).toBe(end));
  }
});

describe('R06: an answer counts for the device and the nonce that it was made for, once', () => {
  const other = new Uint8Array(16).fill(8);
  const rows: readonly [string, string, Parameters<typeof signedTime>[0]][] = [
    ['another device’s nonce', 'refused trust.time-nonce', { nonce: other, deviceId: 'press-7' }],
    ['another device', 'refused trust.time-device', { nonce: OWN, deviceId: 'press-8' }],
    ['our nonce, no device', 'refused trust.time-device', { nonce: OWN }],
    ['for everyone, yet another device', 'refused trust.time-device', { deviceId: 'press-8' }],
    [
      'an answer before the floor',
      'refused trust.time-implausible',
      { ...press7, at: FLOOR_MS - 251 },
    ],
    ['an answer just at the floor', 'answer', { ...press7, at: FLOOR_MS - 250 }],
    ['old news for everyone', 'bound', { at: FLOOR_MS - YEAR }],
    ['+100 years', 'refused trust.time-implausible', { ...press7, at: NOW + 100 * YEAR }],
    ['+100 years for everyone', 'refused trust.time-implausible', { at: NOW + 100 * YEAR }],
  ];
  for (const [what, end, more] of rows) {
    test(`R06: ${what}: ${end}`, () => expect(ends(signedTime(more))).toBe(end));
  }
  test('R06: a nonce that was used or is too old is none', () => {
    expect(ends(signedTime(press7), { askedAgoMs: () => null })).toBe('refused trust.time-nonce');
  });
});

describe('R22: what was said under an older root, before a time reset perhaps', () => {
  const held = { root: rootWithTime({ version: 2n }) };
  test('does not come again for everyone', () => {
    expect(ends(signedTime({ rootVersion: 1n }), held)).toBe('refused trust.time-root');
    expect(ends(signedTime({ rootVersion: 0n }), held)).toBe('refused trust.time-root');
    expect(ends(signedTime({ rootVersion: 2n }), held)).toBe('bound');
  });
  test('counts as an answer, which nobody could have kept', () => {
    expect(ends(signedTime({ ...press7, rootVersion: 1n }), held)).toBe('answer');
  });
});

describe('what one role signs is nothing else', () => {
  test('S14: a state is no time, a time is no state', () => {
    expect(ends(signedState())).toBe('refused trust.payload-type');
    const verdict = verifyStatement(offer(signedTime({}, [STABLE_KEY])), trusted());
    expect(verdictText(verdict)).toBe('refused trust.payload-type');
    const disguised = signed(signedTime().payload, [STABLE_KEY], PAYLOAD.desiredState);
    expect(verdictText(verifyStatement(offer(disguised), trusted()))).toStartWith(
      'refused format.',
    );
  });
  test('the role of the time signs no channel', () => {
    const channels = [{ name: 'stable', role: 'time', epoch: 1n }];
    expect(whyUnsound(rootWithTime({ channels }))).toBe(
      'channel stable is signed by the role time',
    );
    expect(whyUnsound(rootWithTime())).toBeNull();
  });
});

describe('check 0: attested time wins over a wrong wall clock', () => {
  const attested = { earliestMs: NOW, latestMs: NOW + 2_000, ageMs: 0 };
  const seen = (wallMs: number, more = {}) => {
    const view = viewTime({ floorMs: NOW, wallMs, attested: { ...attested, ...more } });
    return [view.estimateMs - NOW, view.grade, view.wallPlausible];
  };
  test('in 1970 and in 2040 the estimate is what was attested', () => {
    expect(seen(0)).toEqual([1_000, 'attested', false]);
    expect(seen(NOW + 14 * YEAR)).toEqual([1_000, 'attested', false]);
  });
  test('a wall clock that agrees within minutes is finer, and never below the floor', () => {
    expect(seen(NOW + 1_500)).toEqual([1_500, 'attested', true]);
    expect(seen(NOW - 60_000)).toEqual([0, 'attested', true]);
    expect(seen(NOW + 11 * 60_000)).toEqual([1_000, 'attested', false]);
    expect(seen(NOW + 11 * 60_000, { ageMs: 10 * DAY })).toEqual([11 * 60_000, 'attested', true]);
  });
  test('R22: a time reset ends what was attested before it', () => {
    const view = viewTime({ floorMs: NOW, wallMs: 0, attested });
    const reset = resetTime(view, NOW - YEAR);
    const expected = { floorMs: NOW - YEAR, estimateMs: NOW - YEAR, wallPlausible: false };
    expect(reset).toEqual({ ...expected, grade: 'estimated' });
  });
});

describe('check 14: how old a state may be where the time is not attested', () => {
  const dead = viewTime({ floorMs: FLOOR_MS, wallMs: 0 });
  const wall = viewTime({ floorMs: FLOOR_MS, wallMs: NOW });
  const proved = viewTime({
    floorMs: NOW,
    wallMs: 0,
    attested: { earliestMs: NOW, latestMs: NOW, ageMs: 0 },
  });
  const state = signedState({ issuedAt: NOW - 10 * DAY });
  const head = { epoch: 1n, sequence: 59n, digest: FLOOR.stateDigest };
  const judge = (more: Parameters<typeof trusted>[0], envelope = state) =>
    verdictText(verifyStatement(offer(envelope), trusted(more)));
  const month = { unattestedMaxMs: 30 * DAY };
  const week = { unattestedMaxMs: 7 * DAY };
  const rows: readonly [string, string, Parameters<typeof trusted>[0]][] = [
    ['no limit', 'accept', { time: dead }],
    ['a dead clock', 'waiting trust.unattested', { ...month, time: dead }],
    ['within the limit by the wall clock', 'accept', { ...month, time: wall }],
    ['beyond it', 'waiting trust.unattested', { ...week, time: wall }],
    [
      'attested',
      'accept',
      { ...week, time: proved, attestation: { atMs: NOW, ageMs: 0, head: null } },
    ],
    [
      'attested too long ago, the state too old',
      'waiting trust.unattested',
      { ...week, time: proved, attestation: { atMs: NOW, ageMs: 8 * DAY, head: null } },
    ],
    [
      'attested too long ago, the state young',
      'accept',
      { ...month, time: proved, attestation: { atMs: NOW, ageMs: 31 * DAY, head: null } },
    ],
    [
      'attested, and a higher head is known',
      'waiting trust.unattested',
      { ...week, time: proved, attestation: { atMs: NOW, ageMs: 0, head } },
    ],
    [
      'an attestation that a reset ended',
      'waiting trust.unattested',
      { ...week, time: dead, attestation: { atMs: NOW, ageMs: 0, head: null } },
    ],
  ];
  for (const [what, end, more] of rows)
    test(`${what}: ${end}`, () => expect(judge(more)).toBe(end));
  test('the signer may ask for less than the owner, not for more', () => {
    const asks = (unattestedMaxMs: number) => {
      const { policy } = statement();
      return signedState({ issuedAt: NOW - 10 * DAY, policy: { ...policy, unattestedMaxMs } });
    };
    expect(judge({ time: wall }, asks(7 * DAY))).toBe('waiting trust.unattested');
    expect(judge({ ...month, time: wall }, asks(7 * DAY))).toBe('waiting trust.unattested');
    expect(judge({ ...week, time: wall }, asks(30 * DAY))).toBe('waiting trust.unattested');
    expect(judge({ ...month, time: wall }, signedState({ issuedAt: 0 }))).toBe(
      'waiting trust.unattested',
    );
  });
  test('what was accepted goes on, what is applied stays', () => {
    const { point } = { point: { ...FLOOR, sequence: 58n } };
    const digest = verifyStatement(offer(state), trusted());
    if (digest.kind !== 'accept') throw new Error(verdictText(digest));
    const floor = { ...point, stateDigest: digest.state.point.digest };
    expect(judge({ ...week, time: dead, floor, appliedDigest: null })).toBe('resume');
    expect(judge({ ...week, time: dead, floor, appliedDigest: floor.stateDigest })).toBe('current');
  });
  test('what the time authority names as the head is fresh', () => {
    const first = verifyStatement(offer(state), trusted());
    if (first.kind !== 'accept') throw new Error(verdictText(first));
    const named = { atMs: NOW, ageMs: 0, head: first.state.point };
    const again = verifyStatement(offer(state), trusted({ time: proved, attestation: named }));
    expect(again.kind === 'accept' && [first.freshness, again.freshness]).toEqual([
      'unknown',
      'attested',
    ]);
  });
});
