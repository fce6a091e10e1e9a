/** Doing nothing: memory, CPU, wake-ups and writes over one window, side by side. */
import { type Cost, countersOf, type Memory, memoryOf, since } from './counters.ts';

export interface Idle extends Cost, Memory {
  readonly seconds: number;
}

export async function measureIdle(
  pids: readonly number[],
  { warmSeconds, seconds }: { readonly warmSeconds: number; readonly seconds: number },
): Promise<readonly Idle[]> {
  await Bun.sleep(warmSeconds * 1_000);
  const before = pids.map(countersOf);
  await Bun.sleep(seconds * 1_000);
  return pids.flatMap((pid, index) => {
    const start = before[index];
    return start ? [{ ...since(start, countersOf(pid)), ...memoryOf(pid), seconds }] : [];
  });
}
