/**
 * One device of a plant: the compiled executable as an agent, with configuration, store, sockets and
 * targets in a folder of its own. Its condition is read over the status socket with curl's means
 * (HTTP over a unix socket), from its files, and from its signed status (status-watch.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ExplainView, HistoryView, StatusView } from '#control/api.ts';
import { type Ended, endChild, type RunOptions, run } from './command.ts';
import { eventually } from './eventually.ts';
import { executable } from './parts.ts';
import type { Report, StatusWatch } from './status-watch.ts';

/** The compiled executable; empty where it has not been built. */
export const holdfast = executable() ?? '';

/** What a device has of its plant. */
export interface Site {
  readonly folder: string;
  /** the root document */
  readonly root: string;
  readonly registry: string;
  readonly mqtt: string;
  readonly watch: StatusWatch;
}

type Settings = Readonly<Record<string, unknown>>;

export interface DeviceOptions {
  readonly channel?: string;
  /** keys of agent.yaml that replace those of the harness; undefined takes one out */
  readonly settings?: Settings;
  /** what stands before the executable: faketime, unshare, strace */
  readonly wrap?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Device {
  readonly id: string;
  readonly folder: string;
  /** the one target root */
  readonly opt: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly configFile: string;
  readonly config: Settings;
  /** Writes agent.yaml again with these keys replaced. */
  configure(settings: Settings): void;
  /** Starts the agent and waits until its status says ready. */
  start(options?: Pick<DeviceOptions, 'wrap' | 'env'>): Promise<void>;
  /** Waits until the link to the broker is up: what is sent before and not retained is lost. */
  linked(): Promise<void>;
  /** Starts it and does not wait. */
  launch(options?: Pick<DeviceOptions, 'wrap' | 'env'>): ChildProcess;
  /** Ends the agent, its programs run on. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  pid(): number;
  status(): Promise<StatusView>;
  explain(): Promise<ExplainView>;
  history(): Promise<readonly HistoryView[]>;
  /** A local command, with --run-dir. */
  command(args: readonly string[], options?: RunOptions): Promise<Ended>;
  /** Until this state is applied and nothing is under way; from the socket. */
  applied(point: string): Promise<void>;
  /** Until the signed status says so. */
  reports(what: string, holds: (report: Report) => boolean): Promise<Report>;
  allReports(): readonly Report[];
  /** what the agent logged so far */
  log(): string;
  /** entries below a folder: kind, mode, content */
  tree(folder?: string): Readonly<Record<string, string>>;
  read(path: string): string;
  /** Ends agent and programs and removes the folder. */
  remove(): Promise<void>;
}

export function makeDevice(plant: Site, id: string, options: DeviceOptions): Device {
  const folder = join(plant.folder, id);
  const [opt, stateDir, runDir] = [join(folder, 'opt'), join(folder, 'state'), join(folder, 'run')];
  const configFile = join(folder, 'agent.yaml');
  mkdirSync(opt, { recursive: true });
  let config = { ...settingsOf(plant, id, { opt, stateDir, runDir, ...options }) };
  let child: ChildProcess | null = null;
  let log = '';
  const device: Device = {
    ...{ id, folder, opt, stateDir, runDir, configFile },
    get config() {
      return config;
    },
    configure(settings) {
      config = { ...config, ...settings };
      writeFileSync(configFile, JSON.stringify(config, null, 2));
    },
    launch(how = options) {
      const command = [...(how.wrap ?? []), holdfast, 'agent', '--config', configFile];
      const env = { PATH: process.env.PATH ?? '', ...how.env };
      child = spawn(command[0] ?? '', command.slice(1), {
        env,
        cwd: '/',
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (text) => {
          log += text;
        });
      return child;
    },
    async start(how) {
      const started = device.launch(how);
      await eventually(`${id} is ready`, async () => {
        if (started.exitCode !== null) throw new Error(`the agent ended\n${log.slice(-2000)}`);
        return (await device.status().catch(() => null))?.agent.ready;
      });
    },
    async stop(signal = 'SIGTERM') {
      if (child) await endChild(child, signal);
      child = null;
    },
    pid: () => child?.pid ?? 0,
    status: () => ask<StatusView>(runDir, '/v1/status'),
    explain: () => ask<ExplainView>(runDir, '/v1/explain'),
    history: () => ask<readonly HistoryView[]>(runDir, '/v1/history?limit=50'),
    command: (args, how) => run([holdfast, ...args, '--run-dir', runDir], how),
    async linked() {
      await eventually(`${id} is linked`, async () => {
        const status = await device.status().catch(() => null);
        return status?.mqtt?.state === 'up';
      });
    },
    async applied(point) {
      const seen = { last: '' };
      await eventually(`${id} applies ${point}`, async () => {
        const [channel] = (await device.status().catch(() => null))?.channels ?? [];
        seen.last = JSON.stringify(channel);
        return channel?.applied?.point === point && channel.phase === 'idle';
      }).catch((error) => {
        throw new Error(`${error}; ${seen.last}\n${log.slice(-1500)}`);
      });
    },
    reports: (what, holds) => plant.watch.until(id, what, holds),
    allReports: () => plant.watch.all(id),
    log: () => log,
    tree: (below = opt) => treeOf(below),
    read: (path) => readFileSync(join(opt, path), 'utf8'),
    async remove() {
      await device.stop('SIGKILL');
      // What stood before the executable may have started it as another process.
      endAll(() => processesWith('cmdline', configFile));
      endAll(() => programsOf(stateDir));
      rmSync(folder, { recursive: true, force: true });
    },
  };
  device.configure(options.settings ?? {});
  return device;
}

function settingsOf(
  plant: Site,
  id: string,
  at: { opt: string; stateDir: string; runDir: string; channel?: string },
): Settings {
  return {
    apiVersion: 'holdfast/v1',
    kind: 'Agent',
    device: { id },
    stateDir: at.stateDir,
    runDir: at.runDir,
    trust: { root: plant.root, allowDemo: true },
    channels: [{ name: at.channel ?? 'canary', allow: { roots: [at.opt] } }],
    registries: [{ url: plant.registry }],
    mqtt: { url: plant.mqtt },
    nudges: { perMinute: 600 },
    runtimes: { process: { allowRoot: true } },
    keep: { reserve: '1Mi' },
    log: { level: 'debug' },
  };
}

async function ask<T>(runDir: string, path: string): Promise<T> {
  const answer = await fetch(`http://holdfast${path}`, { unix: join(runDir, 'status.sock') });
  if (!answer.ok) throw new Error(`${path}: HTTP ${answer.status} ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Relative path → kind, mode, owner and SHA-256 of the content: what "byte-identical" compares. */
export function treeOf(folder: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (path: string) => {
    for (const name of readdirSync(join(folder, path)).sort()) {
      const below = path === '' ? name : `${path}/${name}`;
      const stat = lstatSync(join(folder, below));
      const mode = (stat.mode & 0o7777).toString(8);
      if (stat.isSymbolicLink()) found[below] = `link ${readlinkSync(join(folder, below))}`;
      else if (stat.isDirectory()) {
        found[below] = `directory ${mode}`;
        visit(below);
      } else if (stat.isFile()) {
        const hash = createHash('sha256')
          .update(readFileSync(join(folder, below)))
          .digest('hex');
        found[below] = `file ${mode} ${stat.uid} ${hash}`;
      } else found[below] = 'other';
    }
  };
  visit('');
  return found;
}

/** The programs of a store, by the mark in their environment. */
export function programsOf(stateDir: string): readonly number[] {
  const id = (() => {
    try {
      return readFileSync(join(stateDir, 'store-id'), 'utf8').trim();
    } catch {
      return null;
    }
  })();
  if (id === null) return [];
  return processesWith('environ', `HOLDFAST_INSTANCE=${id}/`);
}

function processesWith(file: 'environ' | 'cmdline', text: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/${file}`, 'utf8').includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}

function endAll(living: () => readonly number[]): void {
  // A shell whose child is killed first may start another: until nobody is left.
  for (let left = living(); left.length > 0; left = living()) {
    for (const pid of left) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended by itself
      }
    }
  }
}
