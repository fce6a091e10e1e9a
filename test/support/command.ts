/** Programs run from a test: to their end, or in the background until the test ends them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { PATIENCE } from './eventually.ts';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  /** exactly this environment, beside PATH */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  readonly withinMs?: number;
}

const WITHIN_MS = 60_000;

/** Does not block the loop: a proxy of the same test goes on serving. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const [file = '', ...args] = command;
  const child = spawn(file, args, {
    cwd: options.cwd ?? '/',
    env: { PATH: process.env.PATH ?? '', ...options.env },
    stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: (options.withinMs ?? WITHIN_MS) * PATIENCE,
    killSignal: 'SIGKILL',
  });
  const text = { out: '', err: '' };
  child.stdout?.on('data', (chunk) => {
    text.out += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    text.err += chunk;
  });
  child.stdin?.end(options.input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return { code, ...text };
}

/** Runs to its end and gives what it printed; throws what it complained about otherwise. */
export async function output(command: readonly string[], options?: RunOptions): Promise<string> {
  const ended = await run(command, options);
  if (ended.code === 0) return ended.out;
  throw new Error(`${command.join(' ')} ended with ${ended.code}\n${ended.err}${ended.out}`);
}

/** Ends a child and waits until it is gone. */
export async function endChild(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await gone;
}
