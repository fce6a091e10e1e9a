/** Maintenance windows: when one is open, when the next opens, over weekdays, midnight and clock changes. */
import { describe, expect, test } from 'bun:test';
import { isTimeZone, windowAt } from '#plan/window.ts';

const HOUR = 3_600_000;
const at = (text: string) => Date.parse(text);
const window = (more: object) => ({
  weekdays: [] as number[],
  start: '02:30',
  durationMs: 2 * HOUR,
  timeZone: 'UTC',
  ...more,
});
const opens = (text: string) => ({ kind: 'closed', opensMs: at(text) });
const open = (until: string) => ({ kind: 'open', untilMs: at(until) });

describe('a window', () => {
  for (const [what, more, now, expected] of [
    ['before it: it opens today', {}, '2026-11-23T02:29:59Z', opens('2026-11-23T02:30:00Z')],
    ['at its first moment', {}, '2026-11-23T02:30:00Z', open('2026-11-23T04:30:00Z')],
    ['at its last moment', {}, '2026-11-23T04:29:59.999Z', open('2026-11-23T04:30:00Z')],
    ['after it: tomorrow', {}, '2026-11-23T04:30:00Z', opens('2026-11-24T02:30:00Z')],
    [
      'of Mondays, on a Tuesday',
      { weekdays: [1] },
      '2026-11-24T03:00:00Z',
      opens('2026-11-30T02:30:00Z'),
    ],
    [
      'of Sundays, on a Sunday',
      { weekdays: [7] },
      '2026-11-29T03:00:00Z',
      open('2026-11-29T04:30:00Z'),
    ],
    [
      'over midnight belongs to the day it starts on',
      { weekdays: [1], start: '23:00', durationMs: 3 * HOUR },
      '2026-11-24T01:00:00Z',
      open('2026-11-24T02:00:00Z'),
    ],
    [
      'of three days',
      { weekdays: [5], start: '18:00', durationMs: 60 * HOUR },
      '2026-11-29T12:00:00Z',
      open('2026-11-30T06:00:00Z'),
    ],
    [
      'in another zone',
      { timeZone: 'Asia/Kolkata' },
      '2026-11-22T21:30:00Z',
      open('2026-11-22T23:00:00Z'),
    ],
    ['before 1970', {}, '1969-12-31T02:00:00Z', opens('1969-12-31T02:30:00Z')],
    // Europe/Berlin goes from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
    [
      'whose start the clocks leave out opens where they go on',
      { timeZone: 'Europe/Berlin' },
      '2026-03-29T00:00:00Z',
      opens('2026-03-29T01:30:00Z'),
    ],
    [
      'whose start comes twice opens at the first',
      { timeZone: 'Europe/Berlin' },
      '2026-10-25T00:00:00Z',
      opens('2026-10-25T00:30:00Z'),
    ],
    [
      'lasts as long as it says over the change',
      { timeZone: 'Europe/Berlin', start: '01:00' },
      '2026-03-29T01:59:00Z',
      open('2026-03-29T02:00:00Z'),
    ],
    [
      'the day after the change follows the new offset',
      { timeZone: 'Europe/Berlin' },
      '2026-03-29T12:00:00Z',
      opens('2026-03-30T00:30:00Z'),
    ],
  ] as const) {
    test(what, () => expect(windowAt([window(more)], at(now))).toEqual(expected as never));
  }

  test('none at all: always open', () => {
    expect(windowAt([], 0)).toEqual({ kind: 'open', untilMs: Number.POSITIVE_INFINITY });
  });

  test('of several the one that is open longest, else the next one', () => {
    const two = [window({}), window({ start: '03:00', durationMs: 4 * HOUR })];
    expect(windowAt(two, at('2026-11-23T03:30:00Z'))).toEqual(
      open('2026-11-23T07:00:00Z') as never,
    );
    expect(windowAt(two, at('2026-11-23T07:30:00Z'))).toEqual(
      opens('2026-11-24T02:30:00Z') as never,
    );
  });

  test('a zone that nobody knows is said, not guessed', () => {
    const far = [window({ timeZone: 'Mars/Olympus' })];
    expect(windowAt(far, 0)).toEqual({ kind: 'unknown-zone', timeZone: 'Mars/Olympus' });
    expect(isTimeZone('Mars/Olympus')).toBe(false);
    expect(isTimeZone('Europe/Berlin')).toBe(true);
  });
});
