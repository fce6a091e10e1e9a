/**
 * Ends sessions: the stop signal to every process, time to go, then SIGKILL. Sessions that a program
 * opened for helpers carry its token and are found again until none is left (attack row L18).
 *
 * A session's number is free for anybody once the session is empty. So a number alone is never
 * signalled: a session is known by a process in it that carries our token, by a recorded leader
 * that is alive, or by a process that was seen in it before (`Remainder`).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Processes, ProcessIdentity } from '#platform/processes.ts';

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

/** A session whose leader has ended, and who was in it then. */
export interface Remainder {
  readonly session: number;
  readonly pids: ReadonlySet<number>;
}

/** At the moment of the leader's end: while anybody is left in the session its number stays taken. */
export function remainderOf(processes: Processes, leader: ProcessIdentity): Remainder {
  return { session: leader.pid, pids: new Set(processes.session(leader.pid)) };
}

/** Who of them is still there; null: the session has ended, whatever bears its number now. */
export function stillThere(processes: Processes, left: Remainder): Remainder | null {
  const now = processes.session(left.session);
  return now.some((pid) => left.pids.has(pid)) ? { ...left, pids: new Set(now) } : null;
}

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
  const told = new Map<number, Remainder>();
  let empty = 0;
  for (let delayMs = LOOK_FIRST_MS; ; delayMs = Math.min(delayMs * 2, LOOK_LAST_MS)) {
    const found = find();
    if (!found.ok) return found;
    const left = new Set(found.value);
    for (const [session, remainder] of told) {
      const now = stillThere(processes, remainder);
      if (now) left.add(session);
      if (now) told.set(session, now);
      else told.delete(session);
    }
    for (const session of left) {
      if (told.has(session)) continue;
      told.set(session, { session, pids: new Set(processes.session(session)) });
      const sent = processes.signalSession(session, signal);
      if (!sent.ok) return sent;
    }
    empty = left.size === 0 ? empty + 1 : 0;
    // A process in the middle of an exec shows no environment: nothing is asked for twice.
    if (empty > 1 || clock.monotonicMs() >= deadline) return ok(left);
    await clock.sleep(empty > 0 ? LOOK_FIRST_MS : delayMs);
  }
}
