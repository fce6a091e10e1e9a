/**
 * A device that runs our own compose deployment in a real engine, without any network: states come on a
 * stick, their images inside. The agent is a process of its own; a test may kill it and start it again.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { StatusView } from '#control/api.ts';
import { openDesk } from './desk.ts';
import { eventually } from './eventually.ts';
import { ROOT } from './parts.ts';
import { type ContainerEngine, imageArchive, type SeenContainer, tinyImage } from './podman.ts';

const SERVICE = 'com.docker.compose.service';

export interface StickState {
  /** `VERSION` in the environment of the service `web` */
  readonly version: string;
  readonly image?: string;
  /** of the service `web`; default: that of the image, which sleeps */
  readonly command?: string;
  /** of the statement's policy */
  readonly healthWindow?: string;
  /** archives of images in the state; default: one, with `tiny:1` */
  readonly carries?: readonly string[];
}

export interface StickOptions {
  /** `packages` of agent.yaml */
  readonly packages?: Readonly<Record<string, unknown>>;
}

export interface StickDevice {
  /** of its configuration, state and sockets */
  readonly folder: string;
  readonly engineFolder: string;
  /** a folder that its containers may see */
  readonly shared: string;
  readonly runDir: string;
  log(): string;
  start(): Promise<void>;
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Publishes onto a stick; its path. */
  stick(state: StickState): Promise<string>;
  /** Publishes a value sealed to this device, beside those of before, onto a stick; its path. */
  seal(name: string, secret: string): Promise<string>;
  /** a command of holdfast for this device, to its end: exit code and what it printed */
  command(...args: readonly string[]): Promise<string>;
  apply(stick: string): Promise<string>;
  status(): Promise<StatusView>;
  web(): Promise<SeenContainer | undefined>;
  remove(): Promise<void>;
}

export async function stickDevice(
  engine: ContainerEngine,
  { packages = { requireDigests: true } }: StickOptions = {},
): Promise<StickDevice> {
  const desk = openDesk();
  const folder = join(desk.folder, 'device');
  const channel = join(desk.folder, 'plant/channels/stable');
  const shared = join(desk.folder, 'shared');
  const runDir = join(folder, 'run');
  const made = ['--demo', '--no-passphrase', '--no-examples', '--channel', 'stable', 'device.*'];
  await desk.json(['init', 'plant', ...made, '--registry', 'http://127.0.0.1:9/plant/state']);
  mkdirSync(join(channel, 'line'), { recursive: true });
  for (const each of [folder, shared]) mkdirSync(each);
  writeFileSync(join(shared, 'plant'), 'seven');
  writeFileSync(join(channel, 'images.tar'), imageArchive({ 'tiny:1': tinyImage('stick') }));
  writeFileSync(
    join(folder, 'agent.yaml'),
    agentYaml(engine, { desk: desk.folder, folder, shared, packages }),
  );
  const holdfast = [process.execPath, `${ROOT}/src/main.ts`];
  const command = async (...args: readonly string[]): Promise<string> => {
    const ran = Bun.spawn([...holdfast, ...args, '--run-dir', runDir], {
      ...{ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
    });
    const texts = [new Response(ran.stdout).text(), new Response(ran.stderr).text()];
    const said = (await Promise.all(texts)).join('');
    return `${await ran.exited} ${said}`;
  };
  const agent = agentProcess(
    [...holdfast, 'agent', '--config', join(folder, 'agent.yaml')],
    join(runDir, 'ready'),
  );
  return {
    ...{ folder, engineFolder: engine.folder, shared, runDir, command, ...agent },
    async stick(state) {
      writeState(desk.folder, channel, { ...state, shared });
      const stick = join(desk.folder, `stick-${state.version}`);
      await desk.json(['publish', 'stable', '-C', 'plant', '--to', `oci:${stick}`]);
      return stick;
    },
    async seal(name, secret) {
      const key = join(folder, 'state/identity/sealing.pub.pem');
      const of = ['--device', 'press-7', '--name', name, '--key', key, '-C', 'plant'];
      const sealed = await desk.run(['seal', ...of], [secret]);
      if (sealed.code !== 0) throw new Error(sealed.err);
      const stick = join(desk.folder, `stick-value-${name}`);
      await desk.json(['publish', 'device.press-7', '-C', 'plant', '--to', `oci:${stick}`]);
      return stick;
    },
    apply: (stick) => command('apply', stick),
    async status() {
      const unix = join(runDir, 'status.sock');
      const response = await fetch('http://agent/v1/status', { unix } as RequestInit);
      return (await response.json()) as StatusView;
    },
    web: async () => (await engine.containers()).find(({ labels }) => labels[SERVICE] === 'web'),
    async remove() {
      await agent.stop();
      await engine.remove();
      desk.remove();
    },
  };
}

function agentYaml(
  { kind, socket }: ContainerEngine,
  {
    desk,
    folder,
    shared,
    packages,
  }: { desk: string; folder: string; shared: string; packages: unknown },
): string {
  return JSON.stringify({
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', device: { id: 'press-7' } },
    ...{ stateDir: join(folder, 'state'), runDir: join(folder, 'run') },
    trust: { root: join(desk, 'plant/root/1.root.json'), allowDemo: true },
    channels: [
      {
        name: 'stable',
        allow: {
          ...{ roots: [join(folder, 'opt')], runtimes: ['compose'] },
          compose: { grants: ['capabilities'], paths: [shared] },
        },
      },
    ],
    runtimes: { compose: { engine: kind, socket } },
    packages,
    log: { level: 'debug', format: 'human' },
  });
}

function agentProcess(command: readonly string[], ready: string) {
  let child: Bun.Subprocess | null = null;
  let log = '';
  const collect = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const chunk of stream) log += Buffer.from(chunk).toString();
  };
  return {
    log: () => log,
    async start() {
      rmSync(ready, { force: true });
      const started = Bun.spawn([...command], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
      void collect(started.stdout);
      void collect(started.stderr);
      child = started;
      await eventually('it is ready', () => existsSync(ready));
    },
    async stop(signal: NodeJS.Signals = 'SIGTERM') {
      child?.kill(signal);
      await child?.exited;
      child = null;
    },
  };
}

function writeState(
  desk: string,
  channel: string,
  {
    version,
    image = 'tiny:1',
    command,
    shared,
    carries = ['images.tar'],
    healthWindow = '0s',
  }: StickState & { readonly shared: string },
): void {
  const run = command === undefined ? '' : `command: ${JSON.stringify(command)}, `;
  const web = `image: "${image}", ${run}cap_add: [NET_ADMIN], stop_signal: SIGKILL, environment: { VERSION: "${version}" }`;
  writeFileSync(
    join(channel, 'line/compose.yaml'),
    `services:\n  web: { ${web}, volumes: ["data:/data", "${shared}:/shared:ro"] }\nvolumes: { data: {} }\n`,
  );
  const components = [{ name: 'line', properties: { blob: 'line', images: carries } }];
  const spec = { deploymentProfile: { type: 'compose', components } };
  const document = { apiVersion: 'holdfast/v1', kind: 'Deployment', id: 'line', spec };
  writeFileSync(join(channel, 'line.yaml'), JSON.stringify(document));
  const file = join(desk, 'plant/fleet.yaml');
  const fleet = parse(readFileSync(file, 'utf8'));
  fleet.channels.stable.policy = { ...fleet.channels.stable.policy, healthWindow };
  writeFileSync(file, stringify(fleet));
}
