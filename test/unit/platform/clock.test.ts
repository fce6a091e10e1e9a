/** Clocks and randomness, compared with the kernel's own figures. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { systemClock } from '#platform/node/clock.ts';
import { systemRandom } from '#platform/node/random.ts';

const clock = systemClock();
const uptimeMs = (): number => Number.parseFloat(readFileSync('/proc/uptime', 'latin1')) * 1_000;

describe('the clock', () => {
  test('bootMs is the time since boot', () => {
    expect(Math.abs(clock.bootMs() - uptimeMs())).toBeLessThan(2_000);
  });

  test('no clock goes back', () => {
    for (const read of [clock.monotonicMs, clock.bootMs]) {
      let last = read();
      for (let count = 0; count < 1_000; count++) {
        const now = read();
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
      }
    }
  });

  test('sleep lasts at least as long as asked', async () => {
    const before = clock.monotonicMs();
    await clock.sleep(30);
    expect(clock.monotonicMs() - before).toBeGreaterThanOrEqual(29);
  });

  test('sleep ends at once when its signal aborts, or has', async () => {
    const controller = new AbortController();
    const slept = clock.sleep(3_600_000, controller.signal);
    controller.abort();
    await slept;
    await clock.sleep(3_600_000, controller.signal);
  });

  test('a sleep longer than a timer takes does not end at once', async () => {
    const controller = new AbortController();
    let ended = false;
    const slept = clock.sleep(3_000_000_000, controller.signal).then(() => {
      ended = true;
    });
    await clock.sleep(20);
    expect(ended).toBe(false);
    controller.abort();
    await slept;
  });

  test('after calls once, and not when it was cancelled', async () => {
    let calls = 0;
    clock.after(5, () => {
      calls += 1;
    });
    const cancel = clock.after(5, () => {
      calls += 100;
    });
    cancel();
    await clock.sleep(40);
    expect(calls).toBe(1);
  });
});

test('unit is uniform in [0, 1), bytes are not repeated', () => {
  const random = systemRandom();
  const values = Array.from({ length: 2_000 }, () => random.unit());
  expect(values.every((value) => value >= 0 && value < 1)).toBe(true);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.05);
  expect(random.bytes(32)).not.toEqual(random.bytes(32));
  expect(random.bytes(7).length).toBe(7);
});
