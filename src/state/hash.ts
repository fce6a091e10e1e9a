/** Raw hashes that signing formats are made over; digests of content are digest.ts. */
import { createHash } from 'node:crypto';

/** 32 bytes */
export function sha256Bytes(bytes: Uint8Array): Uint8Array {
  return hashed('sha256', bytes);
}

/** 64 bytes */
export function sha512Bytes(bytes: Uint8Array): Uint8Array {
  return hashed('sha512', bytes);
}

/** 64 bytes, unkeyed (RFC 7693) */
export function blake2b512Bytes(bytes: Uint8Array): Uint8Array {
  return hashed('blake2b512', bytes);
}

const HMAC_BLOCK_BYTES = 64;

/** 32 bytes, keyed (RFC 2104). @param key  at most 64 bytes */
export function hmacSha256Bytes(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const block = (fill: number) =>
    Uint8Array.from({ length: HMAC_BLOCK_BYTES }, (_, at) => (key[at] ?? 0) ^ fill);
  const inner = sha256Bytes(Buffer.concat([block(0x36), bytes]));
  return sha256Bytes(Buffer.concat([block(0x5c), inner]));
}

function hashed(algorithm: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(bytes).digest());
}
