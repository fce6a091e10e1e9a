/**
 * A nudge named a state that no source has yet: a mirror that lags, an upload that is still on its
 * way. It is asked for again, at growing distances, so that the plant does not wait for the schedule;
 * after TRIES_MAX the schedule has it. A nudge is unsigned: one that lies costs these looks and no
 * more, and each of them takes its turn in the ration of nudges (attack row M07).
 *
 * Invariant: one point is remembered, the highest that was named; nothing is written.
 */
import { backoff } from '#link/backoff.ts';
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { CycleEnd } from './cycle.ts';

const TRIES_MAX = 6;
/** ms */
const FIRST_MS = 10_000;
const MOST_MS = 5 * 60_000;

type NudgeWake = Extract<Wake, { kind: 'nudge' }>;

export interface NamedAgain {
  /** A look ended. */
  looked(wake: Wake, end: CycleEnd): void;
  stop(): void;
}

export interface NamedAgainInput {
  readonly clock: Pick<Clock, 'after'>;
  readonly random: Pick<Random, 'unit'>;
  /** the highest accepted; null: nothing yet */
  floor(): Pick<Point, 'epoch' | 'sequence'> | null;
  wake(wake: NudgeWake): void;
}

interface Waiting {
  readonly named: NudgeWake;
  readonly delays: ReturnType<typeof backoff>;
  tries: number;
}

export function namedAgain({ clock, random, floor, wake }: NamedAgainInput): NamedAgain {
  let waiting: Waiting | null = null;
  let cancel: () => void = () => {};
  function stop(): void {
    cancel();
    waiting = null;
  }
  function later(named: NudgeWake): void {
    const held = waiting && comparePoints(named, waiting.named) <= 0 ? waiting : null;
    const next = held ?? {
      named,
      delays: backoff({ baseMs: FIRST_MS, capMs: MOST_MS, random }),
      tries: 0,
    };
    waiting = next;
    cancel();
    if (next.tries >= TRIES_MAX) return;
    next.tries += 1;
    cancel = clock.after(next.delays.next(), () => wake({ ...next.named, urgent: false }));
  }
  return {
    looked(woken, end) {
      const reached = floor();
      if (waiting && reached && comparePoints(waiting.named, reached) <= 0) stop();
      if (woken.kind !== 'nudge' || !isMissing(end)) return;
      if (reached === null || comparePoints(woken, reached) > 0) later(woken);
    },
    stop,
  };
}

/** Every source that answered had less. One that could not be reached is the schedule's. */
function isMissing(end: CycleEnd): boolean {
  if (end.kind === 'refused' || end.kind === 'waiting') return end.fault.code === 'source.stale';
  return end.kind === 'unchanged' || end.kind === 'nothing';
}
