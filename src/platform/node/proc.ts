/**
 * /proc as far as supervision needs it. Every entry may vanish between two reads and its pid may
 * name another process a moment later: what is read of one process is bound by its start time.
 * @see proc_pid_stat(5)
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';

/** What /proc/PID/stat says of one process. */
export interface ProcessStat {
  readonly pid: number;
  /** one letter: R, S, D, Z … */
  readonly state: string;
  readonly session: number;
  /** clock ticks since boot */
  readonly startTicks: bigint;
}

/** bytes of an environment that are looked at */
const ENVIRONMENT_MAX = 256 * 1024;

/** Null when there is no such process. */
export function readStat(pid: number): ProcessStat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return null;
  }
  // The name in parentheses may hold blanks and parentheses: count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, session, start] = [fields[0], Number(fields[3]), fields[19]];
  if (state === undefined || start === undefined || !Number.isInteger(session)) return null;
  return { pid, state, session, startTicks: BigInt(start) };
}

/** A zombie has ended; only its parent has not asked how (DESIGN section 6). */
export function isLive(stat: ProcessStat): boolean {
  return stat.state !== 'Z' && stat.state !== 'X';
}

export function pids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^[1-9]\d*$/.test(name))
    .map(Number);
}

/** The live processes of a session. */
export function sessionMembers(session: number): readonly ProcessStat[] {
  return pids()
    .map(readStat)
    .filter((stat) => stat !== null)
    .filter((stat) => stat.session === session && isLive(stat));
}

/** The variables asked for; null when the process is gone or another user's. */
export function readEnvironment(
  pid: number,
  names: readonly string[],
): ReadonlyMap<string, string> | null {
  let text: string;
  try {
    text = readStart(`/proc/${pid}/environ`);
  } catch {
    return null;
  }
  const found = new Map<string, string>();
  for (const entry of text.split('\0')) {
    const end = entry.indexOf('=');
    const name = entry.slice(0, end);
    if (end > 0 && names.includes(name) && !found.has(name)) found.set(name, entry.slice(end + 1));
  }
  return found;
}

/** The real user id of a process; null when it is gone. */
export function readUid(pid: number): number | null {
  try {
    const uid = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
    return uid === undefined ? null : Number(uid);
  } catch {
    return null;
  }
}

function readStart(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const chunks: Buffer[] = [];
    for (let size = 0; size < ENVIRONMENT_MAX; ) {
      const chunk = Buffer.alloc(16 * 1024);
      const read = readSync(fd, chunk, 0, chunk.length, null);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
      size += read;
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    closeSync(fd);
  }
}
