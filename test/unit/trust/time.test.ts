/** Checks 0 and 14: what time it may be, and what that does to statements that end. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { judgeFreshness } from '#trust/freshness.ts';
import { instantText, raiseFloor, type TimeView, viewTime } from '#trust/time.ts';
import { verifyStatement } from '#trust/verify.ts';
import { DAY, NOW, offer, signedState, trusted, verdictText } from './world.ts';

const YEAR = 365 * DAY;
const FLOOR_MS = NOW - 30 * DAY;

describe('check 0: a wall clock counts within ten years above the floor', () => {
  const rows: readonly [string, number, number, boolean][] = [
    ['1970', 0, FLOOR_MS, false],
    ['one ms below the floor', FLOOR_MS - 1, FLOOR_MS, false],
    ['at the floor', FLOOR_MS, FLOOR_MS, true],
    ['now', NOW, NOW, true],
    ['ten years above', FLOOR_MS + 10 * YEAR, FLOOR_MS + 10 * YEAR, true],
    ['R22: a step to 2100', 4_102_444_800_000, FLOOR_MS, false],
  ];
  for (const [what, wallMs, estimateMs, wallPlausible] of rows) {
    test(`${what}: estimate ${instantText(estimateMs)}`, () => {
      const view = viewTime({ floorMs: FLOOR_MS, wallMs });
      expect(view).toEqual({ floorMs: FLOOR_MS, estimateMs, grade: 'estimated', wallPlausible });
    });
  }
  test('a clock that a time service steers is synchronised, an implausible one is not', () => {
    const grade = (wallMs: number) =>
      viewTime({ floorMs: FLOOR_MS, wallMs, synchronised: true }).grade;
    expect([grade(NOW), grade(0)]).toEqual(['synchronised', 'estimated']);
  });
});

describe('check 0: the floor rises by signed values, 400 days at a time', () => {
  test('unset and older values leave it', () => {
    expect(raiseFloor(FLOOR_MS, 0)).toBe(FLOOR_MS);
    expect(raiseFloor(FLOOR_MS, FLOOR_MS - 1)).toBe(FLOOR_MS);
  });
  test('R22: issued_at in 2100 lifts it by 400 days', () => {
    expect(raiseFloor(FLOOR_MS, 4_102_444_800_000)).toBe(FLOOR_MS + 400 * DAY);
  });
  test('it never goes down and never jumps', () => {
    const time = fc.integer({ min: 0, max: 8e15 });
    fc.assert(
      fc.property(time, time, (floor, by) => {
        const raised = raiseFloor(floor, by);
        return raised >= floor && raised <= floor + 400 * DAY;
      }),
    );
  });
});

const view = (more: Partial<TimeView> = {}): TimeView => ({
  ...viewTime({ floorMs: FLOOR_MS, wallMs: NOW }),
  ...more,
});

describe('check 14: only the floor proves that a statement has ended', () => {
  const rows: readonly [string, number, 'lenient' | 'strict', string, Partial<TimeView>?][] = [
    ['no end', 0, 'strict', 'unknown'],
    ['in force', NOW + DAY, 'strict', 'estimated'],
    ['in force, attested time', NOW + DAY, 'strict', 'attested', { grade: 'attested' }],
    ['ends this very ms', NOW, 'strict', 'estimated'],
    ['ended by the clock, lenient', NOW - 1, 'lenient', 'estimated'],
    ['ended by the clock, strict', NOW - 1, 'strict', 'waiting trust.maybe-expired'],
    ['ends at the floor, lenient', FLOOR_MS, 'lenient', 'estimated'],
    ['ended before the floor, lenient', FLOOR_MS - 1, 'lenient', 'refused trust.expired'],
    ['ended before the floor, strict', FLOOR_MS - 1, 'strict', 'refused trust.expired'],
  ];
  for (const [what, notAfter, clock, verdict, time] of rows) {
    test(`${what}: ${verdict}`, () => {
      const outcome = judgeFreshness(notAfter, view(time), clock);
      expect(
        outcome.kind === 'passed' ? outcome.value : `${outcome.kind} ${outcome.fault.code}`,
      ).toBe(verdict);
    });
  }
});

describe('check 14 through the front door', () => {
  const judge = (notAfter: number, more = {}) =>
    verifyStatement(offer(signedState({ notAfter })), trusted(more));
  test('a new state that ended is refused, a lenient device takes one that may have', () => {
    expect(verdictText(judge(FLOOR_MS - 1))).toBe('refused trust.expired');
    const lenient = judge(NOW - DAY);
    expect(lenient.kind === 'accept' && lenient.freshness).toBe('estimated');
    expect(verdictText(judge(NOW - DAY, { clock: 'strict' }))).toBe('waiting trust.maybe-expired');
  });
  test('what is applied stays current when it has ended', () => {
    const ended = signedState({ sequence: 57n, notAfter: FLOOR_MS - 1 });
    const digest = { epoch: 1n, sequence: 57n, at: 0 };
    const first = verifyStatement(offer(ended), trusted({ floor: null }));
    expect(verdictText(first)).toBe('refused trust.expired');
    const held = { floor: null, appliedDigest: null };
    const fresh = verifyStatement(
      offer(ended),
      trusted({ ...held, time: viewTime({ floorMs: 0, wallMs: 0 }) }),
    );
    if (fresh.kind !== 'accept') throw new Error(verdictText(fresh));
    const stateDigest = fresh.state.point.digest;
    const later = trusted({ floor: { ...digest, stateDigest }, appliedDigest: stateDigest });
    expect(verdictText(verifyStatement(offer(ended), later))).toBe('current');
  });
  test('R22: after a step to 2100, a normal state is still accepted', () => {
    const time = viewTime({ floorMs: FLOOR_MS, wallMs: 4_102_444_800_000 });
    expect(verdictText(judge(NOW + DAY, { time, clock: 'strict' }))).toBe('accept');
  });
});

test('instants read as ISO 8601 does', () => {
  const rows = [0, 951_782_399_000, 951_782_400_000, 1_795_392_000_000, 4_102_444_799_999, -1_000];
  for (const ms of rows) {
    expect(instantText(ms)).toBe(new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z'));
  }
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (ms) => {
      expect(instantText(ms)).toBe(new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z'));
    }),
  );
});
