/** How many failures an address may have in a minute; a good request is never counted. Bounded. */
import type { Clock } from '#platform/clock.ts';

export interface Ration {
  /** ms to wait before the next try; 0: go on */
  waitMs(address: string): number;
  failed(address: string): void;
}

const FAILURES_MAX = 20;
const WINDOW_MS = 60_000;
const ADDRESSES_MAX = 1_024;

export function ration(clock: Clock): Ration {
  const failures = new Map<string, { since: number; count: number }>();
  const current = (address: string) => {
    const entry = failures.get(address);
    if (entry && clock.monotonicMs() - entry.since < WINDOW_MS) return entry;
    failures.delete(address);
    return null;
  };
  return {
    waitMs(address) {
      const entry = current(address);
      if (!entry || entry.count < FAILURES_MAX) return 0;
      return Math.max(1, entry.since + WINDOW_MS - clock.monotonicMs());
    },
    failed(address) {
      const entry = current(address);
      if (entry) {
        entry.count += 1;
        return;
      }
      const oldest = failures.size >= ADDRESSES_MAX ? failures.keys().next() : null;
      if (oldest && !oldest.done) failures.delete(oldest.value);
      failures.set(address, { since: clock.monotonicMs(), count: 1 });
    },
  };
}
