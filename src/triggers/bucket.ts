/** A token bucket on the monotonic clock: so many at once, so many in a time. Needs no timer. */
import type { Clock } from '#platform/clock.ts';

export interface Bucket {
  /** False: none left now. */
  take(): boolean;
  /** ms until `take` gives one; Infinity when none ever comes */
  waitMs(): number;
}

/**
 * @param options.capacity  tokens at the start, and at most
 * @param options.refillMs  ms for one token
 */
export function bucket(
  clock: Pick<Clock, 'monotonicMs'>,
  options: { readonly capacity: number; readonly refillMs: number },
): Bucket {
  const { capacity, refillMs } = options;
  let tokens = capacity;
  let at = clock.monotonicMs();
  function refill(): void {
    const now = clock.monotonicMs();
    tokens = Math.min(capacity, tokens + Math.max(0, now - at) / refillMs);
    at = now;
  }
  return {
    take() {
      refill();
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
    waitMs() {
      refill();
      if (tokens >= 1) return 0;
      return capacity < 1 ? Number.POSITIVE_INFINITY : Math.ceil((1 - tokens) * refillMs);
    },
  };
}
