/**
 * The nonces that this device has asked the time with. They live in memory alone: an answer that
 * comes after a restart, late, or twice answers nothing (ATTACKS R06).
 */
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';

/** bytes; the wire asks for 16 at least */
const NONCE_BYTES = 32;
/** ms of CLOCK_BOOTTIME: carried by hand to an authority and back */
const WAITS_MS = 15 * 60_000;
/** a way each, an operator's, and those of the round before */
const WAITING_MAX = 8;

export interface Nonces {
  make(): Uint8Array;
  /** ms of CLOCK_BOOTTIME since it was made; null: none that is waited for */
  askedAgoMs(nonce: Uint8Array): number | null;
  /** It was answered: never again. */
  use(nonce: Uint8Array): void;
}

export function nonces(clock: Pick<Clock, 'bootMs'>, random: Pick<Random, 'bytes'>): Nonces {
  /** hex → CLOCK_BOOTTIME in ms, oldest first */
  const waiting = new Map<string, number>();
  return {
    make() {
      const nonce = random.bytes(NONCE_BYTES);
      waiting.set(hex(nonce), clock.bootMs());
      const oldest = waiting.keys().next().value;
      if (waiting.size > WAITING_MAX && oldest !== undefined) waiting.delete(oldest);
      return nonce;
    },
    askedAgoMs(nonce) {
      const madeAt = waiting.get(hex(nonce));
      if (madeAt === undefined) return null;
      const agoMs = clock.bootMs() - madeAt;
      return agoMs >= 0 && agoMs <= WAITS_MS ? agoMs : null;
    },
    use: (nonce) => void waiting.delete(hex(nonce)),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
