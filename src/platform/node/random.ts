/** Randomness from the kernel (getrandom). */
import { randomBytes } from 'node:crypto';
import type { Random } from '#platform/random.ts';

export function systemRandom(): Random {
  return {
    bytes: (count) => new Uint8Array(randomBytes(count)),
    /** 53 bits: every double in [0, 1) at that grain is equally likely */
    unit: () => Number(randomBytes(8).readBigUInt64LE() >> 11n) / 2 ** 53,
  };
}
