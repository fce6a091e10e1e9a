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

function hashed(algorithm: string, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash(algorithm).update(bytes).digest());
}
