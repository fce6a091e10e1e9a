/** Checks 5–10 through the front door: the envelope, the root, who signed. */
import { expect, test } from 'bun:test';
import { sign } from 'node:crypto';
import fc from 'fast-check';
import type { Envelope } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { spkiFromRaw } from '#trust/ed25519.ts';
import { viewTime } from '#trust/time.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { table } from './table.ts';
import {
  accepted,
  CANARY_KEY,
  CURRENT,
  DAY,
  FLOOR,
  NOW,
  newKey,
  offer,
  ROOT_KEY,
  role,
  root,
  rootKey,
  STABLE_KEY,
  signed,
  signedRoot,
  signedState,
  statement,
  trusted,
  verdictText,
} from './world.ts';

const other = newKey();
const good = signedState();
const payload = writeDesiredState(statement());
const encoder = new TextEncoder();
const text = (json: unknown) => encoder.encode(JSON.stringify(json));
const goodJson = JSON.parse(new TextDecoder().decode(writeEnvelope(good))) as {
  payload: string;
  payloadType: string;
  signatures: { keyid: string; sig: string }[];
};
const junk = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    keyid: `k${i}`,
    sig: new Uint8Array(64).fill(i + 1),
  }));

table('check 5: the envelope alone is parsed', [
  ['DSSE JSON', writeEnvelope(good), 'accept'],
  ['a protobuf twin', good, 'accept'],
  ['no JSON', encoder.encode('{'), 'refused format.json'],
  [
    'S24: the key `payload` twice',
    encoder.encode(
      `{"payload":"AA==","payload":"${goodJson.payload}","payloadType":"${goodJson.payloadType}","signatures":${JSON.stringify(goodJson.signatures)}}`,
    ),
    'refused format.json',
  ],
  ['more than 256 KiB', new Uint8Array(256 * 1024 + 1), 'refused trust.too-large'],
  [
    'S21: 10,000 signatures in JSON',
    text({
      ...goodJson,
      signatures: Array.from({ length: 2_000 }, () => ({ keyid: '', sig: 'AA==' })),
    }),
    'refused format.envelope',
  ],
  [
    'S21: 10,000 signatures in a twin',
    { ...good, signatures: [...junk(9_999), ...good.signatures] },
    'refused trust.too-many-signatures',
  ],
]);

const resigned = (payloadType: string): Envelope => signed(payload, [STABLE_KEY], payloadType);
table('check 6: the payload type is exactly that of a statement', [
  ['S14: another type, signed', resigned(PAYLOAD.status), 'refused trust.payload-type'],
  [
    'S14: another type, not signed',
    { ...good, payloadType: PAYLOAD.root },
    'refused trust.payload-type',
  ],
  ['S14: upper case', resigned(PAYLOAD.desiredState.toUpperCase()), 'refused trust.payload-type'],
  [
    'S14: a Cyrillic homoglyph',
    resigned(PAYLOAD.desiredState.replace('a', 'а')),
    'refused trust.payload-type',
  ],
  ['S14: a space after it', resigned(`${PAYLOAD.desiredState} `), 'refused trust.payload-type'],
]);

test('S14: a shifted length prefix signs other bytes than the payload shown', () => {
  // the attacker's split of the same bytes: a shorter type, the rest moved into the payload
  const whole = pae(PAYLOAD.desiredState, payload);
  const shifted = pae(PAYLOAD.desiredState.slice(0, -1), new Uint8Array([0x66, 0x20, ...payload]));
  expect(Buffer.from(whole).equals(Buffer.from(shifted))).toBe(false);
  const sig = new Uint8Array(sign(null, shifted, STABLE_KEY.secret));
  const moved = { ...good, signatures: [{ keyid: STABLE_KEY.keyid, sig }] };
  expect(verdictText(verifyStatement(offer(moved), trusted()))).toBe('refused trust.threshold');
});

test('PAE is injective over types and payloads', () => {
  const part = fc.tuple(fc.string({ maxLength: 12 }), fc.uint8Array({ maxLength: 12 }));
  fc.assert(
    fc.property(part, part, ([typeA, a], [typeB, b]) => {
      const same = typeA === typeB && Buffer.from(a).equals(Buffer.from(b));
      return Buffer.from(pae(typeA, a)).equals(Buffer.from(pae(typeB, b))) === same;
    }),
  );
});

const demo = root({ demo: true });
const ending = root({ notAfter: NOW - DAY });
const ended = root({ notAfter: NOW - 31 * DAY });
const revoked = [role('root', [ROOT_KEY]), role('stable-signers', [CANARY_KEY])].concat(
  role('canary-signers', [CANARY_KEY]),
);
const nextEpoch = [{ name: 'stable', role: 'stable-signers', epoch: 2n }];
table('check 7: the root first', [
  ['a demo root', good, 'refused trust.demo-root', { root: demo }],
  ['a demo root, allowed', good, 'accept', { root: demo, allowDemo: true }],
  ['a root that ended by the floor', good, 'refused trust.root-expired', { root: ended }],
  ['a root that ended by the clock, lenient', good, 'accept', { root: ending }],
  ['the same, strict', good, 'waiting trust.maybe-expired', { root: ending, clock: 'strict' }],
  ['the root held, offered again', good, 'accept', {}, { roots: [signedRoot()] }],
  [
    'R19: a later root that revokes the key of the channel',
    good,
    'refused trust.threshold',
    {},
    { roots: [signedRoot({ version: 2n, roles: revoked })] },
  ],
  [
    'a later root, and a statement by its new key',
    signedState({ rootVersion: 2n }, [CANARY_KEY]),
    'accept',
    {},
    { roots: [signedRoot({ version: 2n, roles: revoked })] },
  ],
  [
    'R07: N + 2 without N + 1, signed by N, changes nothing',
    good,
    'accept',
    {},
    { roots: [writeEnvelope(signedRoot({ version: 3n, roles: revoked }))] },
  ],
  [
    'a last root that has ended',
    good,
    'refused trust.root-expired',
    {},
    { roots: [signedRoot({ version: 2n, notAfter: NOW - 31 * DAY })] },
  ],
  [
    'an ended root on the way is walked through',
    good,
    'accept',
    {},
    {
      roots: [
        signedRoot({ version: 2n, notAfter: NOW - 31 * DAY }),
        signedRoot({ version: 3n, notAfter: NOW + DAY }),
      ],
    },
  ],
  [
    'R22: a floor in the far future, reset by a root that is in force by that time',
    signedState({ notAfter: NOW + DAY }),
    'accept',
    { time: viewTime({ floorMs: NOW + 400 * DAY, wallMs: NOW }) },
    {
      roots: [signedRoot({ version: 2n, notAfter: NOW + 90 * DAY, timeReset: { notBefore: NOW } })],
    },
  ],
  [
    'R22: the same without a reset',
    signedState({ notAfter: NOW + DAY }),
    'refused trust.expired',
    { time: viewTime({ floorMs: NOW + 400 * DAY, wallMs: NOW }) },
    { roots: [signedRoot({ version: 2n })] },
  ],
  [
    'R03: the next epoch by a later root',
    signedState({ epoch: 2n, sequence: 1n }),
    'accept',
    { floor: accepted(1n, 2n ** 64n - 1n, FLOOR.stateDigest) },
    { roots: [signedRoot({ version: 2n, channels: nextEpoch })] },
  ],
  [
    'R08: a later root by other keys changes nothing',
    good,
    'accept',
    {},
    { roots: [signedRoot({ version: 2n }, [other])] },
  ],
  ['bytes that are no root change nothing', good, 'accept', {}, { roots: [Uint8Array.of(1)] }],
  ['a statement offered as root changes nothing', good, 'accept', {}, { roots: [CURRENT] }],
]);

const twoOf = (keys: readonly (typeof STABLE_KEY)[], threshold = 2) =>
  root({
    keys: [ROOT_KEY, STABLE_KEY, CANARY_KEY, other].map((key) => rootKey(key)),
    roles: [role('root', [ROOT_KEY]), role('stable-signers', keys, threshold)],
    channels: [{ name: 'stable', role: 'stable-signers', epoch: 1n }],
  });
const two = twoOf([STABLE_KEY, other]);
const alias = root({
  keys: [rootKey(ROOT_KEY), rootKey(STABLE_KEY), rootKey(STABLE_KEY, { keyid: 'alias' })],
  roles: [
    role('root', [ROOT_KEY]),
    { name: 'stable-signers', threshold: 2, keyids: [STABLE_KEY.keyid, 'alias'] },
  ],
  channels: [{ name: 'stable', role: 'stable-signers', epoch: 1n }],
});
const repeated = { ...good, signatures: [...good.signatures, ...good.signatures] };
const both = signedState({}, [STABLE_KEY, other]);
const withKey = (more: Parameters<typeof rootKey>[1]) =>
  root({ keys: [rootKey(ROOT_KEY), rootKey(STABLE_KEY, more), rootKey(CANARY_KEY)] });
const unhinted = { ...good, signatures: good.signatures.map(({ sig }) => ({ keyid: 'x', sig })) };

table('checks 8–10: enough distinct keys of the channel’s role signed', [
  ['S01: no signature', { ...good, signatures: [] }, 'refused trust.threshold'],
  ['two of two keys', both, 'accept', { root: two }],
  ['one of two keys', good, 'refused trust.threshold', { root: two }],
  ['S02: threshold 0', good, 'refused trust.threshold-missing', { root: twoOf([STABLE_KEY], 0) }],
  [
    'S02: no such role',
    good,
    'refused trust.threshold-missing',
    { root: root({ roles: [role('root', [ROOT_KEY])] }) },
  ],
  ['S03: one signature twice, threshold 2', repeated, 'refused trust.threshold', { root: two }],
  [
    'S04: one key under two keyids, threshold 2',
    repeated,
    'refused trust.threshold',
    { root: alias },
  ],
  [
    'S04: the same with both keyids named',
    {
      ...good,
      signatures: ['alias', STABLE_KEY.keyid].map((keyid) => ({
        keyid,
        sig: good.signatures[0]?.sig ?? new Uint8Array(),
      })),
    },
    'refused trust.threshold',
    { root: alias },
  ],
  [
    'S05: the second signature is over another payload',
    {
      ...good,
      signatures: [...good.signatures, ...signedState({ sequence: 59n }, [other]).signatures],
    },
    'refused trust.threshold',
    { root: two },
  ],
  [
    'S12: a signature of 63 bytes',
    { ...good, signatures: [{ keyid: '', sig: new Uint8Array(63) }] },
    'refused trust.threshold',
  ],
  [
    'S22: the key expired before the floor',
    good,
    'refused trust.threshold',
    { root: withKey({ notAfter: NOW - 31 * DAY }) },
  ],
  [
    'a key that expires after the floor',
    good,
    'accept',
    { root: withKey({ notAfter: NOW - DAY }) },
  ],
  ['S22: the key is not in the root any more', signedState({}, [other]), 'refused trust.threshold'],
  [
    'P13: an Ed25519 key recorded as P-256',
    good,
    'refused trust.threshold',
    { root: withKey({ scheme: 'ecdsa-p256-sha256' }) },
  ],
  [
    'a key of an unknown scheme is kept, never counted',
    good,
    'refused trust.threshold',
    { root: withKey({ scheme: 'unknown' }) },
  ],
  [
    'P13: the key’s SPKI has a byte more',
    good,
    'refused trust.threshold',
    { root: withKey({ publicKey: new Uint8Array([...STABLE_KEY.spki, 0]) }) },
  ],
  [
    'S09: the key is of small order',
    good,
    'refused trust.threshold',
    { root: withKey({ publicKey: spkiFromRaw(new Uint8Array(32)) }) },
  ],
  ['a wrong keyid is only a wrong hint', unhinted, 'accept'],
  [
    '15 junk signatures before the good one',
    { ...good, signatures: [...junk(15), ...good.signatures] },
    'accept',
  ],
  ['the channel is in no root', good, 'refused trust.channel-unsigned', { channel: 'beta' }],
  [
    'an own channel by device.*',
    signedState({ channel: 'device.press-7' }),
    'accept',
    { channel: 'device.press-7' },
  ],
  [
    'R18: signed by another channel’s role',
    signedState({}, [CANARY_KEY]),
    'refused trust.threshold',
  ],
  ['R18: signed by the root’s own key', signedState({}, [ROOT_KEY]), 'refused trust.threshold'],
]);

test('S21: at most 16 verifications, whatever the envelope and the role', () => {
  const keys = Array.from({ length: 20 }, newKey);
  const many = root({
    keys: [ROOT_KEY, ...keys].map((key) => rootKey(key)),
    roles: [role('root', [ROOT_KEY]), role('stable-signers', keys, 20)],
  });
  const verdict = verifyStatement(
    offer({ ...good, signatures: junk(16) }),
    trusted({ root: many }),
  );
  expect(verdictText(verdict)).toBe('refused trust.threshold');
  expect(verdict.checks.find(({ number }) => number === 9)?.compared).toBe(
    '16 verifications, 0 good',
  );
});

test('a key that has signed is not tried again: copies do not use up the verifications', () => {
  const anonymous = ({ signatures }: Envelope) => signatures.map(({ sig }) => ({ keyid: '', sig }));
  const [own, second] = [anonymous(good), anonymous(signedState({}, [other]))];
  const copies = Array.from({ length: 8 }, () => own).flat();
  const verdict = verifyStatement(
    offer({ ...good, signatures: [...copies, ...second] }),
    trusted({ root: two }),
  );
  expect(verdictText(verdict)).toBe('accept');
});

test('check 8: a right keyid finds its key among more than could be tried', () => {
  const keys = Array.from({ length: 20 }, newKey);
  const last = keys.at(-1) ?? other;
  const verdict = verifyStatement(
    offer(signedState({}, [last])),
    trusted({ root: manyKeys(keys, 1) }),
  );
  expect(verdictText(verdict)).toBe('accept');
  expect(verdict.checks.find(({ number }) => number === 9)?.compared).toBe(
    '1 verifications, 1 good',
  );
});

function manyKeys(keys: readonly (typeof STABLE_KEY)[], threshold: number) {
  return root({
    keys: [ROOT_KEY, ...keys].map((key) => rootKey(key)),
    roles: [role('root', [ROOT_KEY]), role('stable-signers', keys, threshold)],
  });
}
