/** Check 9 on both primitives: published vectors, and the forgeries that lenient verifiers take. */
import { describe, expect, test } from 'bun:test';
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import fc from 'fast-check';
import {
  isStrictPoint,
  keyidOf,
  nativePrimitive,
  rawFromSpki,
  spkiFromRaw,
  tweetnaclPrimitive,
  verifyEd25519,
} from '#trust/ed25519.ts';
import { hex, vectorFile, vectorJson } from './vectors.ts';

const PRIMITIVES = { native: nativePrimitive, tweetnacl: tweetnaclPrimitive } as const;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/** The fourteen encodings of small-order points: canonical, signed zero, and y >= p. */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
].map(hex);

interface Wycheproof {
  testGroups: {
    publicKey: { pk: string };
    tests: { tcId: number; comment: string; msg: string; sig: string; result: string }[];
  }[];
}
interface SpeccheckCase {
  message: string;
  pub_key: string;
  signature: string;
}
interface Rfc {
  tests: { name: string; public: string; message: string; signature: string }[];
}

const wycheproof = vectorJson<Wycheproof>('wycheproof/ed25519_test.json');
const speccheck = vectorJson<SpeccheckCase[]>('speccheck/cases.json');
const rfc = vectorJson<Rfc>('rfc/rfc8032_ed25519.json');

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const own = rawFromSpki(new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })));
if (!own) throw new Error('node:crypto made no Ed25519 SPKI');
const message = new TextEncoder().encode('line 4, speed 2');
const signature = new Uint8Array(sign(null, message, privateKey));

for (const [name, primitive] of Object.entries(PRIMITIVES)) {
  const accepts = (key: Uint8Array, text: Uint8Array, sig: Uint8Array) =>
    verifyEd25519(key, text, sig, primitive);

  describe(`check 9, strict Ed25519 over ${name}`, () => {
    if (wycheproof) {
      test('agrees with all 151 Wycheproof vectors', () => {
        const wrong: number[] = [];
        let count = 0;
        for (const { publicKey: key, tests } of wycheproof.testGroups) {
          for (const { tcId, msg, sig, result } of tests) {
            count += 1;
            if (accepts(hex(key.pk), hex(msg), hex(sig)) !== (result === 'valid')) wrong.push(tcId);
          }
        }
        expect({ count, wrong }).toEqual({ count: 151, wrong: [] });
      });
    } else test.skip('Wycheproof: the vectors are not here (HOLDFAST_VECTORS)', () => {});

    if (speccheck) {
      test('takes case 3 of the twelve speccheck cases and no other', () => {
        const taken = speccheck.flatMap((c, index) =>
          accepts(hex(c.pub_key), hex(c.message), hex(c.signature)) ? [index] : [],
        );
        expect(taken).toEqual([3]);
      });
    } else test.skip('speccheck: the vectors are not here (HOLDFAST_VECTORS)', () => {});

    if (rfc) {
      for (const vector of rfc.tests) {
        test(`accepts RFC 8032 section 7.1 ${vector.name}`, () => {
          const sig = hex(vector.signature);
          expect(accepts(hex(vector.public), hex(vector.message), sig)).toBe(true);
        });
      }
    } else test.skip('RFC 8032: the vectors are not here (HOLDFAST_VECTORS)', () => {});

    test('accepts a signature by node:crypto, refuses it over other bytes', () => {
      expect(accepts(own, message, signature)).toBe(true);
      expect(accepts(own, message.slice(1), signature)).toBe(false);
    });

    test('S07, S08: S + L, S = L and S just above L are refused', () => {
      const r = signature.subarray(0, 32);
      const s = little(signature.subarray(32));
      for (const bad of [s + ORDER, ORDER, ORDER + 1n, 2n ** 253n, 2n ** 256n - 1n]) {
        expect(accepts(own, message, joined(r, bytesOf(bad)))).toBe(false);
      }
    });

    test('S09: each of the 14 small-order keys is refused with the forgery it allows', () => {
      for (const key of SMALL_ORDER) {
        for (const r of SMALL_ORDER) {
          expect(accepts(key, message, joined(r, bytesOf(0n)))).toBe(false);
        }
        expect(isStrictPoint(key)).toBe(false);
      }
    });

    test('S10: each small-order R under a good key is refused', () => {
      for (const r of SMALL_ORDER) {
        expect(accepts(own, message, joined(r, signature.subarray(32)))).toBe(false);
        expect(accepts(own, message, joined(r, bytesOf(0n)))).toBe(false);
      }
    });

    test('S11: y >= p in the key or in R is refused', () => {
      for (let low = 0xed; low <= 0xff; low += 1) {
        for (const top of [0x7f, 0xff]) {
          const point = Uint8Array.from({ length: 32 }, () => 0xff);
          point[0] = low;
          point[31] = top;
          expect(isStrictPoint(point)).toBe(false);
          expect(accepts(point, message, signature)).toBe(false);
          expect(accepts(own, message, joined(point, signature.subarray(32)))).toBe(false);
        }
      }
    });

    test('S12: all-zero key or signature, and every length but 32 and 64, are refused', () => {
      expect(accepts(new Uint8Array(32), message, new Uint8Array(64))).toBe(false);
      expect(accepts(own, message, new Uint8Array(64))).toBe(false);
      for (const length of [0, 1, 31, 32, 63, 65, 96, 128]) {
        const resized = new Uint8Array(length);
        resized.set(signature.subarray(0, Math.min(length, 64)));
        expect(accepts(own, message, resized)).toBe(false);
      }
      for (const length of [0, 31, 33, 64]) {
        expect(accepts(new Uint8Array(length), message, signature)).toBe(false);
      }
    });

    test('S16: an Ed25519ph signature does not count for a pure key', () => {
      // RFC 8032 section 7.3, TEST abc: signed prehashed, offered as a pure signature
      const seed = '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42';
      const der = Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex');
      const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
      const spki = createPublicKey(secret).export({ format: 'der', type: 'spki' });
      const key = rawFromSpki(new Uint8Array(spki)) ?? new Uint8Array();
      const ph = hex(
        '98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41' +
          '31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406',
      );
      expect(accepts(key, hex('616263'), ph)).toBe(false);
      const pure = new Uint8Array(sign(null, hex('616263'), secret));
      expect(accepts(key, hex('616263'), pure)).toBe(true);
    });

    test('any flipped bit of signature, key or message is refused', () => {
      fc.assert(
        fc.property(fc.nat({ max: (64 + 32 + message.length) * 8 - 1 }), (bit) => {
          const all = joined(joined(signature, own), message);
          const byte = bit >> 3;
          all[byte] = (all[byte] ?? 0) ^ (1 << (bit & 7));
          return !accepts(all.subarray(64, 96), all.subarray(96), all.subarray(0, 64));
        }),
        { numRuns: 150 },
      );
    });
  });
}

test('both primitives agree on any bytes that pass the pre-checks', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 128, maxLength: 160 }), (bytes) => {
      const sig = bytes.slice(0, 64);
      sig[63] = (sig[63] ?? 0) & 0x0f; // below L, mostly
      const key = bytes.slice(64, 96);
      const text = bytes.slice(96);
      return (
        verifyEd25519(key, text, sig, nativePrimitive) ===
        verifyEd25519(key, text, sig, tweetnaclPrimitive)
      );
    }),
    { numRuns: 60 },
  );
});

test('a y that lies on no point of the curve is refused, not thrown', () => {
  const noPoint = hex('0200000000000000000000000000000000000000000000000000000000000000');
  for (const primitive of Object.values(PRIMITIVES)) {
    expect(verifyEd25519(noPoint, message, signature, primitive)).toBe(false);
  }
});

test('more keys than the cache holds verify as well as the first', () => {
  for (let i = 0; i < 70; i += 1) {
    const pair = generateKeyPairSync('ed25519');
    const raw = rawFromSpki(new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' })));
    const sig = new Uint8Array(sign(null, message, pair.privateKey));
    expect(raw && verifyEd25519(raw, message, sig)).toBe(true);
  }
  expect(verifyEd25519(own, message, signature)).toBe(true);
});

describe('P13: an SPKI is one exact encoding', () => {
  const der = spkiFromRaw(own);
  const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
  const x25519 = generateKeyPairSync('x25519').publicKey;
  const rows: readonly [string, Uint8Array][] = [
    ['one byte more', joined(der, Uint8Array.of(0))],
    ['one byte less', der.subarray(0, -1)],
    ['the raw key', own],
    ['another OID (X25519)', new Uint8Array(x25519.export({ format: 'der', type: 'spki' }))],
    ['a P-256 key', new Uint8Array(p256.export({ format: 'der', type: 'spki' }))],
    ['PKCS#8', new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }))],
    ['NULL parameters', joined(hex('302c300706032b65700500032100'), own)],
    ['a long-form length', joined(hex('30812a300506032b6570032100'), own)],
    ['unused bits in the bit string', joined(hex('302a300506032b6570032101'), own)],
    ['nothing', new Uint8Array()],
  ];
  for (const [what, bytes] of rows) {
    test(`${what}: no key`, () => expect(rawFromSpki(bytes)).toBeNull());
  }
  test('the encoding of OpenSSL is the one', () => {
    expect(rawFromSpki(new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })))).toEqual(
      own,
    );
    expect(keyidOf(der)).toMatch(/^[0-9a-f]{64}$/);
  });
});

const pem = vectorFile('interop/openssl.pub.pem');
const openssl = vectorFile('interop/openssl.sig');
const text = vectorFile('interop/msg.bin');
if (pem && openssl && text) {
  test('a signature by `openssl pkeyutl -sign -rawin` verifies; every flipped bit does not', () => {
    const spki = createPublicKey(Buffer.from(pem)).export({ format: 'der', type: 'spki' });
    const raw = rawFromSpki(new Uint8Array(spki));
    if (!raw) throw new Error('no key in the vector');
    expect(verifyEd25519(raw, text, openssl)).toBe(true);
    for (let bit = 0; bit < 512; bit += 1) {
      const flipped = openssl.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(verifyEd25519(raw, text, flipped)).toBe(false);
    }
  });
} else test.skip('openssl interop: the vectors are not here (HOLDFAST_VECTORS)', () => {});

test('a key from a private key is the one it signs with', () => {
  const again = createPublicKey(
    createPrivateKey(privateKey.export({ format: 'pem', type: 'pkcs8' })),
  );
  expect(rawFromSpki(new Uint8Array(again.export({ format: 'der', type: 'spki' })))).toEqual(own);
});

function little(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
}

function bytesOf(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([a, b]));
}
