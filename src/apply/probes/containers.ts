/**
 * The check `alive` of containers: none may end, be started again or fall ill until the health window is
 * over. They have come up before it begins, or are not waited for; the engine's word of an end is there at
 * once (runtimes/compose-events.ts).
 */
import type { Condition } from '#apply/runtimes/runtime.ts';
import type { Clock } from '#platform/clock.ts';
import type { Generation } from '#state/generation.ts';
import type { ProbeRunner } from './probe.ts';

const LOOK_MS = 100;

export function containersProbe(
  clock: Clock,
  conditionOf: (generation: Generation) => Condition,
): ProbeRunner {
  let restarts: number | null = null;
  return {
    kind: 'alive',
    async run(of, timeoutMs, signal) {
      const deadline = clock.monotonicMs() + timeoutMs;
      for (;;) {
        const now = conditionOf(of);
        const again = restarts !== null && now.restarts > restarts;
        if (again)
          return { healthy: false, reason: now.message || 'a container was started again' };
        // After a restart of the agent nothing has been looked at yet.
        if (now.running !== 'starting') restarts = now.restarts;
        if (now.running === 'yes') return { healthy: true };
        const reason = now.message || 'not running';
        if (now.running === 'no') return { healthy: false, reason };
        if (signal.aborted) return { healthy: false, reason: 'interrupted' };
        const untilMs = deadline - clock.monotonicMs();
        if (untilMs <= 0) return { healthy: false, reason };
        await clock.sleep(Math.min(LOOK_MS, untilMs), signal);
      }
    },
  };
}
