/** hub/blobs.ts: one byte range (RFC 9110 section 14.2). */
import { expect, test } from 'bun:test';
import { rangeOf } from '#hub/blobs.ts';

for (const [header, size, expected] of [
  [undefined, 10, null],
  ['bytes=0-3', 10, { from: 0, to: 3 }],
  ['bytes=4-', 10, { from: 4, to: 9 }],
  ['bytes=-3', 10, { from: 7, to: 9 }],
  ['bytes=-30', 10, { from: 0, to: 9 }],
  ['bytes=0-999', 10, { from: 0, to: 9 }],
  ['bytes=9-9', 10, { from: 9, to: 9 }],
  ['bytes=10-', 10, 'unsatisfiable'],
  ['bytes=0-', 0, 'unsatisfiable'],
  ['bytes=-0', 10, 'unsatisfiable'],
  ['bytes=3-1', 10, null],
  ['bytes=-', 10, null],
  ['bytes=0-1,3-4', 10, null],
  ['lines=0-1', 10, null],
  ['bytes=99999999999999999999-', 10, null],
] as const) {
  test(`${header} of ${size} bytes: ${JSON.stringify(expected)}`, () =>
    expect<unknown>(rangeOf(header, size)).toEqual(expected));
}
