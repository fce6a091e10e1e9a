/** The interval, its jitter, and the backoff after failures. */
import { describe, expect, test } from 'bun:test';
import { schedule } from '#triggers/schedule.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const MINUTE = 60_000;

function made(seed = 1, options: { intervalMs?: number; jitter?: number } = {}) {
  const clock = manualClock();
  const { intervalMs = 5 * MINUTE, jitter = 0.2 } = options;
  const backoffMaxMs = 60 * MINUTE;
  const trigger = schedule({ clock, random: seededRandom(seed), intervalMs, jitter, backoffMaxMs });
  const wakes: number[] = [];
  const stop = trigger.start(() => wakes.push(clock.monotonicMs()));
  return { clock, trigger, wakes, stop };
}

describe('the schedule', () => {
  test('wakes at the interval, within its jitter', async () => {
    const { clock, trigger, wakes } = made();
    for (let i = 0; i < 50; i += 1) {
      const due = trigger.nextInMs() ?? 0;
      expect(due).toBeGreaterThanOrEqual(4 * MINUTE);
      expect(due).toBeLessThanOrEqual(6 * MINUTE);
      await clock.advance(due);
      trigger.succeeded();
    }
    expect(wakes).toHaveLength(50);
    expect(clock.pending()).toBe(1);
  });

  test('spreads a fleet that was switched on at one moment', () => {
    const firsts = Array.from({ length: 100 }, (_, seed) => made(seed).trigger.nextInMs() ?? 0);
    expect(Math.max(...firsts) - Math.min(...firsts)).toBeGreaterThan(90_000);
  });

  test('wakes an agent that never answers', async () => {
    const { clock, wakes } = made(1, { jitter: 0 });
    await clock.advance(60 * MINUTE);
    expect(wakes).toHaveLength(12);
  });

  test('tries soon after a failure, then ever more rarely, never above the maximum', async () => {
    const { clock, trigger } = made();
    const waits: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      trigger.failed();
      const wait = trigger.nextInMs() ?? 0;
      waits.push(wait);
      await clock.advance(wait);
    }
    expect(waits[0]).toBeLessThanOrEqual(30_000);
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(10_000);
    expect(Math.max(...waits)).toBeLessThanOrEqual(60 * MINUTE);
    expect(Math.max(...waits)).toBeGreaterThan(10 * MINUTE);
    trigger.succeeded();
    expect(trigger.nextInMs()).toBeLessThanOrEqual(6 * MINUTE);
    trigger.failed();
    expect(trigger.nextInMs()).toBeLessThanOrEqual(30_000);
  });

  test('C16: Retry-After is a lower bound', () => {
    const { trigger } = made();
    trigger.failed(20 * MINUTE);
    expect(trigger.nextInMs()).toBeGreaterThanOrEqual(20 * MINUTE);
  });

  test('a failure of a short interval is not retried more slowly than the interval', () => {
    const { trigger } = made(1, { intervalMs: 1_000 });
    trigger.failed();
    expect(trigger.nextInMs()).toBeLessThanOrEqual(3_000);
  });

  test('stops with no timer left, whatever is answered after that', async () => {
    const { clock, trigger, wakes, stop } = made();
    stop();
    trigger.succeeded();
    trigger.failed();
    expect(clock.pending()).toBe(0);
    expect(trigger.nextInMs()).toBeNull();
    await clock.advance(60 * MINUTE);
    expect(wakes).toEqual([]);
  });
});
