/**
 * Calls that a process makes, counted by strace while something is done: fsyncs, requests, bytes
 * received. Never while times are taken.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { has, until } from './parts.ts';

export interface Calls {
  /** fsync and fdatasync; LMDB's meta page goes through O_DSYNC and is not among them */
  readonly syncs: number;
  /** fdatasync alone: only LMDB calls it, once a commit */
  readonly commits: number;
  readonly requests: readonly string[];
  /** bytes of TCP payload, HTTP and MQTT */
  readonly received: number;
}

/** Null: no strace here. */
export async function traced(
  pid: number,
  folder: string,
  work: () => Promise<void>,
): Promise<Calls | null> {
  if (!has('strace')) return null;
  const file = join(folder, `trace-${pid}-${Date.now()}`);
  const calls = 'trace=fsync,fdatasync,sendto,sendmsg,write,writev,recvfrom,recvmsg';
  const args = ['-f', '-qq', '-s', '200', '-e', calls, '-o', file, '-p', String(pid)];
  const strace = spawn('strace', args, { stdio: 'ignore' });
  const gone = new Promise<void>((resolve) => strace.once('exit', () => resolve()));
  try {
    await until('strace is attached', () => {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      return strace.exitCode !== null || /^TracerPid:\s+[1-9]/m.test(status);
    });
    if (strace.exitCode !== null) return null;
    await work();
  } finally {
    strace.kill('SIGINT');
    await gone;
  }
  return callsIn(readFileSync(file, 'latin1'));
}

function callsIn(text: string): Calls {
  const lines = joined(text.split('\n'));
  const requests = lines.flatMap((line) => /"((?:GET|HEAD|POST) [^ "]+)/.exec(line)?.[1] ?? []);
  let received = 0;
  for (const line of lines) {
    const got = /^\d+ +(?:recvfrom|recvmsg)\(.* = (\d+)$/.exec(line)?.[1];
    received += Number(got ?? 0);
  }
  const syncs = lines.filter((line) => /^\d+ +f(?:data)?sync\(/.test(line)).length;
  const commits = lines.filter((line) => /^\d+ +fdatasync\(/.test(line)).length;
  return { syncs, commits, requests, received };
}

/** A call that another thread interrupted stands on two lines. */
function joined(lines: readonly string[]): readonly string[] {
  const open = new Map<string, string>();
  return lines.flatMap((line) => {
    const [thread = ''] = line.split(' ', 1);
    const begun = / <unfinished \.\.\.>$/.exec(line);
    if (begun) {
      open.set(thread, line.slice(0, begun.index));
      return [];
    }
    const resumed = /<\.\.\. \w+ resumed>(.*)$/.exec(line);
    return [resumed ? `${open.get(thread) ?? ''}${resumed[1]}` : line];
  });
}
