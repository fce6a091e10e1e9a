/** SHA-256 digests: `sha256:` and 64 lowercase hex digits in text, 32 raw bytes on the wire. */
import { createHash } from 'node:crypto';

declare const brand: unique symbol;
/** `sha256:<64 lowercase hex>`; only this module makes one. */
export type Digest = `sha256:${string}` & { readonly [brand]: 'digest' };

const FORM = /^sha256:[0-9a-f]{64}$/;

export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}

/** Null for anything else: upper case, another algorithm, another length (attack row C06). */
export function parseDigest(text: string): Digest | null {
  return FORM.test(text) ? (text as Digest) : null;
}

/** From 32 raw bytes; null for another length. */
export function digestFromBytes(bytes: Uint8Array): Digest | null {
  return bytes.length === 32 ? (`sha256:${Buffer.from(bytes).toString('hex')}` as Digest) : null;
}

export function digestToBytes(digest: Digest): Uint8Array {
  return new Uint8Array(Buffer.from(hexOf(digest), 'hex'));
}

/** The 64 hex digits alone. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

export interface Hasher {
  update(bytes: Uint8Array): void;
  digest(): Digest;
}

/** For streams. */
export function sha256Hasher(): Hasher {
  const hash = createHash('sha256');
  return {
    update: (bytes) => void hash.update(bytes),
    digest: () => `sha256:${hash.digest('hex')}` as Digest,
  };
}
