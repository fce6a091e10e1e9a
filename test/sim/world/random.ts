/**
 * Randomness of a run: everything that is chosen comes from here, and so from the seed. A stream is
 * split by name, so that one actor's choices do not move those of another.
 */
import type { Random } from '#platform/random.ts';

export interface Dice extends Random {
  /** whole, 0 <= n < below */
  below(limit: number): number;
  /** true once in `of` */
  oneIn(of: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** a stream of its own, the same for the same name */
  split(name: string): Dice;
}

/** Mulberry32 over a hashed seed: small, fast, and the same everywhere. */
export function dice(seed: number | string): Dice {
  const start = hash(String(seed));
  let state = start;
  function next(): number {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }
  const die: Dice = {
    unit: next,
    bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)),
    below: (limit) => Math.floor(next() * limit),
    oneIn: (of) => Math.floor(next() * of) === 0,
    pick(from) {
      const item = from[Math.floor(next() * from.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    split: (name) => dice(`${start}/${name}`),
  };
  return die;
}

function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193);
  }
  return value ^ (value >>> 15);
}
