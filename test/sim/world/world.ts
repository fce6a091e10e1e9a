/**
 * One device and everything around it, from a seed. The agent is the product's own (assemble.ts and
 * what it puts together); this file starts it, cuts it, starts it again, and lets time pass. What it
 * sees is told to an observer: the model (model/) and the trace.
 */
import { assemble } from '#agent/assemble.ts';
import { type AgentConfig, parseConfig } from '#agent/config.ts';
import { controlHandlers } from '#agent/handlers.ts';
import { stopPrograms } from '#agent/stop-programs.ts';
import { simBroker } from './broker.ts';
import { Cut, type CutKind, type Life, steps } from './crash.ts';
import { disk } from './disk.ts';
import { type Commits, simEngine } from './engine.ts';
import type { Moment } from './moment.ts';
import { network } from './network.ts';
import { platformOf } from './platform.ts';
import type { Loss } from './power-cut.ts';
import { plantPrograms, processTable } from './processes.ts';
import { EPOCH_START_MS, publisher } from './publisher.ts';
import { dice } from './random.ts';
import { simRegistry } from './registry.ts';
import type { Observer, Running, World } from './shape.ts';
import { timeline } from './timeline.ts';

export const STATE_DIR = '/var/lib/holdfast';
export const RUN_DIR = '/run/holdfast';
export const CONFIG_FILE = '/etc/holdfast/agent.yaml';
export const ROOT_FILE = '/etc/holdfast/1.root.json';
export const EXECUTABLE = '/usr/bin/holdfast';
export const USB = '/media/usb';

const CONFIG = JSON.stringify({
  apiVersion: 'holdfast/v1',
  kind: 'Agent',
  device: { id: 'press-7' },
  stateDir: STATE_DIR,
  runDir: RUN_DIR,
  trust: { root: ROOT_FILE },
  channels: [{ name: 'stable', allow: { roots: ['/opt', '/srv'] } }],
  registries: [{ url: 'http://127.0.0.1:5000/plant/state' }],
  mqtt: { url: 'mqtt://127.0.0.1:1883' },
  bundles: { watch: [USB] },
  runtimes: { process: { allowRoot: true } },
  nudges: { perMinute: 60 },
  keep: { reserve: '64Ki', generations: 2 },
});

/** ms after which the service manager starts an agent that has ended */
const STARTS_AFTER_MS = 500;

const parsed = new Map<string, AgentConfig>();

/** As it stands on the disk now. */
function config({ disk: flash }: World): AgentConfig {
  const bytes = flash.find(CONFIG_FILE)?.data ?? new Uint8Array();
  const text = new TextDecoder().decode(bytes);
  const known = parsed.get(text);
  if (known) return known;
  const read = parseConfig(bytes, CONFIG_FILE);
  if (!read.ok) throw new Error(read.fault.message);
  parsed.set(text, read.value);
  return read.value;
}

/** @param from  goes on from there: as a device that has fallen, without an agent */
export function makeWorld(seed: number | string, observer: Observer, from?: Moment): World {
  const time = timeline(from?.now);
  const root = dice(seed);
  const stepping = steps();
  const flash = disk({ nowMs: () => time.now, steps: stepping, from: from?.disk });
  const commits: Commits = { count: 0 };
  const net = network(time, root.split('network'), from?.weather);
  const registry = simRegistry(net, from?.registry);
  const broker = simBroker(net, from?.broker);
  const world: World = {
    time,
    dice: root,
    steps: stepping,
    disk: flash,
    processes: processTable(flash, time, () => time.now - world.bootedAt, from?.processes),
    network: net,
    registry,
    http: null,
    broker,
    publisher: publisher(registry, broker, from?.publisher),
    commits,
    engine: simEngine(flash, root.split('store'), commits),
    locks: new Map(),
    observer,
    running: null,
    restarting: false,
    startsAfterMs: STARTS_AFTER_MS,
    loss: null,
    bootedAt: from?.bootedAt ?? 0,
    wallOffsetMs: from?.wallOffsetMs ?? EPOCH_START_MS,
    cuts: from?.cuts ?? 0,
    boots: 0,
    troublesBefore: 0,
    threw: (life, error) => threw(world, life, error),
    wallMs: () => world.wallOffsetMs + time.now,
    log(level, event, fields) {
      observer.trace(`  ${level} ${event} ${textOf(fields)}`);
    },
  };
  stepping.trace = (what, path) => observer.trace(`${stepping.count} ${what} ${path}`);
  if (from) return world;
  plantPrograms(flash);
  flash.plant(ROOT_FILE, world.publisher.rootFile);
  flash.plant(CONFIG_FILE, CONFIG);
  flash.plant('/etc/machine-id', '0123456789abcdef0123456789abcdef\n');
  for (const path of ['/run', '/var/lib', '/opt', '/srv', USB]) flash.plantDirectory(path);
  return world;
}

function textOf(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
}

/** Starts an agent: assembles it, recovers, connects. What comes of it is told to the observer. */
export function boot(world: World): void {
  const { steps: stepping, processes, observer } = world;
  const life = processes.agent();
  stepping.life = life;
  world.boots += 1;
  world.troublesBefore = stepping.troubles;
  observer.trace(`boot ${world.boots} at ${Math.round(world.time.now)} ms`);
  const ends = (error: unknown): void => threw(world, life, error);
  try {
    start(world, life).catch(ends);
  } catch (error) {
    ends(error);
  }
  world.time.drain();
}

/** An exception out of the agent: its end, as that of any process. */
function threw(world: World, life: Life, error: unknown): void {
  if (error instanceof Cut || life.dead) return;
  world.observer.broke(world, error);
  endAgent(world);
}

type Ended = 'stop' | 'stop-programs' | 'reload' | 'failed';

/** As `holdfast agent` (cli/agent.ts): a reload begins anew in the same process. */
async function start(world: World, life: Life): Promise<void> {
  let how: Ended = 'reload';
  while (how === 'reload') how = await startOnce(world, life);
  endAgent(world);
  if (how === 'stop-programs') world.observer.stopped?.(world);
}

async function startOnce(world: World, life: Life): Promise<Ended> {
  const platform = platformOf(world, life);
  const version = { version: '1.0.0', buildTime: EPOCH_START_MS - 86_400_000 };
  const reload = {
    wanted: false,
    now(): void {
      reload.wanted = true;
    },
  };
  const assembled = assemble(platform, config(world), {
    ...version,
    executable: EXECUTABLE,
    engine: world.engine,
    reload: () => reload.now(),
    ready: () => {},
  });
  if (!assembled.ok) {
    world.observer.failed(world, assembled.fault);
    return 'failed';
  }
  const stopping = new AbortController();
  const ended: { how: Ended } = { how: 'stop' };
  const end = (how: Ended): void => {
    ended.how = how;
    stopping.abort();
  };
  const handlers = controlHandlers({
    platform,
    assembled: assembled.value,
    agentVersion: version.version,
    startedAt: 0,
    async stop() {
      const done = await stopPrograms(assembled.value, true);
      end('stop-programs');
      return done;
    },
  });
  const running: Running = {
    life,
    assembled: assembled.value,
    handlers: world.observer.operator?.(world, handlers) ?? handlers,
    ready: false,
    stop: () => stopping.abort(),
    reload: () => reload.now(),
  };
  world.running = running;
  const started = await assembled.value.agent.start();
  if (!started.ok) {
    world.observer.failed(world, started.fault);
    return 'failed';
  }
  reload.now = () => void assembled.value.idle().then(() => end('reload'));
  if (reload.wanted) reload.now();
  running.ready = true;
  world.observer.ready(world);
  const disconnect = assembled.value.connect();
  await assembled.value.agent.run(stopping.signal);
  await disconnect();
  if (ended.how === 'stop-programs') await stopPrograms(assembled.value, false);
  assembled.value.base.starts.reset();
  assembled.value.close();
  return ended.how;
}

/** The process of the agent ends here and now; programs run on. */
export function endAgent(world: World): void {
  const { life } = world.steps;
  if (life) world.processes.endAgent(life);
  world.running = null;
}

/** After a cut has struck: what is left of the device, without an agent. */
export function fall(world: World, kind: CutKind): void {
  const { steps: stepping, processes, time } = world;
  world.cuts += 1;
  endAgent(world);
  stepping.struck = null;
  stepping.life = null;
  if (kind === 'power') {
    processes.powerCut();
    const what = world.dice.split(`cut ${world.cuts} ${stepping.count}`);
    const loss: Loss = world.loss ?? (what.oneIn(2) ? 'all' : 'any');
    world.disk.cut(what, loss);
    world.bootedAt = time.now;
  }
  world.observer.cut(world, kind);
}

export interface Until {
  readonly ms: number;
  readonly holds?: () => boolean;
}

/** Lets time pass; a cut that strikes is followed by a new start after a moment. */
export function pass(world: World, { ms, holds = () => false }: Until): boolean {
  const end = world.time.now + ms;
  const settle = (): void => {
    const { struck, life } = world.steps;
    if (struck !== null) fall(world, struck);
    // The service manager starts an agent that has ended again.
    if ((life === null || life.dead || struck !== null) && !world.restarting) {
      world.restarting = true;
      const { startsAfterMs } = world;
      world.startsAfterMs = STARTS_AFTER_MS;
      world.time.after(startsAfterMs, () => {
        world.restarting = false;
        boot(world);
      });
    }
  };
  settle();
  while (!holds()) {
    const more = world.time.step(end);
    settle();
    if (!more) return holds();
  }
  return true;
}
