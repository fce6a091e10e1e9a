/**
 * `npm run bench` in small: it runs, prints, and its counts keep the bounds that do not depend on the
 * machine. Times and CPU are for people: docs/performance.md.
 */
import { beforeAll, describe, expect, test } from 'bun:test';
import { type BenchResult, bench, TRACED } from '../../scripts/bench/measure.ts';
import { render } from '../../scripts/bench/report.ts';
import { buildBare, buildNative } from '../../scripts/bench-programs.ts';
import { holdfast } from '../support/device.ts';
import { program } from '../support/parts.ts';
import { missing } from '../support/plant.ts';

const why = missing ?? (program('strace') === null ? 'no strace' : null);
const title = why === null ? 'the bench' : `the bench (skipped: ${why})`;
const KIB = 1_024;
const PLAN = {
  changes: 4,
  warm: 3,
  slow: 1,
  polls: 3,
  starts: 1,
  warmSeconds: 1,
  idleSeconds: 1,
};

describe.skipIf(why !== null)(title, () => {
  let result: BenchResult;
  beforeAll(async () => {
    const programs = { executable: holdfast, native: await buildNative(), bare: await buildBare() };
    result = await bench(programs, PLAN, () => undefined);
  }, 120_000);

  test('a change of a small file is one request, two commits and at most eight fsyncs', () => {
    const { calls } = result;
    expect(calls?.requests.filter((line) => line.includes('/v2/'))).toHaveLength(TRACED);
    expect(calls?.commits).toBe(2 * TRACED);
    expect(calls?.syncs).toBeLessThanOrEqual(8 * TRACED);
    expect(calls?.received).toBeLessThanOrEqual(16 * KIB * TRACED);
    expect(result.files.cost.written / PLAN.changes).toBeLessThanOrEqual(130 * KIB);
  });

  test('an unchanged poll is one HEAD, at most 1 KiB, and writes nothing', () => {
    const { written, calls } = result.poll;
    const requests = calls?.requests.filter((line) => line.includes('/v2/')) ?? [];
    expect(requests.map((line) => line.split(' ')[0])).toEqual(['HEAD']);
    expect(calls?.received).toBeLessThanOrEqual(KIB);
    expect([written, calls?.syncs]).toEqual([0, 0]);
  });

  test('an idle agent writes nothing', () => {
    expect(result.idle.agent.written).toBe(0);
  });

  test('every part of a change took its time, and the native paths did the same change', () => {
    for (const { totalMs, change } of result.files.holdfast) {
      const { fetchMs, verifyMs, planMs, diskMs } = change;
      const parts = [fetchMs, verifyMs, planMs, diskMs];
      for (const part of parts) expect(part).toBeGreaterThan(0);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBeLessThan(totalMs);
    }
    const natively = process.arch === 'x64' ? PLAN.changes : 0;
    expect([result.files.same.length, result.files.designed.length]).toEqual([natively, natively]);
    expect(result.window.holdfast[0]?.change.healthMs).toBeGreaterThan(900);
  });

  test('the report has every table', () => {
    const text = render(result);
    for (const part of ['÷ native as designed', 'where it goes', 'commits', 'a poll', 'to ready']) {
      expect(text).toContain(part);
    }
    expect(text).not.toContain('NaN');
  });
});
