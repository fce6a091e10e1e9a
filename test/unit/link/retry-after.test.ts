/** Retry-After: believed for at most an hour (C16). */
import { describe, expect, test } from 'bun:test';
import { readHttpDate, readRetryAfter } from '#link/retry-after.ts';

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);

describe('Retry-After', () => {
  for (const [value, expected] of [
    ['120', 120_000],
    [' 5 ', 5_000],
    ['0', 0],
    ['1000000000', 3_600_000],
    ['99999999999999999999', 3_600_000],
    ['Mon, 23 Nov 2026 12:01:00 GMT', 60_000],
    ['Mon, 23 Nov 2026 11:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3_600_000],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['2026-11-23', null],
    ['Mon, 99 Nov 2026 12:01:00 GMT', null],
    ['', null],
    [undefined, null],
  ] as const) {
    test(`${value}: ${expected} ms`, () => expect(readRetryAfter(value, NOW)).toBe(expected));
  }

  test('only the fixed form of a date is read', () => {
    expect(readHttpDate('Sun, 06 Nov 1994 08:49:37 GMT')).toBe(784_111_777_000);
    expect(readHttpDate('1994')).toBeNull();
    expect(readHttpDate(undefined)).toBeNull();
  });
});
