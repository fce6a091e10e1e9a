/** What the acts of wide schedules do (schedule.ts), beside those of actors.ts. */
import type { Do } from '../actors.ts';
import type { WideAct } from './schedule.ts';

/** ms until somebody starts what an operator had stopped */
const STARTED_AGAIN_MS = [600, 5_000, 90_000] as const;

export const WIDE: Readonly<Record<WideAct, Do>> = {
  /** `holdfast stop`: programs, then the agent; nobody starts it until somebody does. */
  stop({ world }, choose) {
    if (!world.running?.ready) return;
    world.startsAfterMs = choose.pick(STARTED_AGAIN_MS);
    world.running.handlers.stop().catch(() => {});
  },
};
