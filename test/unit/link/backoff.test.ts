/** Backoff: decorrelated jitter between its bounds. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { backoff } from '#link/backoff.ts';

describe('backoff', () => {
  test('with the worst luck it triples up to the cap', () => {
    const delays = backoff({ baseMs: 1000, capMs: 20_000, random: { unit: () => 0.999999999 } });
    expect([1, 2, 3, 4, 5].map(() => delays.next())).toEqual([3000, 9000, 20_000, 20_000, 20_000]);
  });

  test('with the best luck it stays at the base', () => {
    const delays = backoff({ baseMs: 1000, capMs: 20_000, random: { unit: () => 0 } });
    expect([1, 2, 3].map(() => delays.next())).toEqual([1000, 1000, 1000]);
  });

  test('a reset starts from the base again', () => {
    const delays = backoff({ baseMs: 1000, capMs: 900_000, random: { unit: () => 0.999999999 } });
    delays.next();
    delays.next();
    delays.reset();
    expect(delays.next()).toBe(3000);
  });

  test('what the server asked for is a lower bound, also above the cap', () => {
    const delays = backoff({ baseMs: 1000, capMs: 2000, random: { unit: () => 0 } });
    expect(delays.next(7500.2)).toBe(7501);
    expect(delays.next(10)).toBe(1000);
  });

  test('every delay is whole and between base and cap, whatever is drawn', () => {
    const unit = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.array(unit, { minLength: 1, maxLength: 50 }), (draws) => {
        let at = 0;
        const random = { unit: () => draws[at++ % draws.length] ?? 0 };
        const delays = backoff({ baseMs: 1000, capMs: 900_000, random });
        for (const _ of draws) {
          const delay = delays.next();
          expect(Number.isInteger(delay) && delay >= 1000 && delay <= 900_000).toBe(true);
        }
      }),
    );
  });
});
