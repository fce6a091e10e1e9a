/**
 * Check 0 for this process: the floor that the store holds, raised in memory by signed values and
 * saved only inside commits made for another reason, and the view of it that trust and TLS use.
 * Only a root's time reset lowers it, saved in the commit that keeps this root (root-keeper.ts).
 */
import type { Clock } from '#platform/clock.ts';
import { raiseFloor, type TimeView, viewTime } from '#trust/time.ts';

export interface AgentTime {
  view(): TimeView;
  /** A signed time was accepted (`issued_at`); Unix ms, 0: none. */
  raise(signedMs: number): void;
  /** The floor that a root with this time reset sets; nothing is changed yet. */
  resetTo(notBeforeMs: number): number;
  /** That root is durable now. */
  reset(notBeforeMs: number): void;
  /** what the next commit saves */
  floorMs(): number;
}

export interface TimeStart {
  /** Unix ms: this program was built then, so it is never earlier */
  readonly buildMs: number;
  /** Unix ms: the store's floor; 0: none */
  readonly storedMs: number;
}

export function agentTime(clock: Clock, { buildMs, storedMs }: TimeStart): AgentTime {
  let floor = Math.max(buildMs, storedMs);
  const resetTo = (notBeforeMs: number) => Math.max(buildMs, notBeforeMs);
  return {
    view: () => viewTime({ floorMs: floor, wallMs: clock.wallMs() }),
    raise(signedMs) {
      floor = raiseFloor(floor, signedMs);
    },
    resetTo,
    reset(notBeforeMs) {
      floor = resetTo(notBeforeMs);
    },
    floorMs: () => floor,
  };
}
