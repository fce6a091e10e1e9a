/** Check 9 for minisign, and the rule that one key signs either plainly or prehashed, never both. */
import { describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { PAYLOAD } from '#state/media-types.ts';
import { verifyEd25519 } from '#trust/ed25519.ts';
import { globalMessage, readMinisig } from '#trust/formats/minisign.ts';
import { readSignifySignature } from '#trust/formats/signify.ts';
import { openRoot } from '#trust/root-chain.ts';
import { verifyStatement } from '#trust/verify.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeRoot } from '#wire/root.ts';
import { envelopeOf, MESSAGE, minisigBy, rootOf, sshsigBy, utf8 } from '../foreign.ts';
import { table } from '../table.ts';
import { vectorFile } from '../vectors.ts';
import { newKey, offer, ROOT_KEY, rootKey, signed, signedState, trusted } from '../world.ts';

const key = newKey();
const other = newKey();
const prehashed = { root: rootOf([rootKey(key, { scheme: 'ed25519-blake2b512' })]) };
const pure = { root: rootOf([rootKey(key)]) };
const refusal = 'refused trust.threshold';
const plain = signedState({}, [key]).signatures[0]?.sig ?? new Uint8Array();
const text = (sig: Uint8Array) => new TextDecoder().decode(sig);
const edited = (from: string, to: string, sig = minisigBy(key)) =>
  utf8(text(sig).replace(from, to));

table('a signature by minisign counts for a key of its scheme', [
  ['as it is made today', envelopeOf([minisigBy(key)]), 'accept', prehashed],
  [
    'a trusted comment in Unicode',
    envelopeOf([minisigBy(key, { trustedComment: 'Linie 4, süd' })]),
    'accept',
    prehashed,
  ],
  [
    'another untrusted comment: nobody signs that',
    envelopeOf([edited('signature from', 'hello from')]),
    'accept',
    prehashed,
  ],
  ['by another key', envelopeOf([minisigBy(other)]), refusal, prehashed],
]);

table('S19: the trusted comment and the mode are no one else’s to choose', [
  [
    'an altered trusted comment',
    envelopeOf([edited('timestamp:1', 'timestamp:2')]),
    refusal,
    prehashed,
  ],
  [
    'a trusted comment that was never signed',
    envelopeOf([minisigBy(key, { signedComment: 'another' })]),
    refusal,
    prehashed,
  ],
  [
    'the flag ED turned to Ed',
    envelopeOf([minisigBy(key, { algorithm: 'Ed' })]),
    refusal,
    prehashed,
  ],
  [
    'the old form, its flag Ed turned to ED',
    envelopeOf([minisigBy(key, { over: MESSAGE })]),
    refusal,
    prehashed,
  ],
  [
    'the old form with a true flag, for a key that prehashes',
    envelopeOf([minisigBy(key, { algorithm: 'Ed', over: MESSAGE })]),
    refusal,
    prehashed,
  ],
  ['an unknown flag', envelopeOf([minisigBy(key, { algorithm: 'EH' })]), refusal, prehashed],
]);

table('S16: pure and prehashed are two schemes, and a key has one', [
  ['a prehashed signature for a pure key', envelopeOf([minisigBy(key)]), refusal, pure],
  ['a pure signature for a prehashed key', envelopeOf([plain]), refusal, prehashed],
  ['an SSHSIG for a prehashed key', envelopeOf([sshsigBy(key)]), refusal, prehashed],
  [
    'the 64 bytes over the bare hash, as a pure signature',
    envelopeOf([readBytes(minisigBy(key))]),
    refusal,
    pure,
  ],
  [
    'one key recorded with both schemes: it counts for neither',
    envelopeOf([plain, minisigBy(key)]),
    refusal,
    {
      root: rootOf([rootKey(key), rootKey(key, { keyid: 'again', scheme: 'ed25519-blake2b512' })]),
    },
  ],
]);

test('S16: a root that gives one key two schemes is no root', () => {
  const two = rootOf([
    rootKey(key),
    rootKey(key, { keyid: 'again', scheme: 'ed25519-blake2b512' }),
  ]);
  const opened = openRoot(writeEnvelope(signed(writeRoot(two), [ROOT_KEY], PAYLOAD.root)));
  expect(!opened.ok && [opened.fault.code, /two schemes/.test(opened.fault.message)]).toEqual([
    'trust.root-invalid',
    true,
  ]);
});

test('the schemes survive the root’s bytes', () => {
  const root = rootOf([rootKey(key, { scheme: 'ed25519-blake2b512' })]);
  const opened = openRoot(writeEnvelope(signed(writeRoot(root), [ROOT_KEY], PAYLOAD.root)));
  expect(opened.ok && opened.value.keys[1]?.scheme).toBe('ed25519-blake2b512');
});

describe('the file is read strictly', () => {
  const good = text(minisigBy(key));
  for (const [what, bent] of [
    ['no last line break', good.trimEnd()],
    ['an empty line more', `${good}\n`],
    ['a line more', `${good}x\n`],
    ['carriage returns', good.replaceAll('\n', '\r\n')],
    ['no trusted comment', good.replace('trusted comment: t', 'comment: t')],
    ['a control character in the trusted comment', good.replace('file:', 'file:\u001b')],
    ['base64 for URLs', good.replace(/[A-Z]/, '_')],
    ['three lines', good.split('\n').slice(0, 3).join('\n')],
    ['bytes that are no UTF-8', null],
    ['5 KiB', good.replace('signature from', 'x'.repeat(5_000))],
  ] as const) {
    test(`${what}: format.signature`, () => {
      const file = bent === null ? Uint8Array.of(...utf8(good), 0xff, 0x0a) : utf8(bent);
      const read = readMinisig(file);
      expect(!read.ok && read.fault.code).toBe('format.signature');
    });
  }
});

test('every flipped bit of either signature or of the trusted comment is refused', () => {
  const file = minisigBy(key);
  const from = text(file).indexOf('\n') + 1;
  const accepted: number[] = [];
  for (let bit = from * 8; bit < file.length * 8; bit += 1) {
    const bent = file.slice();
    bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const verdict = verifyStatement(offer(envelopeOf([bent])), trusted(prehashed));
    if (verdict.kind !== 'refused') accepted.push(bit >> 3);
  }
  // the key number is a hint that nobody signs: 8 bytes behind the 2 of the algorithm
  const hint = Buffer.from('RUTx'.repeat(3)).length + 2;
  expect(accepted.filter((at) => at < from + 2 || at >= from + hint)).toEqual([]);
});

const vectors = {
  message: vectorFile('interop/msg.bin'),
  key: vectorFile('interop/minisign.pub'),
  prehashed: vectorFile('interop/minisign.ED.minisig'),
  old: vectorFile('interop/minisign.Ed-legacy.minisig'),
  signifyKey: vectorFile('interop/signify.pub'),
  signify: vectorFile('interop/signify.sig'),
};
const there = Object.values(vectors).every((file) => file !== null);
if (there) {
  const keyOf = (file: Uint8Array | null) =>
    new Uint8Array(
      Buffer.from(text(file ?? new Uint8Array()).split('\n')[1] ?? '', 'base64'),
    ).slice(10);
  const message = vectors.message ?? new Uint8Array();
  test('the interop vectors of minisign, both forms, hold in both of their signatures', () => {
    const raw = keyOf(vectors.key);
    const hash = new Uint8Array(createHash('blake2b512').update(message).digest());
    for (const [file, over] of [
      [vectors.prehashed, hash],
      [vectors.old, message],
    ] as const) {
      const read = readMinisig(file ?? new Uint8Array());
      if (!read.ok) throw new Error(read.fault.message);
      expect(verifyEd25519(raw, over, read.value.bytes)).toBe(true);
      expect(verifyEd25519(raw, globalMessage(read.value), read.value.globalSignature)).toBe(true);
    }
  });
  test('the interop vector of signify holds', () => {
    const read = readSignifySignature(vectors.signify ?? new Uint8Array());
    if (!read.ok) throw new Error(read.fault.message);
    expect(verifyEd25519(keyOf(vectors.signifyKey), message, read.value.bytes)).toBe(true);
  });
} else
  test.skip('minisign and signify interop: the vectors are not here (HOLDFAST_VECTORS)', () => {});

function readBytes(file: Uint8Array): Uint8Array {
  const read = readMinisig(file);
  return read.ok ? read.value.bytes : new Uint8Array();
}
