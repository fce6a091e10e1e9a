/** Randomness that a seed repeats (mulberry32). For tests and the simulator, never for keys. */
import type { Random } from '#platform/random.ts';

export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
    unit: () => next() / 2 ** 32,
  };
}
