/** A real Mosquitto on a free loopback port, and its command line clients. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { program } from './parts.ts';

export const mosquitto = program('mosquitto') ?? program('/usr/sbin/mosquitto');
export const clients = program('mosquitto_sub') && program('mosquitto_pub');

export interface Mosquitto {
  readonly port: number;
  readonly folder: string;
  stop(): Promise<void>;
  /** on the same port */
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** @param lines  of its configuration, beside listener and persistence */
export async function startMosquitto(
  lines: (folder: string) => readonly string[] = () => ['allow_anonymous true'],
): Promise<Mosquitto> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-mosquitto-'));
  const port = await freePort();
  const file = join(folder, 'mosquitto.conf');
  const config = [
    `listener ${port} 127.0.0.1`,
    'persistence false',
    'user root',
    'set_tcp_nodelay true',
    ...lines(folder),
  ];
  writeFileSync(file, `${config.join('\n')}\n`);
  let child: ChildProcess | null = null;
  const broker: Mosquitto = {
    port,
    folder,
    async start() {
      child = spawn(mosquitto ?? '', ['-c', file], { stdio: 'ignore' });
      await eventually('mosquitto listens', () => answers(port));
    },
    async stop() {
      const running = child;
      child = null;
      if (running === null || running.exitCode !== null) return;
      const gone = new Promise((resolve) => running.once('exit', resolve));
      running.kill('SIGTERM');
      await gone;
    },
    async remove() {
      await broker.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await broker.start();
  return broker;
}

/** The retained message of a topic, as any subscriber gets it. */
export function retained(broker: Pick<Mosquitto, 'port'>, topic: string): Buffer | null {
  const args = ['-p', String(broker.port), '-t', topic, '-C', '1', '-W', '2', '-N'];
  const ran = spawnSync('mosquitto_sub', [...args, '--retained-only'], { timeout: 10_000 });
  return ran.status === 0 ? ran.stdout : null;
}

/** Publishes with QoS 1. */
export function say(
  broker: Pick<Mosquitto, 'port'>,
  topic: string,
  payload: Uint8Array,
  ...more: readonly string[]
): void {
  const args = ['-p', String(broker.port), '-t', topic, '-q', '1', '-s', ...more];
  const ran = spawnSync('mosquitto_pub', args, { input: payload, timeout: 10_000 });
  if (ran.status !== 0) throw new Error(`mosquitto_pub: ${ran.stderr}`);
}

function freePort(): Promise<number> {
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
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
