/**
 * Check 14: statements and roots end. Only the floor proves that an end has passed; the estimate
 * may be wrong, so `clock: lenient` goes on and says so, `clock: strict` waits for a better clock.
 * Staleness blocks new state only: nothing here stops what runs.
 */
import type { Freshness } from '#state/status.ts';
import { type Outcome, passed, stop, wait } from './outcome.ts';
import { instantText, type TimeView } from './time.ts';

export type ClockPolicy = 'lenient' | 'strict';

// Check 14
export function judgeFreshness(
  notAfterMs: number,
  time: TimeView,
  clock: ClockPolicy,
): Outcome<Freshness> {
  if (notAfterMs === 0) return passed('unknown', 'no end date');
  const notAfter = instantText(notAfterMs);
  if (notAfterMs < time.floorMs) {
    return stop('trust.expired', { notAfter, floor: instantText(time.floorMs) });
  }
  if (notAfterMs < time.estimateMs) {
    const estimate = instantText(time.estimateMs);
    return clock === 'strict'
      ? wait('trust.maybe-expired', { notAfter, estimate, grade: time.grade })
      : passed('estimated', `ended ${notAfter} by the clock (${estimate}), not by the floor`);
  }
  const freshness = time.grade === 'attested' ? 'attested' : 'estimated';
  return passed(freshness, `in force until ${notAfter}, now ${instantText(time.estimateMs)}`);
}
