/**
 * Between the triggers and the agent's loop. Wakes that come while a cycle runs are put together
 * into one follow-up cycle: one of each kind, of nudges the highest point per channel. Nudges are
 * unsigned hints that anybody with access to the broker can send, so they are limited to `perMinute`
 * cycles (attack row M07); an `urgent` one passes the limit and the spread once in ten minutes.
 * What is kept is bounded whatever comes in. Nothing runs while nothing is pending.
 */
import { assert } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import { comparePoints } from '#state/point.ts';
import { type Bucket, bucket } from './bucket.ts';
import type { Wake } from './trigger.ts';

const URGENT_EVERY_MS = 10 * 60_000;
const CHANNELS_MAX = 64;
const BUNDLES_MAX = 16;

type NudgeWake = Extract<Wake, { kind: 'nudge' }>;

export interface GateOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** cycles that nudges alone may cause in a minute, and at once after a quiet time; 0: none */
  readonly perMinute: number;
  /** ms: the first nudge of a cycle waits up to this, so that a fleet does not come all at once */
  readonly spreadMs?: number;
}

export interface Gate {
  wake(wake: Wake): void;
  /**
   * Resolves with what has come since the last call, as soon as that is due: never empty, except
   * when `signal` aborts. One caller at a time.
   */
  next(signal?: AbortSignal): Promise<readonly Wake[]>;
  counts(): GateCounts;
}

export interface GateCounts {
  readonly received: number;
  /** put together with one that was already waiting */
  readonly coalesced: number;
  /** left out because too much was waiting */
  readonly dropped: number;
}

interface Pending {
  readonly once: Map<Wake['kind'], Wake>;
  readonly bundles: Map<string, Wake>;
  readonly nudges: Map<string, NudgeWake>;
  /** monotonic ms from which the nudges are due; null: at once and past the limit */
  dueAt: number | null;
}

export function gate(options: GateOptions): Gate {
  const { clock } = options;
  const pending: Pending = { once: new Map(), bundles: new Map(), nudges: new Map(), dueAt: 0 };
  const counts = { received: 0, coalesced: 0, dropped: 0 };
  const limit = bucket(clock, {
    capacity: options.perMinute,
    refillMs: options.perMinute > 0 ? 60_000 / options.perMinute : Number.POSITIVE_INFINITY,
  });
  const urgent = bucket(clock, { capacity: 1, refillMs: URGENT_EVERY_MS });
  let waiting: (() => void) | null = null;

  function wake(coming: Wake): void {
    counts.received += 1;
    if (coming.kind === 'nudge') {
      if (pending.nudges.size === 0) pending.dueAt = clock.monotonicMs() + spread(options);
      if (coming.urgent && pending.dueAt !== null && urgent.take()) pending.dueAt = null;
    }
    const outcome = keep(pending, coming);
    if (outcome !== 'kept') counts[outcome] += 1;
    waiting?.();
  }

  async function next(signal?: AbortSignal): Promise<readonly Wake[]> {
    assert(waiting === null, 'the gate has one caller at a time');
    while (!signal?.aborted) {
      const waitMs = dueIn(pending, limit, clock.monotonicMs());
      if (waitMs === 0) return take(pending);
      await new Promise<void>((resolve) => {
        const cancel = Number.isFinite(waitMs) ? clock.after(waitMs, done) : () => {};
        function done(): void {
          cancel();
          signal?.removeEventListener('abort', done);
          waiting = null;
          resolve();
        }
        waiting = done;
        signal?.addEventListener('abort', done);
      });
    }
    return [];
  }
  return { wake, next, counts: () => ({ ...counts }) };
}

function spread(options: GateOptions): number {
  return Math.floor((options.spreadMs ?? 0) * options.random.unit());
}

function keep(pending: Pending, wake: Wake): 'kept' | 'coalesced' | 'dropped' {
  if (wake.kind === 'nudge') return keepNudge(pending.nudges, wake);
  const [map, key, most] =
    wake.kind === 'bundle'
      ? [pending.bundles, wake.path, BUNDLES_MAX]
      : [pending.once as Map<string, Wake>, wake.kind, Number.POSITIVE_INFINITY];
  if (!map.has(key) && map.size >= most) return 'dropped';
  const outcome = map.has(key) ? 'coalesced' : 'kept';
  map.set(key, wake);
  return outcome;
}

/** The highest point wins; at the same one the newer, and a manifest digest is not lost. */
function keepNudge(
  nudges: Map<string, NudgeWake>,
  wake: NudgeWake,
): 'kept' | 'coalesced' | 'dropped' {
  const held = nudges.get(wake.channel);
  if (!held) {
    if (nudges.size >= CHANNELS_MAX) return 'dropped';
    nudges.set(wake.channel, wake);
    return 'kept';
  }
  const order = comparePoints(wake, held);
  const digest = wake.manifestDigest ?? (order === 0 ? held.manifestDigest : null);
  const better = order >= 0 ? { ...wake, manifestDigest: digest } : held;
  nudges.set(wake.channel, { ...better, urgent: held.urgent || wake.urgent });
  return 'coalesced';
}

/** 0: now, one token taken if nudges alone are the reason. Infinity: only something new wakes. */
function dueIn(pending: Pending, limit: Bucket, nowMs: number): number {
  if (pending.once.size > 0 || pending.bundles.size > 0) return 0;
  if (pending.nudges.size === 0) return Number.POSITIVE_INFINITY;
  if (pending.dueAt === null) return 0;
  const waitMs = Math.max(0, pending.dueAt - nowMs, limit.waitMs());
  return waitMs === 0 && limit.take() ? 0 : Math.max(1, waitMs);
}

/** Everything: a cycle that runs anyway looks after the nudges too. */
function take(pending: Pending): readonly Wake[] {
  const all = [...pending.once.values(), ...pending.bundles.values(), ...pending.nudges.values()];
  pending.once.clear();
  pending.bundles.clear();
  pending.nudges.clear();
  return all;
}
