/**
 * Takes hold of one system call of a running program: strace attaches to its main thread, which
 * does all file work, and either stops the program right after its n-th call of a name, or lets that
 * call fail. Counts begin when it attaches.
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { endChild } from './command.ts';
import { eventually } from './eventually.ts';
import { strace } from './syscalls.ts';

/** what changes a disk */
const CALLS = [
  ...['openat', 'rename', 'mkdir', 'symlink', 'unlink', 'chmod', 'fchmod', 'ftruncate'],
  ...['write', 'writev', 'pwrite64', 'fsync', 'fdatasync'],
];

export interface DiskCall {
  readonly name: string;
  /** the n-th of this name */
  readonly nth: number;
  /** what it is about, resolved as far as the trace tells */
  readonly path: string;
}

/** What is done when the n-th call of this name comes. */
export type Hold =
  | { readonly kind: 'watch' }
  | { readonly kind: 'stop'; readonly call: string; readonly nth: number }
  | {
      readonly kind: 'fail';
      readonly call: string;
      readonly nth: number;
      readonly errno: string;
      /** this one and all of its name that follow */
      readonly onwards: boolean;
    };

export interface Held {
  /** all calls that succeeded so far, and changed something */
  calls(): readonly DiskCall[];
  /** whether it was stopped, or a call has failed */
  hit(): boolean;
  /** Gives up its hold; a program that was stopped stays so. */
  letGo(): Promise<void>;
}

export async function holdCalls(pid: number, file: string, hold: Hold): Promise<Held> {
  const child = spawn(strace ?? '', [...argumentsOf(hold), '-o', file, '-p', String(pid)], {
    stdio: 'ignore',
  });
  await eventually('strace attaches', () => {
    if (child.exitCode !== null) throw new Error(`strace ended with ${child.exitCode}`);
    return existsSync(file) && !/TracerPid:\t0\n/.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  });
  const lines = () => readFileSync(file, 'latin1').split('\n');
  return {
    calls: () => callsOf(lines()),
    hit() {
      const mark = hold.kind === 'stop' ? '--- stopped by SIGSTOP' : '(INJECTED)';
      return hold.kind !== 'watch' && lines().some((line) => line.includes(mark));
    },
    letGo: () => endChild(child, 'SIGTERM'),
  };
}

function argumentsOf(hold: Hold): readonly string[] {
  const watched = ['-y', '-qq', '-s', '0', '-e', `trace=${CALLS.join(',')}`];
  if (hold.kind === 'watch') return watched;
  const when = `when=${hold.nth}${hold.kind === 'fail' && hold.onwards ? '+' : ''}`;
  const what = hold.kind === 'stop' ? 'signal=SIGSTOP' : `error=${hold.errno}`;
  return [...watched, '-e', `inject=${hold.call}:${what}:${when}`];
}

function callsOf(lines: readonly string[]): readonly DiskCall[] {
  const counts = new Map<string, number>();
  const open = new Map<string, string>();
  const found: DiskCall[] = [];
  for (const line of lines) {
    const name = /^\w+(?=\()/.exec(line)?.[0];
    if (name === undefined) continue;
    const nth = (counts.get(name) ?? 0) + 1;
    counts.set(name, nth);
    const opened = /= (\d+)<([^>]*)>/.exec(line);
    if (opened) open.set(opened[1] ?? '', opened[2] ?? '');
    const failed = / = -1 /.test(line) && !line.includes('(INJECTED)');
    if (failed || (name === 'openat' && !line.includes('O_CREAT'))) continue;
    found.push({ name, nth, path: pathOf(line, open) });
  }
  return found;
}

/** The last path of the call: of a rename, where it goes to. */
function pathOf(line: string, open: ReadonlyMap<string, string>): string {
  const named = [...line.matchAll(/"(\/[^"]*)"/g)].at(-1)?.[1];
  if (named === undefined) return /<(\/[^>]*)>/.exec(line)?.[1] ?? '';
  return named.replace(/^\/proc\/self\/fd\/(\d+)/, (whole, fd: string) => open.get(fd) ?? whole);
}
