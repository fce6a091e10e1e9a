/**
 * Check 0 for this process: the floor that the store holds, raised in memory by signed values and
 * saved only inside commits made for another reason, and the view of it that trust and TLS use.
 */
import type { Clock } from '#platform/clock.ts';
import { raiseFloor, type TimeView, viewTime } from '#trust/time.ts';

export interface AgentTime {
  view(): TimeView;
  /** A signed time was accepted (`issued_at`); Unix ms, 0: none. */
  raise(signedMs: number): void;
  /** what the next commit saves */
  floorMs(): number;
}

/** @param floorMs  max(build time, the store's floor), Unix ms */
export function agentTime(clock: Clock, floorMs: number): AgentTime {
  let floor = floorMs;
  return {
    view: () => viewTime({ floorMs: floor, wallMs: clock.wallMs() }),
    raise(signedMs) {
      floor = raiseFloor(floor, signedMs);
    },
    floorMs: () => floor,
  };
}
