/** A command on the device: healthy when it ends with 0 in time. It never outlives its timeout. */
import { PLAIN_ENV } from '#apply/accounts.ts';
import type { Ownership } from '#apply/stage.ts';
import type { Result } from '#errors/fault.ts';
import type { Processes } from '#platform/processes.ts';
import type { Generation } from '#state/generation.ts';
import type { ProbeRunner } from './probe.ts';

const OUTPUT_MAX = 300;

/** @param account  as whom it runs: the deployment's own user, never more */
export function execProbe(
  processes: Processes,
  command: readonly string[],
  account: (of: Generation) => Result<Ownership | null>,
): ProbeRunner {
  return {
    kind: 'exec',
    async run(of, timeoutMs) {
      const who = account(of);
      if (!who.ok) return { healthy: false, reason: who.fault.message };
      const program = { command, env: PLAIN_ENV, directory: '/', ...who.value };
      const end = await processes.run(program, timeoutMs);
      if (!end.ok) return { healthy: false, reason: end.fault.message };
      const { code, signal, timedOut, output } = end.value;
      if (code === 0 && !timedOut) return { healthy: true };
      const how = timedOut ? `no end after ${timeoutMs} ms` : `ended with ${signal ?? code}`;
      const said = output.trim().slice(-OUTPUT_MAX);
      return { healthy: false, reason: said === '' ? how : `${how}: ${said}` };
    },
  };
}
