/**
 * The real clocks. `process.hrtime` is CLOCK_MONOTONIC (measured under Bun: it ignores a skewed
 * CLOCK_BOOTTIME). CLOCK_BOOTTIME has no call in either runtime: /proc/uptime tells it to 10 ms,
 * but lxcfs replaces that file by the container's age, so sysinfo(2), which it cannot, is asked
 * once which of the two to believe.
 */
import { openSync, readSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Clock } from '#platform/clock.ts';

/** s: sysinfo rounds up to whole seconds, and both are read one after the other */
const AGREE_SECONDS = 3;
/** ms: the most that one timer takes (2^31 - 1); longer sleeps are several */
const TIMER_MAX_MS = 2_147_483_647;

export function systemClock(): Clock {
  const procUptime = uptimeReader();
  const first = procUptime?.() ?? null;
  const usesProc = first !== null && Math.abs(first - uptime()) < AGREE_SECONDS;
  return {
    wallMs: () => Date.now(),
    monotonicMs: () => Number(process.hrtime.bigint() / 1_000n) / 1_000,
    bootMs() {
      const seconds = usesProc ? procUptime?.() : null;
      return Math.round((seconds ?? uptime()) * 1_000);
    },
    sleep,
    after,
  };
}

/** Reads one open handle again and again: no path walk, no new handle. Null off Linux. */
function uptimeReader(): (() => number | null) | null {
  const buffer = Buffer.alloc(64);
  let fd: number;
  try {
    fd = openSync('/proc/uptime', 'r');
  } catch {
    return null;
  }
  return () => {
    try {
      const seconds = Number.parseFloat(
        buffer.toString('latin1', 0, readSync(fd, buffer, 0, 64, 0)),
      );
      return Number.isFinite(seconds) ? seconds : null;
    } catch {
      return null;
    }
  };
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted || ms <= 0) {
      resolve();
      return;
    }
    const done = (): void => {
      cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const cancel = timer(ms, done, true);
    signal?.addEventListener('abort', done, { once: true });
  });
}

function after(ms: number, call: () => void): () => void {
  return timer(ms, call, false);
}

function timer(ms: number, call: () => void, keepsAlive: boolean): () => void {
  let left = Math.max(0, ms);
  let handle: ReturnType<typeof setTimeout>;
  const arm = (): void => {
    const step = Math.min(left, TIMER_MAX_MS);
    left -= step;
    handle = setTimeout(() => (left > 0 ? arm() : call()), step);
    if (!keepsAlive) handle.unref();
  };
  arm();
  return () => clearTimeout(handle);
}
