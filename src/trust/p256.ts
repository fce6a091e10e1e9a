/**
 * ECDSA over P-256 with SHA-256, for keys in cosign, PKCS#11 tokens and HSMs. As with Ed25519 the
 * strictness is ours and stands before the library: one encoding of a key (uncompressed, on the
 * curve), one encoding of a number in a signature. (r, s) and (r, n − s) are both valid, as ECDSA
 * has it and HSMs make them: signature bytes are never an identifier.
 *
 * Invariants: what the pre-checks refuse reaches no library; no input throws.
 *
 * @see FIPS 186-5 section 6.4, RFC 5480 section 2 (SPKI), RFC 3279 section 2.2.3 (Ecdsa-Sig-Value)
 */
import { createPublicKey, verify } from 'node:crypto';

// Check 9
export function verifyP256(point: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isP256Point(point) || !isStrictP256Signature(signature)) return false;
  try {
    const key = { key: keyObject(point), dsaEncoding: 'der' } as const;
    return verify('sha256', message, key, signature);
  } catch {
    return false;
  }
}

/** The 65 bytes of the point of a P-256 SPKI, or null for any other bytes. */
export function pointFromSpki(der: Uint8Array): Uint8Array | null {
  if (der.length !== SPKI_PREFIX.length + POINT_BYTES) return null;
  if (!SPKI_PREFIX.every((byte, i) => byte === der[i])) return null;
  return der.slice(SPKI_PREFIX.length);
}

/** Uncompressed, both coordinates below p, on the curve; the group has no small subgroups. */
export function isP256Point(point: Uint8Array): boolean {
  if (point.length !== POINT_BYTES || point[0] !== UNCOMPRESSED) return false;
  const x = numberOf(point.subarray(1, 1 + NUMBER_BYTES));
  const y = numberOf(point.subarray(1 + NUMBER_BYTES));
  if (x >= P || y >= P) return false;
  return (y * y - (x * x * x - 3n * x + B)) % P === 0n;
}

/** SEQUENCE { INTEGER r, INTEGER s }, DER to the last byte, both from 1 to n − 1. */
export function isStrictP256Signature(der: Uint8Array): boolean {
  if (der.length > SIGNATURE_BYTES_MAX) return false;
  if (der[0] !== SEQUENCE || der[1] !== der.length - 2) return false;
  const second = endOfNumber(der, 2);
  return second !== null && endOfNumber(der, second) === der.length;
}

const NUMBER_BYTES = 32;
const POINT_BYTES = 65;
const UNCOMPRESSED = 0x04;
const SEQUENCE = 0x30;
const INTEGER = 0x02;
/** 2 + 2 × (2 + 33): every length fits one byte */
const SIGNATURE_BYTES_MAX = 72;
const KEYS_CACHED = 64;

const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** SEQUENCE { SEQUENCE { 1.2.840.10045.2.1, 1.2.840.10045.3.1.7 }, BIT STRING of 65 bytes } */
const SPKI_PREFIX = new Uint8Array(
  Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex'),
);

/** Where the INTEGER that starts at `at` ends; null: not minimal, not positive, or not below n. */
function endOfNumber(der: Uint8Array, at: number): number | null {
  const length = der[at + 1] ?? 0;
  const end = at + 2 + length;
  if (der[at] !== INTEGER || length === 0 || end > der.length) return null;
  const [first = 0, second = 0] = der.subarray(at + 2, end);
  if (first >= 0x80) return null; // negative
  if (first === 0 && second < 0x80) return null; // a zero too many, or zero itself
  return numberOf(der.subarray(at + 2, end)) < N ? end : null;
}

/** Big-endian. */
function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/** Parsing a key costs as much as a verification: few keys sign a fleet, so keep them. */
type KeyObject = ReturnType<typeof createPublicKey>;
const keyObjects = new Map<string, KeyObject>();

function keyObject(point: Uint8Array): KeyObject {
  const name = Buffer.from(point).toString('hex');
  const known = keyObjects.get(name);
  if (known) return known;
  const der = Buffer.concat([SPKI_PREFIX, point]);
  const made = createPublicKey({ key: der, format: 'der', type: 'spki' });
  const oldest = keyObjects.size >= KEYS_CACHED ? keyObjects.keys().next() : null;
  if (oldest && !oldest.done) keyObjects.delete(oldest.value);
  keyObjects.set(name, made);
  return made;
}
