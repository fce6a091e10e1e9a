/**
 * Nonces for enrolment: whoever signs one has the device key now. They are not kept until one was
 * used in a request that is signed, so asking for a million of them costs nothing: a nonce is time,
 * randomness, and a mark that only this process can make. After a restart all are void.
 */
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import { digestToBytes, sha256 } from '#state/digest.ts';
import { NONCE_BYTES } from '#wire/enrolment.ts';

export interface Nonces {
  make(): Uint8Array;
  /** True once for each nonce that is not too old. */
  use(nonce: Uint8Array): boolean;
}

const LIFE_MS = 5 * 60_000;
/** used ones of five minutes: beyond that nobody is let in until some are forgotten */
const USED_MAX = 10_000;
const TIME_BYTES = 8;
const RANDOM_BYTES = 16;
const BODY_BYTES = TIME_BYTES + RANDOM_BYTES;

export function nonces(clock: Clock, random: Random): Nonces {
  const key = random.bytes(32);
  const used = new Map<string, number>();
  // All parts have fixed lengths: nothing can be appended to what is hashed.
  const markOf = (body: Uint8Array): Uint8Array =>
    digestToBytes(sha256(Buffer.concat([key, body]))).subarray(0, NONCE_BYTES - BODY_BYTES);
  return {
    make() {
      const body = Buffer.alloc(BODY_BYTES);
      body.writeDoubleBE(clock.monotonicMs());
      body.set(random.bytes(RANDOM_BYTES), TIME_BYTES);
      return new Uint8Array(Buffer.concat([body, markOf(body)]));
    },
    use(nonce) {
      if (nonce.length !== NONCE_BYTES) return false;
      const body = Buffer.from(nonce.subarray(0, BODY_BYTES));
      if (!sameSecret(markOf(body), nonce.subarray(BODY_BYTES))) return false;
      const now = clock.monotonicMs();
      const age = now - body.readDoubleBE();
      if (!(age >= 0 && age <= LIFE_MS)) return false;
      for (const [old, at] of used) {
        if (now - at <= LIFE_MS) break;
        used.delete(old);
      }
      const name = body.toString('hex');
      if (used.has(name) || used.size >= USED_MAX) return false;
      used.set(name, now);
      return true;
    },
  };
}

/** In a time that says nothing of where they differ. */
function sameSecret(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let differ = 0;
  for (let index = 0; index < a.length; index += 1) differ |= (a[index] ?? 0) ^ (b[index] ?? 0);
  return differ === 0;
}

/** Hex SHA-256 of a secret's text: what is kept of it. */
export function secretHash(secret: string | Uint8Array): string {
  const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret;
  return sha256(bytes).slice('sha256:'.length);
}

export function isSecretOf(secret: string | Uint8Array, hash: string): boolean {
  return sameSecret(Buffer.from(secretHash(secret), 'hex'), Buffer.from(hash, 'hex'));
}
