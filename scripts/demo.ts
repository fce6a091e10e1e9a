/**
 * `npm run demo`: a hub and three devices on this machine, all of them the executable that is
 * shipped, and what happens to them: publish, update, a broken update, a forgery, a hand in the
 * device, a lost link. It uses loopback and a temporary folder, and leaves nothing running.
 * Ends with 0 when every tick was read back from a device, 1 when one was not, 2 where it cannot
 * run, 130 when it was stopped.
 *
 * `--stay` leaves everything up until Ctrl-C. `--registry-proxy URL` is for the test of this demo: an
 * HTTP proxy between the agents and the registry.
 */
import { accessSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { type Children, newChildren } from './demo/children.ts';
import { type Device, newDevice } from './demo/device.ts';
import { freePorts } from './demo/meter.ts';
import { newPlant } from './demo/plant.ts';
import { readBack, Unmet } from './demo/read-back.ts';
import { duration, type Screen, screen } from './demo/screen.ts';
import { watchStatuses } from './demo/statuses.ts';
import { tell } from './demo/story.ts';
import { buildPages } from './demo-pages.ts';
import { run } from './run.ts';
import { CACHE, hostTarget } from './targets.ts';

const NAMES = ['press-7', 'press-8', 'oven-2'] as const;
const GLIBC = '/lib64/ld-linux-x86-64.so.2';
const HUB_MS = 10_000;
/** bytes: a socket's path has at most 107 */
const FOLDER_MAX = 48;

interface Options {
  readonly stay: boolean;
  readonly proxy: string | null;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { stay: { type: 'boolean' }, 'registry-proxy': { type: 'string' } },
  });
  if (process.platform !== 'linux' || process.arch !== 'x64' || !existsSync(GLIBC)) {
    console.log(
      'The demo runs on Linux x64 with glibc: on this machine start it in a container ' +
        '(docker run -it --platform linux/amd64 -v "$PWD":/holdfast -w /holdfast node:22 npm run demo) ' +
        'or, on Windows, in WSL.',
    );
    return 2;
  }
  console.log('Building the executable (the first time takes a minute or two) …');
  const executable = await build(hostTarget());
  const pages = await buildPages();
  const folder = await newFolder(pages.get(1) ?? '');
  const enough = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => enough.abort(new Error(`ended by ${signal}`)));
  }
  const children = newChildren(executable, folder);
  // Whoever reads this has gone away (`| head`): nobody is there to show it to.
  process.stdout.on('error', (error) => enough.abort(error));
  const print = (text: string) => void process.stdout.write(text);
  const show = screen(wantsColour(), process.stdout.columns ?? 100, print);
  const options = { stay: values.stay === true, proxy: values['registry-proxy'] ?? null };
  try {
    await perform({ folder, children, pages, show, options, signal: enough.signal });
    return 0;
  } catch (error) {
    await complain(show, error, enough.signal);
    return enough.signal.aborted ? 130 : 1;
  } finally {
    await children.endAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Performance {
  readonly folder: string;
  readonly children: Children;
  readonly pages: ReadonlyMap<number, string>;
  readonly show: Screen;
  readonly options: Options;
  readonly signal: AbortSignal;
}

async function perform(given: Performance): Promise<void> {
  const { folder, children, pages, show, options, signal } = given;
  const began = performance.now();
  const [registryPort = 0, brokerPort = 0, ...pagePorts] = await freePorts(2 + NAMES.length);
  const hub = newHub(given, registryPort, brokerPort);
  await hub.start();
  const plant = await newPlant({ children, folder, registryPort, brokerPort, pages });
  const devices: Device[] = [];
  for (const [index, name] of NAMES.entries()) {
    const ports = { registryPort, brokerPort, pagePort: pagePorts[index] ?? 0 };
    const { root } = plant;
    devices.push(await newDevice({ name, folder, children, root, ...ports, proxy: options.proxy }));
  }
  show.heading('Holdfast: one hub, three devices, each a process of its own on this machine', [
    ['hub', `registry 127.0.0.1:${registryPort}, broker 127.0.0.1:${brokerPort}`],
    ...devices.map(({ name, url }) => [name, `will show its page at ${url}`] as const),
    ['folder', folder],
  ]);
  for (const device of devices) device.start();
  const keyFile = (name: string) => join(folder, 'devices', name, 'state/identity/device.key');
  const statuses = await watchStatuses(brokerPort, plant.fleet, keyFile);
  try {
    const repository = `http://127.0.0.1:${registryPort}/v2/plant/state`;
    const stage = { folder, screen: show, plant, devices, statuses, repository, hub };
    await tell({ ...stage, readBack: readBack(statuses, signal) });
    const took = duration(performance.now() - began);
    show.good(`All ${show.ticks()} ticks were read back from the devices, in ${took}.`);
    if (options.stay) await stay(given);
    else show.note('Nothing is left running. `npm run demo -- --stay` keeps it up to look around.');
  } finally {
    await statuses.close();
    for (const { meter } of devices) meter.close();
  }
}

async function stay({ show, folder, signal }: Performance): Promise<void> {
  show.note('Everything stays up until Ctrl-C. What a device says of itself:');
  show.command(`dist/holdfast status --run-dir ${folder}/devices/${NAMES[0]}/run`);
  await new Promise((ended) => signal.addEventListener('abort', ended, { once: true }));
}

function newHub({ folder, children, signal }: Performance, registry: number, broker: number) {
  const ports = ['--registry-port', `${registry}`, '--mqtt-port', `${broker}`];
  let child: ReturnType<Children['start']> | null = null;
  return {
    async stop() {
      await child?.end();
    },
    async start() {
      child = children.start(
        ['hub', '--data', join(folder, 'hub'), ...ports],
        join(folder, 'hub.log'),
      );
      const deadline = performance.now() + HUB_MS;
      for (;;) {
        signal.throwIfAborted();
        if (await answers(`http://127.0.0.1:${registry}/v2/`)) return;
        if (child.code() !== null || performance.now() > deadline) {
          throw new Error(
            `the hub does not start:\n${await Bun.file(join(folder, 'hub.log')).text()}`,
          );
        }
        await Bun.sleep(20);
      }
    },
  };
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1_000) })).ok;
  } catch {
    return false;
  }
}

/** What was not as it should be, and what the device itself says about it. */
async function complain(show: Screen, error: unknown, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return show.bad('Stopped. Nothing is left running.');
  show.bad(error instanceof Error ? error.message : String(error));
  if (!(error instanceof Unmet)) return;
  const { device } = error;
  const explained = await device.ask(['explain']).catch(() => 'its agent does not answer');
  show.verbatim(explained.trimEnd());
  show.note('The end of its log:');
  show.verbatim(device.lastWords());
}

/** The first folder from which a program can be started, short enough for the path of a socket. */
async function newFolder(program: string): Promise<string> {
  for (const parent of [tmpdir(), '/tmp', '/var/tmp', CACHE]) {
    if (parent.length > FOLDER_MAX || !isWritable(parent)) continue;
    const folder = mkdtempSync(join(parent, 'holdfast-demo-'));
    const copy = join(folder, 'try');
    copyFileSync(program, copy);
    const ran = await run([copy, '--version'], { mayFail: true }).catch(() => null);
    rmSync(copy);
    if (ran?.code === 0) return folder;
    rmSync(folder, { recursive: true });
  }
  throw new Error(
    'Programs can be started from none of /tmp, /var/tmp and .cache (noexec): set TMPDIR.',
  );
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** @see https://no-color.org */
function wantsColour(): boolean {
  const { NO_COLOR = '', TERM } = process.env;
  return process.stdout.isTTY === true && NO_COLOR === '' && TERM !== 'dumb';
}

process.exit(await main());
