/**
 * What a measurement runs on: temporary folders (the device's on a disk, the servers' in memory),
 * a broker and a registry on loopback ports, and whatever else was started. `end` stops all of it,
 * by process id.
 */
import { spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

export interface Started {
  readonly pid: number;
  /** what it said so far, both streams */
  said(): string;
  ended(): boolean;
  /** SIGTERM, and its end */
  stop(): Promise<void>;
}

export interface Parts {
  /** on a disk: what the device writes */
  readonly device: string;
  /** in memory: servers, publisher, logs */
  readonly server: string;
  start(command: readonly string[], name: string, env?: Record<string, string>): Started;
  end(): Promise<void>;
}

const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
};
const STOP_MS = 5_000;

/** Whether a program of this name can be found. */
export function has(program: string): boolean {
  return Bun.which(program, { PATH: ENV.PATH }) !== null;
}

/** @param onDisk  HOLDFAST_BENCH_DIR: on the disk that is to be measured */
export function makeParts(onDisk: string): Parts {
  const device = mkdtempSync(join(onDisk, 'holdfast-bench-'));
  const server = mkdtempSync(join(isWritable('/dev/shm') ? '/dev/shm' : onDisk, 'holdfast-bench-'));
  const running: Started[] = [];
  return {
    device,
    server,
    start(command, name, env = {}) {
      const started = start(command, join(server, `${name}.log`), { ...ENV, ...env });
      running.push(started);
      return started;
    },
    async end() {
      for (const each of running.toReversed()) await each.stop();
      for (const folder of [device, server]) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function start(command: readonly string[], log: string, env: Record<string, string>): Started {
  const [program = '', ...args] = command;
  const output = openSync(log, 'a');
  const child = spawn(program, args, { stdio: ['ignore', output, output], env, detached: true });
  closeSync(output);
  const { pid } = child;
  if (pid === undefined) throw new Error(`cannot start ${program}`);
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  return {
    pid,
    said: () => readFileSync(log, 'utf8'),
    ended,
    async stop() {
      if (ended()) return;
      child.kill('SIGTERM');
      const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await gone;
      clearTimeout(late);
    },
  };
}

/** Until `done` is true; looks every `everyMs`, gives up after `withinMs`. */
export async function until(
  what: string,
  done: () => boolean | Promise<boolean>,
  { everyMs = 5, withinMs = 20_000 } = {},
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await done())) {
    if (performance.now() > end) throw new Error(`after ${withinMs} ms: ${what}`);
    await Bun.sleep(everyMs);
  }
}

export interface Servers {
  readonly broker: number;
  readonly registry: number;
  /** for the report */
  readonly named: string;
}

/** Mosquitto and docker-registry; the hub stands in for what is missing. */
export async function startServers(parts: Parts, executable: string): Promise<Servers> {
  const [broker, registry] = [await freePort(), await freePort()];
  const mosquitto = has('mosquitto');
  const distribution = has('docker-registry');
  if (mosquitto) startMosquitto(parts, broker);
  if (distribution) startRegistry(parts, registry);
  if (!mosquitto || !distribution) startHub(parts, executable, { broker, registry });
  await until('broker and registry listen', async () => {
    return (await answers(broker)) && (await answers(registry));
  });
  const named = `${mosquitto ? 'Mosquitto' : 'hub'}, ${distribution ? 'docker-registry' : 'hub'}`;
  return { broker, registry, named };
}

function startMosquitto({ server, start }: Parts, port: number): void {
  const file = join(server, 'mosquitto.conf');
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', 'persistence false'];
  writeFileSync(file, [...lines, 'set_tcp_nodelay true', 'log_type none', ''].join('\n'));
  start(['mosquitto', '-c', file], 'mosquitto');
}

function startRegistry({ server, start }: Parts, port: number): void {
  const file = join(server, 'registry.json');
  const config = {
    version: 0.1,
    log: { level: 'error', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(server, 'registry') },
      cache: { blobdescriptor: 'inmemory' },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}`, secret: 'bench' },
  };
  writeFileSync(file, JSON.stringify(config));
  start(['docker-registry', 'serve', file], 'registry', { OTEL_TRACES_EXPORTER: 'none' });
}

function startHub(
  { server, start }: Parts,
  executable: string,
  { broker, registry }: { readonly broker: number; readonly registry: number },
): void {
  const data = join(server, 'hub');
  mkdirSync(data);
  const at = ['--registry-port', `${registry}`, '--mqtt-port', `${broker}`];
  start([executable, 'hub', '--data', data, ...at], 'hub');
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const done = (value: boolean) => {
      socket.destroy();
      resolve(value);
    };
    socket.once('connect', () => done(true));
    socket.once('error', () => done(false));
  });
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
