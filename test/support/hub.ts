/** The hub as a process of its own, on free ports, for tests with the tools that people have. */
import { ROOT } from './parts.ts';

export interface RunningHub {
  readonly process: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
  readonly registry: number;
  readonly mqtt: number;
}

export function spawnHub(...options: string[]): Bun.Subprocess<'ignore', 'pipe', 'pipe'> {
  const command = [process.execPath, `${ROOT}/test/support/hub-child.ts`, 'hub', ...options];
  return Bun.spawn(command, { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
}

/** Ready when it has printed both addresses. */
export async function startHub(folder: string): Promise<RunningHub> {
  const child = spawnHub('--data', folder, '--registry-port', '0', '--mqtt-port', '0');
  const output = await readUntil(child.stdout, /mqtt:\/\/127\.0\.0\.1:\d+\n/);
  const [registry = 0, mqtt = 0] = [...output.matchAll(/:(\d+)\n/g)].map(([, port]) =>
    Number(port),
  );
  return { process: child, registry, mqtt };
}

/** @returns its exit code */
export async function stopHub(hub: RunningHub): Promise<number> {
  hub.process.kill('SIGTERM');
  return hub.process.exited;
}

/** Everything up to what was waited for, or to the end. */
export async function readUntil(
  stream: ReadableStream<Uint8Array>,
  wanted: RegExp,
): Promise<string> {
  const reader = stream.getReader();
  let output = '';
  while (!wanted.test(output)) {
    const { value, done } = await reader.read();
    if (done) break;
    output += Buffer.from(value).toString();
  }
  reader.releaseLock();
  return output;
}

/** A command to its end. */
export async function run(
  command: readonly string[],
): Promise<{ readonly out: string; readonly err: string; readonly code: number }> {
  const child = Bun.spawn([...command], { stdout: 'pipe', stderr: 'pipe' });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}
