/**
 * After a start or a change a device is mostly quiet for hours, and shares its memory with what it
 * is there for. So once, when nothing has happened for a while, what the runtime only holds for
 * speed is given back. One timer for each start or change; polls without news arm none.
 */
import type { Clock } from '#platform/clock.ts';
import type { Memory } from '#platform/memory.ts';

/** ms; long enough that a series of changes meets compiled code */
export const QUIET_MS = 90_000;

/**
 * @param busy  a change is under way, which may take longer than the while
 * @returns  to be called when something happened: counts from then
 */
export function quiet(
  clock: Pick<Clock, 'after'>,
  memory: Memory,
  busy: () => boolean,
): () => void {
  let cancel = (): void => {};
  const stir = (): void => {
    cancel();
    cancel = clock.after(QUIET_MS, () => (busy() ? stir() : memory.release()));
  };
  return stir;
}
