/** The compiled executable as a hub with TLS, on ports that stay, and devices that enrol with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Ended, endChild, type RunOptions, run } from './command.ts';
import { holdfast } from './device.ts';
import { eventually } from './eventually.ts';
import { freePort } from './free-port.ts';

export interface SecureHub {
  readonly data: string;
  readonly url: string;
  readonly mqttPort: number;
  readonly registryPort: number;
  /** digest of its authority */
  authority(): string;
  readonly ca: string;
  start(): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** `holdfast hub enroll …`; throws when it fails */
  operator(...args: readonly string[]): Promise<string>;
  /** a one-time token for these devices */
  token(device: string, ...more: readonly string[]): Promise<string>;
  log(): string;
}

export async function secureHub(
  folder: string,
  flags: readonly string[] = [],
  name = 'hub',
): Promise<SecureHub> {
  const data = join(folder, name);
  const [registryPort, mqttPort] = [await freePort(), await freePort()];
  const ports = ['--registry-port', String(registryPort), '--mqtt-port', String(mqttPort)];
  const argv = ['hub', '--data', data, '--tls', '--name', '127.0.0.1', ...ports, ...flags];
  let child: ChildProcess | null = null;
  let log = '';
  const hub: SecureHub = {
    ...{ data, mqttPort, registryPort, url: `https://127.0.0.1:${registryPort}` },
    ca: join(data, 'tls/ca.pem'),
    authority: () => /^authority (\S+)$/m.exec(log)?.[1] ?? '',
    log: () => log,
    async start() {
      const started = spawn(holdfast, argv, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
      child = started;
      let said = '';
      for (const stream of [started.stdout, started.stderr])
        stream.on('data', (text) => {
          said += text;
          log += text;
        });
      await eventually('the hub listens', async () => {
        if (started.exitCode !== null) throw new Error(`the hub ended\n${said}`);
        return said.includes('mqtt      mqtts://');
      });
    },
    async stop(signal = 'SIGTERM') {
      if (child) await endChild(child, signal);
      child = null;
    },
    async operator(...args) {
      const ended = await run([holdfast, 'hub', 'enroll', ...args, '--data', data]);
      if (ended.code !== 0) throw new Error(`${args.join(' ')}: ${ended.err}`);
      return ended.out;
    },
    token: async (device, ...more) =>
      (await hub.operator('token', '--device', device, ...more)).trim(),
  };
  await hub.start();
  return hub;
}

/** A device's folder, before and after it enrolled. */
export interface Cabinet {
  readonly id: string;
  readonly config: string;
  readonly stateDir: string;
  readonly runDir: string;
  /** of its credential and everything around it */
  readonly hubFolder: string;
  /** `holdfast enroll` with these arguments, to its end */
  enroll(args: readonly string[], options?: EnrollOptions): Promise<Ended>;
  launch(args: readonly string[]): ChildProcess;
  credential(): string | null;
  /** adds what a test's agent needs */
  configure(more: Readonly<Record<string, unknown>>): void;
}

export interface EnrollOptions extends RunOptions {
  readonly wrap?: readonly string[];
}

export function cabinet(folder: string, id: string): Cabinet {
  const own = join(folder, id);
  mkdirSync(own, { recursive: true });
  const [config, stateDir, runDir] = ['agent.yaml', 'state', 'run'].map((n) => join(own, n)) as [
    string,
    string,
    string,
  ];
  const places = ['-c', config, '--state-dir', stateDir, '--run-dir', runDir, '--device-id', id];
  const hubFolder = join(stateDir, 'identity/hub');
  return {
    ...{ id, config, stateDir, runDir, hubFolder },
    enroll: (args, options = {}) =>
      run([...(options.wrap ?? []), holdfast, 'enroll', ...places, ...args], options),
    launch: (args) => spawn(holdfast, ['enroll', ...places, ...args], { stdio: 'ignore' }),
    credential() {
      const has = (name: string) => folderOf(hubFolder).includes(name);
      const file = ['credential.pem', 'secret'].find(has);
      return file === undefined ? null : readFileSync(join(hubFolder, file), 'utf8');
    },
    configure(more) {
      const settings = Bun.YAML.parse(readFileSync(config, 'utf8')) as Record<string, unknown>;
      writeFileSync(config, JSON.stringify({ ...settings, ...more }));
    },
  };
}

export function folderOf(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
