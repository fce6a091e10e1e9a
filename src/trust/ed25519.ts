/**
 * Strict Ed25519 (DESIGN section 5, check 9). Every primitive at hand is too lenient somewhere:
 * tweetnacl takes S >= L and small-order keys, OpenSSL-like libraries differ on small order. So the
 * strictness is ours, byte comparisons before any curve arithmetic, and the primitive behind it
 * only has to agree on what is left. Which one is fast is docs/decisions/0001-native-ed25519.md.
 *
 * Invariants: what the pre-checks refuse reaches no primitive; one message has one accepted
 * encoding of (R, S); no input throws. Keys name their scheme: Ed25519ph is never tried.
 *
 * @see RFC 8032 section 5.1.7; "Taming the many EdDSAs" (ed25519-speccheck), strict row
 */
import { createPublicKey, verify } from 'node:crypto';
import nacl from 'tweetnacl';
import { hexOf, sha256 } from '#state/digest.ts';

/** Verifies an already strict-checked triple: 32 bytes, any length, 64 bytes. */
export type Ed25519Primitive = (
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
) => boolean;

// Check 9
export function verifyEd25519(
  key: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
  primitive: Ed25519Primitive = nativePrimitive,
): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  if (!isStrictPoint(key)) return false;
  if (!isStrictPoint(signature.subarray(0, POINT_BYTES))) return false;
  if (!isBelow(signature.subarray(POINT_BYTES), ORDER)) return false;
  return primitive(key, message, signature);
}

/** A key that `verifyEd25519` could ever accept: 32 bytes, canonical y, not of small order. */
export function isStrictPoint(point: Uint8Array): boolean {
  if (point.length !== POINT_BYTES) return false;
  const y = Uint8Array.from(point);
  y[31] = (y[31] ?? 0) & 0x7f; // the top bit is the sign of x, no part of y
  return isBelow(y, FIELD) && !SMALL_ORDER.some((small) => equal(small, y));
}

/** BoringSSL or OpenSSL: the default. */
export const nativePrimitive: Ed25519Primitive = (key, message, signature) => {
  try {
    return verify(null, message, keyObject(key), signature);
  } catch {
    return false; // a y that is on no point of the curve
  }
};

/** The second implementation: the tests run every vector on both. */
export const tweetnaclPrimitive: Ed25519Primitive = (key, message, signature) =>
  nacl.sign.detached.verify(message, signature, key);

/** The 32 raw bytes of an Ed25519 SPKI, or null for any other bytes (RFC 8410 section 4). */
export function rawFromSpki(der: Uint8Array): Uint8Array | null {
  if (der.length !== SPKI_PREFIX.length + POINT_BYTES) return null;
  if (!equal(der.subarray(0, SPKI_PREFIX.length), SPKI_PREFIX)) return null;
  return der.slice(SPKI_PREFIX.length);
}

/** The SPKI DER of 32 raw bytes. */
export function spkiFromRaw(key: Uint8Array): Uint8Array {
  const der = new Uint8Array(SPKI_PREFIX.length + key.length);
  der.set(SPKI_PREFIX);
  der.set(key, SPKI_PREFIX.length);
  return der;
}

/** Lowercase hex SHA-256 of the SPKI DER (FORMATS: Keys). A hint only: check 8. */
export function keyidOf(spkiDer: Uint8Array): string {
  return hexOf(sha256(spkiDer));
}

const POINT_BYTES = 32;
const SIGNATURE_BYTES = 64;
const KEYS_CACHED = 64;

/** SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }: the only encoding there is. */
const SPKI_PREFIX = bytes('302a300506032b6570032100');

/** 2^255 − 19 and 2^252 + 27742317777372353535851937790883648493, little-endian */
const FIELD = bytes('edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f');
const ORDER = bytes('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');

/**
 * y of every point whose order divides 8. With the sign bit masked these are all canonical ones;
 * the other encodings of the well-known fourteen have y >= p.
 */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(bytes);

/** Little-endian a < b, of equal length. */
function isBelow(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = b.length - 1; i >= 0; i -= 1) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    if (x !== y) return x < y;
  }
  return false;
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function bytes(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** Parsing a key costs as much as a short verification: few keys sign a fleet, so keep them. */
type KeyObject = ReturnType<typeof createPublicKey>;
const keyObjects = new Map<string, KeyObject>();

function keyObject(key: Uint8Array): KeyObject {
  const name = Buffer.from(key).toString('hex');
  const known = keyObjects.get(name);
  if (known) return known;
  const made = createPublicKey({ key: Buffer.from(spkiFromRaw(key)), format: 'der', type: 'spki' });
  const oldest = keyObjects.size >= KEYS_CACHED ? keyObjects.keys().next() : null;
  if (oldest && !oldest.done) keyObjects.delete(oldest.value);
  keyObjects.set(name, made);
  return made;
}
