/**
 * The processes of the demo. Hub and agents are sessions of their own, so that Ctrl-C reaches the
 * demo alone and it ends them in order; at the end nothing that was started here is left, the
 * programs that the agents started included.
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Child {
  readonly pid: number;
  /** null while it runs */
  code(): number | null;
  exited: Promise<number>;
  /** @param signal  default SIGTERM; after 10 s it is killed */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface Children {
  /** Runs `holdfast ARGS` to its end; throws what it said when it failed. */
  holdfast(args: readonly string[]): Promise<string>;
  /** @param log  file for what it prints */
  start(args: readonly string[], log: string): Child;
  /** Ends everything at once; returns when all of it is gone. */
  endAll(): Promise<void>;
}

const END_MS = 10_000;
const LOOK_MS = 20;

/** @param folder  programs that run from below it are the demo's */
export function newChildren(executable: string, folder: string): Children {
  const running = new Set<Child>();
  // What this process was started with (npm's and bun's variables) is no business of a device.
  const { PATH = '/usr/bin:/bin', HOME = '/', TMPDIR } = process.env;
  const env = { PATH, HOME, NO_COLOR: '1', ...(TMPDIR === undefined ? {} : { TMPDIR }) };
  return {
    async holdfast(args) {
      const child = Bun.spawn([executable, ...args], { env, stdin: 'ignore', stderr: 'pipe' });
      const [out, err, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      if (code === 0) return out;
      throw new Error(`holdfast ${args.join(' ')}\nended with ${code}\n${out}${err}`);
    },
    start(args, log) {
      const fd = openSync(log, 'a', 0o600);
      const spawned = Bun.spawn([executable, ...args], {
        env,
        stdin: 'ignore',
        stdout: fd,
        stderr: fd,
        detached: true,
      });
      closeSync(fd);
      const child: Child = {
        pid: spawned.pid,
        code: () => spawned.exitCode ?? (spawned.signalCode === null ? null : -1),
        exited: spawned.exited,
        async end(signal = 'SIGTERM') {
          spawned.kill(signal);
          const late = setTimeout(() => spawned.kill('SIGKILL'), END_MS);
          await spawned.exited;
          clearTimeout(late);
          running.delete(child);
        },
      };
      running.add(child);
      return child;
    },
    async endAll() {
      await Promise.all([...running].map((child) => child.end('SIGKILL')));
      for (;;) {
        const left = runningFrom(folder);
        if (left.length === 0) return;
        for (const pid of left) kill(pid);
        await Bun.sleep(LOOK_MS);
      }
    },
  };
}

/** Processes whose program lies below the folder, also when the file is deleted by now. */
function runningFrom(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => programOf(pid).startsWith(`${folder}/`))
    .map(Number);
}

/** Empty: gone, or somebody else's. */
function programOf(pid: string): string {
  try {
    const state = readFileSync(join('/proc', pid, 'stat'), 'latin1')
      .split(') ')
      .at(-1)?.[0];
    return state === 'Z' ? '' : readlinkSync(join('/proc', pid, 'exe'));
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}
