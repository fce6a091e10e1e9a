/** store/record.ts: no bit of a record may change unseen (attack row L07). */
import { describe, expect, test } from 'bun:test';
import { frameRecord, openRecord } from '#store/record.ts';
import { codeOf, value } from '../../support/store.ts';

describe('L07: a record is read only as it was written', () => {
  const body = Buffer.from('the quick brown fox');
  const framed = frameRecord('channel/a/b', body);

  test('what was framed opens to the same bytes', () => {
    expect(Buffer.from(value(openRecord('channel/a/b', framed)))).toEqual(body);
    expect(value(openRecord('k', frameRecord('k', new Uint8Array())))).toHaveLength(0);
  });

  test('every single flipped bit is store.checksum', () => {
    for (let bit = 0; bit < framed.length * 8; bit += 1) {
      const flipped = Uint8Array.from(framed);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(codeOf(openRecord('channel/a/b', flipped))).toBe('store.checksum');
    }
  });

  test('a row under another key is store.checksum', () => {
    expect(codeOf(openRecord('channel/a/c', framed))).toBe('store.checksum');
  });

  test('key and body cannot trade bytes', () => {
    const moved = frameRecord('channel/a/b\nt', body.subarray(1));
    expect(Buffer.from(moved.subarray(1, 17))).not.toEqual(Buffer.from(framed.subarray(1, 17)));
  });

  for (const length of [0, 1, 16, 17, framed.length - 1]) {
    test(`cut to ${length} bytes it is store.checksum`, () => {
      expect(codeOf(openRecord('channel/a/b', framed.subarray(0, length)))).toBe('store.checksum');
    });
  }
});
