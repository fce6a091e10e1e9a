/** Check 9 for P-256: one encoding of a key, one of each number, and OpenSSL's own signatures. */
import { describe, expect, test } from 'bun:test';
import { createECDH, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import { isP256Point, isStrictP256Signature, pointFromSpki, verifyP256 } from '#trust/p256.ts';
import { envelopeOf, MESSAGE, newP256Key, rootOf } from './foreign.ts';
import { table } from './table.ts';
import { hex } from './vectors.ts';
import { newKey, rootKey, signedState } from './world.ts';

const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const key = newP256Key();
const point = pointFromSpki(key.spki) ?? new Uint8Array();
const signature = new Uint8Array(sign('sha256', MESSAGE, key.secret));
const { r, s } = numbersOf(signature);
const takes = (sig: Uint8Array) => verifyP256(point, MESSAGE, sig);

describe('a signature', () => {
  test('by the runtime’s library verifies, not over other bytes, not under another key', () => {
    expect(takes(signature)).toBe(true);
    expect(verifyP256(point, MESSAGE.slice(1), signature)).toBe(false);
    const other = pointFromSpki(newP256Key().spki) ?? new Uint8Array();
    expect(verifyP256(other, MESSAGE, signature)).toBe(false);
  });
  test('with n − s verifies as well, as ECDSA has it: its bytes are no identifier', () => {
    expect(takes(encoded(r, N - s))).toBe(true);
  });
  test('over a known vector verifies (RFC 6979 A.2.5, SHA-256, "sample")', () => {
    const known = hex(
      '0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6' +
        '7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
    );
    const sig = encoded(
      0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716n,
      0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8n,
    );
    expect(verifyP256(known, new TextEncoder().encode('sample'), sig)).toBe(true);
    expect(verifyP256(known, new TextEncoder().encode('test'), sig)).toBe(false);
  });
  test('of every key made here verifies', () => {
    for (let i = 0; i < 70; i += 1) {
      const { spki, secret } = newP256Key();
      const made = new Uint8Array(sign('sha256', MESSAGE, secret));
      expect(verifyP256(pointFromSpki(spki) ?? new Uint8Array(), MESSAGE, made)).toBe(true);
    }
  });
  const rows: readonly (readonly [string, Uint8Array])[] = [
    ['r = 0', encoded(0n, s)],
    ['s = 0', encoded(r, 0n)],
    ['r = s = 0', encoded(0n, 0n)],
    ['r = n', encoded(N, s)],
    ['s = n', encoded(r, N)],
    ['r + n', encoded(r + N, s)],
    ['s + n', encoded(r, s + N)],
    ['r + 2^256', encoded(r + 2n ** 256n, s)],
    ['r and s exchanged', encoded(s, r)],
    ['s = 1', encoded(r, 1n)],
    ['r negative', negative(signature)],
    ['a zero before r', padded(signature)],
    ['r of length 0', Uint8Array.of(0x30, 0x04, 0x02, 0x00, 0x02, 0x00)],
    ['a byte after it', joined(signature, Uint8Array.of(0))],
    ['a byte after it, counted', counted(joined(signature.slice(2), Uint8Array.of(0)))],
    ['a third INTEGER', counted(joined(signature.slice(2), Uint8Array.of(2, 1, 1)))],
    ['one INTEGER', counted(integer(r))],
    ['a long-form length', joined(Uint8Array.of(0x30, 0x81), signature.slice(1))],
    [
      'an indefinite length',
      joined(Uint8Array.of(0x30, 0x80), signature.slice(2), Uint8Array.of(0, 0)),
    ],
    ['a SET instead of a SEQUENCE', joined(Uint8Array.of(0x31), signature.slice(1))],
    [
      'an ENUMERATED instead of an INTEGER',
      joined(signature.slice(0, 2), Uint8Array.of(0x0a), signature.slice(3)),
    ],
    [
      'r || s of 64 bytes',
      hex(r.toString(16).padStart(64, '0') + s.toString(16).padStart(64, '0')),
    ],
    ['nothing', new Uint8Array()],
    ['zeros', new Uint8Array(70)],
  ];
  for (const [what, bent] of rows) test(`${what}: refused`, () => expect(takes(bent)).toBe(false));

  test('cut or flipped anywhere is refused', () => {
    for (let length = 0; length < signature.length; length += 1) {
      expect(takes(signature.slice(0, length))).toBe(false);
    }
    for (let bit = 0; bit < signature.length * 8; bit += 1) {
      const bent = signature.slice();
      bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(takes(bent)).toBe(false);
    }
  });
  test('that passes the pre-checks has one encoding', () => {
    fc.assert(
      fc.property(fc.bigInt(1n, N - 1n), fc.bigInt(1n, N - 1n), (one, two) =>
        isStrictP256Signature(encoded(one, two)),
      ),
      { numRuns: 100 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (some) => {
        const framed = counted(some);
        if (!isStrictP256Signature(framed)) return true;
        const { r: one, s: two } = numbersOf(framed);
        return Buffer.from(encoded(one, two)).equals(Buffer.from(framed));
      }),
      { numRuns: 300 },
    );
  });
});

describe('P13: a public key has one encoding and is a point of the curve', () => {
  test('that of OpenSSL', () => {
    expect(pointFromSpki(key.spki)).toHaveLength(65);
    expect(isP256Point(point)).toBe(true);
  });
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(Buffer.from(hex('01'.padStart(64, '0'))));
  const compressed = new Uint8Array(ecdh.getPublicKey(null, 'compressed'));
  const prefix = key.spki.slice(0, 26);
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  // the OID of secp256k1 instead of P-256's, in the same number of bytes
  const k256 = joined(hex('3056301006072a8648ce3d020106052b8104000a034200'), point);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const spkiOf = (made: typeof p384) =>
    new Uint8Array(made.export({ format: 'der', type: 'spki' }));
  const pkcs8 = new Uint8Array(key.secret.export({ format: 'der', type: 'pkcs8' }));
  for (const [what, der] of [
    ['one byte more', joined(key.spki, Uint8Array.of(0))],
    ['one byte less', key.spki.slice(0, -1)],
    ['the point alone', point],
    ['a compressed point', joined(prefix, compressed)],
    ['P-384', spkiOf(p384)],
    ['secp256k1', k256],
    ['RSA', spkiOf(rsa)],
    ['Ed25519', newKey().spki],
    ['PKCS#8', pkcs8],
    ['unused bits in the bit string', bent(key.spki, 25, 1)],
    ['nothing', new Uint8Array()],
  ] as const) {
    test(`${what}: no point`, () => {
      const found = pointFromSpki(der);
      expect(found === null || !isP256Point(found)).toBe(true);
    });
  }
  for (const [what, bad] of [
    ['y changed', bent(point, 64, (point[64] ?? 0) ^ 1)],
    ['the point (0, 0)', Uint8Array.of(4, ...new Uint8Array(64))],
    ['x = p', joined(Uint8Array.of(4), hex(P.toString(16)), point.slice(33))],
    ['y = 2^256 − 1', joined(point.slice(0, 33), new Uint8Array(32).fill(0xff))],
    ['a hybrid point', bent(point, 0, 6)],
    ['infinity', Uint8Array.of(0)],
  ] as const) {
    test(`${what}: not on the curve, and nothing verifies`, () => {
      expect(isP256Point(bad)).toBe(false);
      expect(verifyP256(bad, MESSAGE, signature)).toBe(false);
    });
  }
  test('x + p names the same point and is refused', () => {
    // small x, so that x + p still fits 32 bytes
    const small = hex(`04${'05'.padStart(64, '0')}`);
    const y = sqrt(
      5n ** 3n - 15n + 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
    );
    const good = joined(small, hex(y.toString(16).padStart(64, '0')));
    expect(isP256Point(good)).toBe(true);
    const above = joined(Uint8Array.of(4), hex((P + 5n).toString(16)), good.slice(33));
    expect(isP256Point(above)).toBe(false);
  });
});

const records = { root: rootOf([rootKey(key, { scheme: 'ecdsa-p256-sha256' })]) };
const ed25519 = newKey();
const mixed = {
  root: rootOf([rootKey(key, { scheme: 'ecdsa-p256-sha256' }), rootKey(ed25519)], 2),
};
const plain = signedState({}, [ed25519]).signatures[0]?.sig ?? new Uint8Array();
table('check 9: a P-256 key counts for its own scheme alone', [
  ['its signature', envelopeOf([signature]), 'accept', records],
  ['beside an Ed25519 key', envelopeOf([plain, signature]), 'accept', mixed],
  [
    'twice, threshold 2',
    envelopeOf([signature, encoded(r, N - s)]),
    'refused trust.threshold',
    mixed,
  ],
  [
    'recorded as Ed25519',
    envelopeOf([signature]),
    'refused trust.threshold',
    { root: rootOf([rootKey(key)]) },
  ],
  [
    'over SHA-512',
    envelopeOf([new Uint8Array(sign('sha512', MESSAGE, key.secret))]),
    'refused trust.threshold',
    records,
  ],
]);

test('OpenSSL reads the keys of these tests', () => {
  const read = createPublicKey({ key: Buffer.from(key.spki), format: 'der', type: 'spki' });
  expect(read.asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
});

function integer(value: bigint): Uint8Array {
  const digits = value.toString(16);
  const body = hex(digits.length % 2 === 0 ? digits : `0${digits}`);
  const positive = (body[0] ?? 0) >= 0x80 ? joined(Uint8Array.of(0), body) : body;
  return joined(Uint8Array.of(2, positive.length), positive);
}

function encoded(one: bigint, two: bigint): Uint8Array {
  return counted(joined(integer(one), integer(two)));
}

function counted(body: Uint8Array): Uint8Array {
  return joined(Uint8Array.of(0x30, body.length), body);
}

/** Good DER only. */
function numbersOf(der: Uint8Array): { r: bigint; s: bigint } {
  const first = der[3] ?? 0;
  const value = (from: Uint8Array) => BigInt(`0x${Buffer.from(from).toString('hex')}`);
  return { r: value(der.slice(4, 4 + first)), s: value(der.slice(6 + first)) };
}

/** r − 2^256: the same last 32 bytes without the zero that makes them positive. */
function negative(der: Uint8Array): Uint8Array {
  const { s: two } = numbersOf(der);
  const body = hex((2n ** 255n + 5n).toString(16));
  return counted(joined(Uint8Array.of(2, body.length), body, integer(two)));
}

function padded(der: Uint8Array): Uint8Array {
  const { r: one, s: two } = numbersOf(der);
  const first = integer(one);
  const more = joined(Uint8Array.of(2, (first[1] ?? 0) + 1, 0), first.slice(2));
  return counted(joined(more, integer(two)));
}

function bent(from: Uint8Array, at: number, value: number): Uint8Array {
  const copy = from.slice();
  copy[at] = value;
  return copy;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** p is 3 modulo 4. */
function sqrt(value: bigint): bigint {
  let [base, exponent, result] = [value % P, (P + 1n) / 4n, 1n];
  for (; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = (result * base) % P;
    base = (base * base) % P;
  }
  return result;
}
