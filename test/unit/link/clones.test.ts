/** Copies of a device, found by presence and by what the broker says. */
import { describe, expect, test } from 'bun:test';
import { cloneWatch } from '#link/clones.ts';
import { manualClock } from '../../support/manual-clock.ts';

function made() {
  const clock = manualClock();
  const told: number[] = [];
  const watch = cloneWatch(clock, (times) => told.push(times));
  let since = 1_000;
  return {
    clock,
    told,
    watch,
    /** one connection that finds `before` as retained presence, then its own echo */
    connects(before: number | null) {
      since += 1;
      watch.connecting(since);
      if (before !== null) watch.saw(before);
      watch.saw(since);
      return since;
    },
  };
}

describe('M11, L16: a copy of this device', () => {
  test('shows by presences that this process never wrote', async () => {
    const { clock, told, connects } = made();
    connects(null);
    for (const foreign of [5, 6]) {
      await clock.advance(60_000);
      connects(foreign);
    }
    expect(told).toEqual([]);
    connects(7);
    expect(told).toEqual([3]);
  });

  test('shows by what the broker says, each take-over counted once', () => {
    const { told, watch, connects } = made();
    connects(null);
    watch.takenOver();
    connects(5);
    watch.takenOver();
    connects(6);
    expect(told).toEqual([]);
    watch.takenOver();
    expect(told).toEqual([3]);
  });

  test('is not a restart: the first connection may find anything', () => {
    for (let restart = 0; restart < 5; restart += 1) {
      const { told, connects } = made();
      connects(5);
      expect(told).toEqual([]);
    }
  });

  test('is not the own will after a cable was pulled, however often', () => {
    const { told, connects } = made();
    let before = connects(null);
    for (let i = 0; i < 20; i += 1) before = connects(before);
    expect(told).toEqual([]);
  });

  test('is not one that came an hour ago', async () => {
    const { clock, told, connects } = made();
    connects(null);
    for (let hour = 0; hour < 10; hour += 1) {
      await clock.advance(3_600_000);
      connects(hour);
    }
    expect(told).toEqual([]);
  });
});
