/** The place of a device in a spread: the same for the same state, even over a fleet, never outside. */
import { describe, expect, test } from 'bun:test';
import { placeInSpread } from '#plan/spread.ts';

const HOUR = 3_600_000;
const placed = (deviceId: string, sequence = 7n, spreadMs = HOUR) =>
  placeInSpread({
    fleet: 'ab'.repeat(16),
    channel: 'stable',
    epoch: 1n,
    sequence,
    deviceId,
    spreadMs,
  });

describe('the place of a device in a spread', () => {
  test('is the same each time, and written down for other programs', () => {
    expect(placed('press-7')).toBe(placed('press-7'));
    expect(placed('press-7')).toBe(1945969);
  });

  test('is another one for the next state: nobody is always last', () => {
    expect(placed('press-7', 8n)).not.toBe(placed('press-7', 7n));
  });

  test('is within the spread, and even over ten thousand devices', () => {
    const tenths = new Array(10).fill(0);
    for (let n = 0; n < 10_000; n += 1) {
      const at = placed(`device-${n}`);
      expect(at >= 0 && at < HOUR && Number.isInteger(at)).toBe(true);
      tenths[Math.floor((at / HOUR) * 10)] += 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });

  test('no spread: at once', () => {
    expect(placed('press-7', 7n, 0)).toBe(0);
  });
});
