/**
 * Decorrelated jitter: each delay is drawn between the base and three times the last one, so that a
 * fleet that lost its server at one moment does not come back at one moment.
 * @see Brooker, "Exponential Backoff And Jitter" (2015): "decorrelated"
 */
import type { Random } from '#platform/random.ts';

export interface BackoffOptions {
  /** ms: the least delay */
  readonly baseMs: number;
  /** ms: the most */
  readonly capMs: number;
  readonly random: Pick<Random, 'unit'>;
}

export interface Backoff {
  /**
   * The next delay in ms: whole, between base and cap.
   * @param atLeastMs  what the peer asked for (Retry-After): a lower bound, also above the cap
   */
  next(atLeastMs?: number): number;
  /** After a success: the next delay starts from the base again. */
  reset(): void;
}

export function backoff(options: BackoffOptions): Backoff {
  const { baseMs, capMs, random } = options;
  let lastMs = baseMs;
  return {
    next: (atLeastMs = 0) => {
      const drawn = baseMs + random.unit() * (Math.min(lastMs * 3, capMs) - baseMs);
      lastMs = Math.min(capMs, Math.max(baseMs, Math.round(drawn)));
      return Math.max(lastMs, Math.ceil(atLeastMs));
    },
    reset: () => {
      lastMs = baseMs;
    },
  };
}
