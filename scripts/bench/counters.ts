/** What the kernel counts about a process, and what can be made of many measurements. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Counters {
  /** ms, all threads, 10 ms steps: take the difference over many changes */
  readonly cpuMs: number;
  /** bytes that the process made the kernel write to a disk */
  readonly written: number;
  /** context switches, voluntary and forced, by thread */
  readonly switches: ReadonlyMap<string, number>;
}

/** USER_HZ is 100 on every Linux that Bun runs on. */
const TICK_MS = 10;

export function countersOf(pid: number): Counters {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything: the fields count from behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const io = readFileSync(`/proc/${pid}/io`, 'utf8');
  const written = Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
  return { cpuMs: ticks * TICK_MS, written, switches: switchesOf(pid) };
}

function switchesOf(pid: number): ReadonlyMap<string, number> {
  const switches = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = textOf(`/proc/${pid}/task/${thread}/status`);
    const counts = status.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)/gm);
    switches.set(thread, sum([...counts].map(([, count]) => Number(count))));
  }
  return switches;
}

/** What it cost between two counts. */
export interface Cost {
  readonly cpuMs: number;
  readonly written: number;
  readonly switches: number;
}

/** Threads that ended in between are left out, new ones count from zero. */
export function since(before: Counters, after: Counters): Cost {
  return {
    cpuMs: after.cpuMs - before.cpuMs,
    written: after.written - before.written,
    switches: sum(
      [...after.switches].map(([thread, count]) => count - (before.switches.get(thread) ?? 0)),
    ),
  };
}

const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);

export interface Memory {
  readonly privateDirty: number;
  readonly pss: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0) * 1024;
  return { privateDirty: bytes('Private_Dirty'), pss: bytes('Pss') };
}

/** Gone threads say nothing. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Linear between the two nearest. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = ((sorted.length - 1) * percent) / 100;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

export const median = (values: readonly number[]): number => percentile(values, 50);

/** Columns aligned: the first to the left, the others to the right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column === 0 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  ');
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)].join(
    '\n',
  );
}

export function number(value: number, digits?: number): string {
  if (!Number.isFinite(value)) return '–';
  return value.toFixed(digits ?? (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2));
}
