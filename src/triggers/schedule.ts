/**
 * Wakes at an interval, spread by `jitter`, so that a fleet that was switched on together does not
 * ask together. After a failure the next try comes by a backoff of its own: sooner than the interval
 * at first, in the end as rarely as `backoffMaxMs`; what the server asked for (Retry-After) is a
 * lower bound. One timer; the agent's answer re-arms it.
 */
import { backoff } from '#link/backoff.ts';
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import type { Trigger } from './trigger.ts';

/** ms: first wait after a failure, at most; the interval where that is shorter */
const RETRY_BASE_MS = 10_000;

export interface ScheduleOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly intervalMs: number;
  /** 0.2: between 0.8 and 1.2 of the interval */
  readonly jitter: number;
  readonly backoffMaxMs: number;
}

export interface Schedule extends Trigger {
  /** A cycle reached its source, whatever it found there: the interval starts anew. */
  succeeded(): void;
  /** A cycle did not reach its source. */
  failed(retryAfterMs?: number): void;
  /** ms until the next wake; null when stopped */
  nextInMs(): number | null;
}

export function schedule(options: ScheduleOptions): Schedule {
  const { clock, random, intervalMs, jitter, backoffMaxMs } = options;
  const retries = backoff({
    baseMs: Math.min(RETRY_BASE_MS, intervalMs),
    capMs: backoffMaxMs,
    random,
  });
  let fire: (() => void) | null = null;
  let cancel: () => void = () => {};
  let dueAt = 0;

  function arm(ms: number): void {
    if (!fire) return;
    cancel();
    dueAt = clock.monotonicMs() + ms;
    cancel = clock.after(ms, fire);
  }
  function usual(): number {
    return Math.round(intervalMs * (1 + jitter * (2 * random.unit() - 1)));
  }
  return {
    name: 'schedule',
    start(wake) {
      fire = () => {
        // Armed before the wake: an agent that never answers is still woken again.
        arm(usual());
        wake({ kind: 'schedule' });
      };
      arm(usual());
      return () => {
        cancel();
        fire = null;
      };
    },
    succeeded() {
      retries.reset();
      arm(usual());
    },
    failed: (retryAfterMs = 0) => arm(retries.next(retryAfterMs)),
    nextInMs: () => (fire ? Math.max(0, dueAt - clock.monotonicMs()) : null),
  };
}
