/** Sealed values: only the device opens them, and only in the place they were made for. */
import { describe, expect, test } from 'bun:test';
import { createHash, createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import nacl from 'tweetnacl';
import { hmacSha256Bytes } from '#state/hash.ts';
import { LIMITS } from '#state/limits.ts';
import type { SealedFor } from '#state/values.ts';
import { openValue, SEALED_BYTES_MAX, sealValue, valueTag } from '#trust/sealed-value.ts';
import {
  readSealingPem,
  readSealingPublicPem,
  sealingFromSpki,
  sealingKeyOf,
  sealingPem,
  sealingPublicPem,
  sealingSpki,
} from '#trust/sealing-key.ts';

const KEY = sealingKeyOf(new Uint8Array(32).fill(7));
const EPHEMERAL = new Uint8Array(32).fill(9);
const PLACE: SealedFor = {
  fleet: '00112233445566778899aabbccddeeff',
  device: 'press-7',
  channel: 'device.press-7',
  name: 'db-password',
};

/** opened by an implementation of its own from the papers of X25519, XSalsa20 and Poly1305 */
const VECTOR =
  'AVfbSzWfI65eFG5OJRIFZwRyJQY0jBUMFHU9DJM9BNQh2Mp8C8k4IerVRg894KPW/u26X8KeCZH8Sk/pUXJQAWX+EDXgYJJJoSV/1Rt6yVXyG8GeR87WjLRDwkXg4Xyv38tyNouu+IuvFWu6N7g45Sk=';

/** The nonce as docs/formats.md has it. */
function nonceOf(ephemeral: Uint8Array): Uint8Array {
  const { fleet, device, channel, name } = PLACE;
  const texts = ['holdfast.sealed-value.v1', fleet, device, channel, name].map((t) =>
    Buffer.from(t),
  );
  const hash = createHash('sha512');
  for (const part of [...texts, ephemeral, KEY.publicKey])
    hash.update(`${part.length}:`).update(part);
  return hash.digest().subarray(0, 24);
}

function sealed(text: string, place = PLACE, key = KEY): Uint8Array {
  const box = sealValue(text, place, key.publicKey, EPHEMERAL);
  if (!box.ok) throw new Error(box.fault.message);
  return box.value;
}

function codeOf(opened: ReturnType<typeof openValue>): string {
  return opened.ok ? `opened ${opened.value}` : opened.fault.code;
}

describe('a sealed value', () => {
  test('is opened by the device, in its place', () => {
    expect(openValue(sealed('correct horse ü'), PLACE, KEY)).toEqual({
      ok: true,
      value: 'correct horse ü',
    });
  });

  test('has the bytes of docs/formats.md', () => {
    expect(Buffer.from(sealed('correct horse')).toString('base64')).toBe(VECTOR);
  });

  for (const [what, moved] of [
    ['fleet', { fleet: '00112233445566778899aabbccddee00' }],
    ['device', { device: 'press-8' }],
    ['channel', { channel: 'device.press-8' }],
    ['name', { name: 'db-passwore' }],
    ['name and device, shifted', { device: 'press-7d', name: 'b-password' }],
  ] as const) {
    test(`does not open under another ${what}: values.unopened`, () => {
      expect(codeOf(openValue(sealed('secret'), { ...PLACE, ...moved }, KEY))).toBe(
        'values.unopened',
      );
    });
  }

  test('does not open with another key: values.unopened', () => {
    const other = sealingKeyOf(new Uint8Array(32).fill(8));
    expect(codeOf(openValue(sealed('secret'), PLACE, other))).toBe('values.unopened');
  });

  test('does not open when any bit of it has changed', () => {
    const box = sealed('secret');
    for (let at = 0; at < box.length; at += 1) {
      const changed = box.slice();
      changed[at] = (changed[at] ?? 0) ^ (at % 2 === 0 ? 1 : 0x80);
      // X25519 ignores the top bit of a public key; the nonce does not
      expect(codeOf(openValue(changed, PLACE, KEY))).toBe('values.unopened');
    }
  });

  test('of any text comes back, and tells its length only in steps of 64 bytes', () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(
        text.filter((one) => !one.includes('\0')),
        (one) => {
          const box = sealed(one);
          expect((box.length - 49) % 64).toBe(0);
          expect(openValue(box, PLACE, KEY)).toEqual({ ok: true, value: one });
        },
      ),
      { numRuns: 50 },
    );
  });

  test('is never longer than what is read', () => {
    const longest = sealed('x'.repeat(LIMITS.valueBytes));
    expect(longest.length).toBeLessThanOrEqual(SEALED_BYTES_MAX);
    expect(openValue(longest, PLACE, KEY).ok).toBe(true);
    expect(codeOf(openValue(Buffer.concat([longest, Buffer.alloc(64)]), PLACE, KEY))).toBe(
      'values.unopened',
    );
  });

  test('whose padding is not ours does not open', () => {
    const { publicKey } = sealingKeyOf(EPHEMERAL);
    const early = Buffer.alloc(128);
    early.write('ab\x80', 'latin1');
    const right = Buffer.alloc(64);
    right.write('ab\x80', 'latin1');
    for (const plain of [
      Buffer.alloc(64),
      Buffer.alloc(64, 0x41),
      early,
      right.subarray(0, 63),
      right,
    ]) {
      const forged = nacl.box(plain, nonceOf(publicKey), KEY.publicKey, EPHEMERAL);
      const box = Buffer.concat([Buffer.of(1), publicKey, forged]);
      expect(codeOf(openValue(box, PLACE, KEY))).toBe(
        plain === right ? 'opened ab' : 'values.unopened',
      );
    }
  });

  for (const [what, text] of [
    ['nothing', ''],
    ['a NUL', 'a\0b'],
    ['half a surrogate', '\ud800'],
    ['more than the most', 'x'.repeat(LIMITS.valueBytes + 1)],
  ] as const) {
    test(`of ${what} is not made: values.secret`, () => {
      const box = sealValue(text, PLACE, KEY.publicKey, EPHEMERAL);
      expect(box.ok ? 'sealed' : box.fault.code).toBe('values.secret');
    });
  }

  test('no message about it holds its text', () => {
    const opened = openValue(sealed('hunter2'), { ...PLACE, name: 'other' }, KEY);
    expect(JSON.stringify(opened)).not.toContain('hunter2');
  });
});

describe('the tag of a value', () => {
  test('is equal for equal texts, and for nothing else', () => {
    const tag = valueTag('a', '1234', KEY);
    expect(valueTag('a', '1234', KEY)).toBe(tag);
    expect(valueTag('a', '1235', KEY)).not.toBe(tag);
    expect(valueTag('b', '1234', KEY)).not.toBe(tag);
    expect(valueTag('a', '1234', sealingKeyOf(EPHEMERAL))).not.toBe(tag);
  });

  test('is an HMAC as others make it', () => {
    for (const bytes of [0, 1, 32, 64]) {
      const key = new Uint8Array(bytes).fill(3);
      const made = createHmac('sha256', key).update('text').digest('hex');
      expect(Buffer.from(hmacSha256Bytes(key, Buffer.from('text'))).toString('hex')).toBe(made);
    }
  });
});

describe('a sealing key', () => {
  test('is read and written as openssl has it', () => {
    const pair = generateKeyPairSync('x25519');
    const pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const key = readSealingPem(Buffer.from(pem), 'sealing.key');
    if (!key.ok) throw new Error(key.fault.message);
    expect(sealingPem(key.value)).toBe(`${pem}`);
    const der = pair.publicKey.export({ type: 'spki', format: 'der' });
    expect(Buffer.from(sealingSpki(key.value.publicKey)).equals(der)).toBe(true);
    const shown = createPublicKey(sealingPublicPem(key.value.publicKey));
    expect(shown.export({ type: 'spki', format: 'der' }).equals(der)).toBe(true);
    expect(readSealingPublicPem(Buffer.from(sealingPublicPem(key.value.publicKey)), 'x')).toEqual({
      ok: true,
      value: key.value.publicKey,
    });
  });

  test('of small order keeps no secret and is none', () => {
    const one = new Uint8Array(32);
    one[0] = 1;
    for (const raw of [new Uint8Array(32), one])
      expect(sealingFromSpki(sealingSpki(raw))).toBeNull();
  });

  for (const [what, file] of [
    ['text', 'secret'],
    [
      'an Ed25519 key',
      generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }),
    ],
    ['a private key', sealingPem(KEY)],
    ['a damaged one', sealingPublicPem(KEY.publicKey).replace('MC', 'M')],
  ] as const) {
    test(`${what} is no public one: values.sealing-key`, () => {
      const read = readSealingPublicPem(Buffer.from(file), 'the file');
      expect(read.ok ? 'read' : read.fault.code).toBe('values.sealing-key');
      expect(JSON.stringify(read)).not.toContain(Buffer.from(KEY.secret).toString('base64'));
    });
  }
});
