/**
 * A clock that stands still until a test moves it. Timers fire in order of their time; between two
 * of them everything that was made runnable runs to its end, so that a test sees what a program
 * would have done at that moment. No real time passes.
 */
import type { Clock } from '#platform/clock.ts';

export interface ManualClock extends Clock {
  /** Moves time on, firing what falls due on the way. */
  advance(ms: number): Promise<void>;
  /** Runs what is runnable now, without moving time. */
  settle(): Promise<void>;
  /** Sets the wall clock alone: an NTP step, or somebody with `date -s`. */
  setWall(ms: number): void;
  /** timers that wait */
  pending(): number;
}

interface Timer {
  readonly due: number;
  readonly order: number;
  readonly call: () => void;
}

/** @param wallMs  Unix ms at the start */
export function manualClock(wallMs: number = Date.UTC(2026, 10, 23)): ManualClock {
  let now = 0;
  let wallOffset = wallMs;
  let order = 0;
  const timers = new Set<Timer>();
  function after(ms: number, call: () => void): () => void {
    order += 1;
    const timer: Timer = { due: now + Math.max(0, ms), order, call };
    timers.add(timer);
    return () => void timers.delete(timer);
  }
  function sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const cancel = after(ms, resolve);
      signal?.addEventListener('abort', () => {
        cancel();
        resolve();
      });
    });
  }
  async function advance(ms: number): Promise<void> {
    const end = now + ms;
    await settle();
    for (let next = first(timers); next && next.due <= end; next = first(timers)) {
      timers.delete(next);
      now = Math.max(now, next.due);
      next.call();
      await settle();
    }
    now = end;
  }
  return {
    wallMs: () => wallOffset + now,
    monotonicMs: () => now,
    bootMs: () => now,
    sleep,
    after,
    advance,
    settle,
    setWall: (ms) => {
      wallOffset = ms - now;
    },
    pending: () => timers.size,
  };
}

function first(timers: ReadonlySet<Timer>): Timer | undefined {
  return [...timers].sort((a, b) => a.due - b.due || a.order - b.order)[0];
}

/** An immediate runs after every promise that was ready, and those that they made ready. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
