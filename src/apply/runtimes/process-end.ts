/**
 * Ends sessions: the stop signal to every process, time to go, then SIGKILL. Sessions that a program
 * opened for helpers carry its token and are found again until none is left (attack row L18).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Processes } from '#platform/processes.ts';

export interface StopRule {
  readonly signal: string;
  readonly timeoutMs: number;
}

/** for what is found without a document that says otherwise */
export const PLAIN_STOP: StopRule = { signal: 'SIGTERM', timeoutMs: 10_000 };

/** ms after SIGKILL in which even a slow exit is over */
const KILL_MS = 5_000;
const LOOK_FIRST_MS = 5;
const LOOK_LAST_MS = 200;

export interface EndTools {
  readonly processes: Processes;
  readonly clock: Clock;
}

/** @param find  the sessions that are still there; asked until it names none */
export async function endSessions(
  tools: EndTools,
  deployment: string,
  find: () => Result<ReadonlySet<number>>,
  stop: StopRule,
): Promise<Result<void>> {
  const asked = await signalAndWait(tools, find, stop.signal, stop.timeoutMs);
  if (!asked.ok || asked.value.size === 0) return asked.ok ? ok(undefined) : asked;
  const killed = await signalAndWait(tools, find, 'SIGKILL', KILL_MS);
  if (!killed.ok || killed.value.size === 0) return killed.ok ? ok(undefined) : killed;
  const processes = [...killed.value].flatMap((session) => [...tools.processes.session(session)]);
  return refuse('apply.stop-failed', { deployment, processes: processes.join(', ') });
}

/** The sessions left at the deadline. A session that appears late is signalled when it is seen. */
async function signalAndWait(
  { processes, clock }: EndTools,
  find: () => Result<ReadonlySet<number>>,
  signal: string,
  timeoutMs: number,
): Promise<Result<ReadonlySet<number>>> {
  const deadline = clock.monotonicMs() + timeoutMs;
  const told = new Set<number>();
  for (let delayMs = LOOK_FIRST_MS; ; delayMs = Math.min(delayMs * 2, LOOK_LAST_MS)) {
    const left = find();
    if (!left.ok || left.value.size === 0) return left;
    for (const session of left.value) {
      if (told.has(session)) continue;
      told.add(session);
      const sent = processes.signalSession(session, signal);
      if (!sent.ok) return sent;
    }
    const remainingMs = deadline - clock.monotonicMs();
    if (remainingMs <= 0) return left;
    await clock.sleep(Math.min(delayMs, remainingMs));
  }
}
