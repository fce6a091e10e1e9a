/**
 * The check `alive` of a supervised program: it passes once the program has lived `aliveFor`, and
 * fails when it is not running or was started again since the last look.
 */
import type { Condition } from '#apply/runtimes/runtime.ts';
import type { Clock } from '#platform/clock.ts';
import type { Generation } from '#state/generation.ts';
import type { ProbeRunner } from './probe.ts';

const LOOK_MS = 100;

export function aliveProbe(
  clock: Clock,
  conditionOf: (generation: Generation) => Condition,
  aliveForMs: number,
): ProbeRunner {
  let restarts: number | null = null;
  return {
    kind: 'alive',
    async run(of, timeoutMs, signal) {
      const deadline = clock.monotonicMs() + timeoutMs;
      for (;;) {
        const now = conditionOf(of);
        if (now.running === 'not-applicable') return { healthy: true };
        const again = restarts !== null && now.restarts > restarts;
        restarts = now.restarts;
        if (again || now.running !== 'yes') {
          return { healthy: false, reason: now.message || 'not running' };
        }
        const leftMs = aliveForMs - now.upMs;
        if (leftMs <= 0) return { healthy: true };
        const untilMs = deadline - clock.monotonicMs();
        if (signal.aborted) return { healthy: false, reason: 'interrupted' };
        if (untilMs <= 0) return { healthy: false, reason: `up for ${now.upMs} ms only` };
        // Short looks: one that dies is seen long before it would have lived long enough.
        await clock.sleep(Math.min(LOOK_MS, leftMs, untilMs), signal);
      }
    },
  };
}
