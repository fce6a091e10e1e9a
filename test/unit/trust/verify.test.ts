/** Checks 11, 12 and 15 through the front door; 0, 13 and 14 have files of their own. */
import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { table } from './table.ts';
import {
  deploying,
  FLEET,
  newKey,
  offer,
  root,
  STABLE_KEY,
  signed,
  signedState,
  statement,
  trusted,
  verdictText,
} from './world.ts';

const other = newKey();
const good = signedState();
const payload = writeDesiredState(statement());
const encoder = new TextEncoder();

const spoilt = payload.slice(0, -1);
table('check 11: the payload is parsed after the signatures counted', [
  ['a cut payload, signed', signed(spoilt, [STABLE_KEY]), 'refused format.protobuf'],
  ['the same cut payload, not signed', { ...good, payload: spoilt }, 'refused trust.threshold'],
  ['a sequence of 0 (R04)', signedState({ sequence: 0n }), 'refused format.desired-state'],
  ['R04: a sequence above 2^53 is exact', signedState({ sequence: 2n ** 53n + 1n }), 'accept'],
  ['R04: the highest sequence', signedState({ sequence: 2n ** 64n - 1n }), 'accept'],
  [
    'R04: a sequence as text',
    signed(encoder.encode('{"sequence":"58"}'), [STABLE_KEY]),
    'refused format.protobuf',
  ],
  [
    'S25: an unknown critical name',
    signedState({ critical: ['policy.moon_phase'] }),
    'refused trust.critical',
  ],
  [
    'known critical names',
    signedState({ critical: ['policy.health_window_ms', 'audience'] }),
    'accept',
  ],
  ['made under a later root', signedState({ rootVersion: 2n }), 'waiting trust.root-missing'],
]);

test('R04: a negative sequence is no 64-bit number that any floor lets pass', () => {
  // −1 as a varint is 2^64 − 1: above every floor, so it is a fast-forward (R03), not a wrap-around
  const verdict = verifyStatement(offer(signedState({ sequence: 2n ** 64n - 1n })), trusted());
  expect(verdict.kind === 'accept' && verdict.state.point.sequence).toBe(18446744073709551615n);
});

const ids = (...names: string[]) => ({ audience: { kind: 'devices', ids: names } }) as const;
const labels = (key: string, ...values: string[]) =>
  ({ audience: { kind: 'selector', allOf: [{ key, values }] } }) as const;
table('check 12: for this fleet, this channel, this device', [
  [
    'R18: another fleet under a shared key',
    signedState({ fleet: FLEET.replace('0', 'f') }),
    'refused trust.wrong-fleet',
  ],
  [
    'R18: a valid canary state on the tag of stable, one key for both',
    signedState({ channel: 'canary' }),
    'refused trust.wrong-channel',
  ],
  ['named', signedState(ids('press-7', 'press-8')), 'accept'],
  ['R12: another device', signedState(ids('press-8')), 'waiting trust.not-addressed'],
  ['R12: an empty list', signedState(ids()), 'refused format.desired-state'],
  ['R12: a wildcard is no id', signedState(ids('*')), 'refused format.desired-state'],
  ['a label that matches', signedState(labels('site', 'b', 'a')), 'accept'],
  ['R12: a label of another site', signedState(labels('site', 'b')), 'waiting trust.not-addressed'],
  [
    'R12: a label this device lacks',
    signedState(labels('zone', 'a')),
    'waiting trust.not-addressed',
  ],
  [
    'R12: a wildcard value is a value',
    signedState(labels('site', '*')),
    'waiting trust.not-addressed',
  ],
  [
    'R12: a label named like a method',
    signedState(labels('constructor', 'a')),
    'waiting trust.not-addressed',
  ],
  ['R12: no values', signedState(labels('site')), 'refused format.desired-state'],
]);

test('a point of another line is not reported as offered; a foreign signature offers nothing', () => {
  const offered = (envelope: Envelope) => {
    const verdict = verifyStatement(offer(envelope), trusted());
    return 'offered' in verdict ? (verdict.offered?.sequence ?? null) : 'accepted';
  };
  expect(offered(signedState({ channel: 'canary', sequence: 900n }))).toBeNull();
  expect(offered(signedState({ sequence: 900n }, [other]))).toBeNull();
  expect(offered(signedState(ids('press-8')))).toBe(58n);
});

const applied = ['a', 'b', 'c', 'd'];
const floorAt = trusted().appliedPoint;
const removal = (allowRemoval: bigint, ...left: string[]) =>
  signedState({ ...deploying(...left), policy: { ...statement().policy, allowRemoval } });
table('check 15: this agent, and no removal by accident', [
  ['an agent as old as wanted', signedState({ minAgentVersion: '0.1.0' }), 'accept'],
  [
    'a newer agent wanted',
    signedState({ minAgentVersion: '0.1.1' }),
    'refused trust.agent-too-old',
  ],
  [
    'a version that is none',
    signedState({ minAgentVersion: 'latest' }),
    'refused trust.agent-too-old',
  ],
  ['R21: everything removed', removal(0n), 'refused trust.removal-guard', { appliedIds: applied }],
  [
    'R21: three of four removed',
    removal(0n, 'a'),
    'refused trust.removal-guard',
    { appliedIds: applied },
  ],
  [
    'R21: replaced by others',
    removal(0n, 'x', 'y', 'z'),
    'refused trust.removal-guard',
    { appliedIds: applied },
  ],
  ['two of four removed', removal(0n, 'a', 'b'), 'accept', { appliedIds: applied }],
  ['nothing applied yet', removal(0n), 'accept', { appliedIds: [], appliedPoint: null }],
  ['R21: allowed above the applied point', removal(58n), 'accept', { appliedIds: applied }],
  [
    'R21: allowed only below it',
    removal(57n),
    'refused trust.removal-guard',
    { appliedIds: applied },
  ],
  [
    'R21: an applied point of the epoch before, not allowed',
    signedState({ epoch: 2n, sequence: 1n }),
    'refused trust.removal-guard',
    {
      appliedIds: applied,
      appliedPoint: floorAt,
      root: root({ channels: [{ name: 'stable', role: 'stable-signers', epoch: 2n }] }),
    },
  ],
]);

test('the checks are traced in order, up to the one that failed', () => {
  const numbers = (envelope: Envelope) =>
    verifyStatement(offer(envelope), trusted()).checks.map((c) =>
      c.passed ? c.number : -c.number,
    );
  expect(numbers(good)).toEqual([0, 5, 6, 7, 7, 8, 9, 10, 11, 11, 12, 12, 13, 14, 15, 15]);
  expect(numbers({ ...good, signatures: [] })).toEqual([0, 5, 6, 7, 7, 8, 9, -10]);
  expect(numbers(signedState({ channel: 'canary' }))).toEqual([
    0, 5, 6, 7, 7, 8, 9, 10, 11, 11, -12,
  ]);
});

test('an accepted verdict carries the state, the exact envelope and its digest', () => {
  const verdict = verifyStatement(offer(writeEnvelope(good)), trusted());
  if (verdict.kind !== 'accept') throw new Error(verdictText(verdict));
  expect(verdict.state.point.digest).toBe(sha256(good.payload));
  expect(Buffer.from(verdict.envelope.payload).equals(Buffer.from(good.payload))).toBe(true);
  expect(
    keyidOf(STABLE_KEY.spki).startsWith(verdict.checks[7]?.compared.split(': ')[1] ?? '-'),
  ).toBe(true);
});

test('no change of one byte of a signed envelope is accepted as something new', () => {
  const json = writeEnvelope(good);
  fc.assert(
    fc.property(fc.nat({ max: json.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, xor) => {
      const bent = json.slice();
      bent[at] = (bent[at] ?? 0) ^ xor;
      const verdict = verifyStatement(offer(bent), trusted());
      // a changed keyid is only a changed hint: then the payload is still the signed one
      return verdict.kind !== 'accept' || verdict.state.point.digest === sha256(good.payload);
    }),
    { numRuns: 300 },
  );
});
