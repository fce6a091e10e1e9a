/** Durations and sizes as people write them. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { durationText, parseDuration, parseSize } from '#state/quantity.ts';

describe('durations', () => {
  for (const [text, ms] of [
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['250ms', 250],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['2m30s500ms', 150_500],
    ['0s', 0],
  ] as const) {
    test(`${text} is ${ms} ms`, () => expect(parseDuration(text)).toBe(ms));
  }

  for (const text of [
    '',
    '5',
    's',
    '-5s',
    '1.5s',
    '5 s',
    ' 5s',
    '5S',
    '5s5m',
    '5s5s',
    '5min',
    '9999999999s',
    '5s\n',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseDuration(text)).toBeNull());
  }

  test('the text of a duration is read as the same', () => {
    const ms = fc.nat({ max: 100 * 86_400_000 });
    fc.assert(fc.property(ms, (value) => expect(parseDuration(durationText(value))).toBe(value)));
  });
});

describe('sizes', () => {
  for (const [text, bytes] of [
    ['512', 512],
    ['64Mi', 67_108_864],
    ['1Ki', 1_024],
    ['2Gi', 2_147_483_648],
    ['1Ti', 1_099_511_627_776],
    ['5k', 5_000],
    ['5M', 5_000_000],
    ['5G', 5_000_000_000],
  ] as const) {
    test(`${text} is ${bytes} bytes`, () => expect(parseSize(text)).toBe(bytes));
  }

  for (const text of [
    '',
    'Mi',
    '-1',
    '1.5Gi',
    '1 Mi',
    '1mi',
    '1MiB',
    '1KB',
    '0x10',
    '999999999999999Ti',
    '1Mi\n',
  ]) {
    test(`${JSON.stringify(text)} is none`, () => expect(parseSize(text)).toBeNull());
  }
});
