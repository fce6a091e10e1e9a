/**
 * A plant for end-to-end tests: a real broker and registry, a fleet folder whose publisher is the
 * compiled executable, and devices (device.ts). Everything lies in one temporary folder and all that
 * was started is stopped by `remove`.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Ended, type RunOptions, run } from './command.ts';
import { type Device, type DeviceOptions, holdfast, makeDevice } from './device.ts';
import { dockerRegistry, type RealRegistry, startRegistry } from './docker-registry.ts';
import { clients, type Mosquitto, mosquitto, startMosquitto } from './mosquitto.ts';
import { type StatusWatch, watchStatus } from './status-watch.ts';

/** Why these tests cannot run here; null: they can. */
export const missing: string | null =
  holdfast === ''
    ? 'npm run build has not been run'
    : !(mosquitto && clients)
      ? 'no mosquitto'
      : dockerRegistry === null
        ? 'no docker-registry'
        : null;

/** One broker and one registry for all plants of a test file. */
export interface Parts {
  readonly broker: Mosquitto;
  readonly registry: RealRegistry;
  remove(): Promise<void>;
}

export async function startParts(): Promise<Parts> {
  const [broker, registry] = await Promise.all([startMosquitto(), startRegistry()]);
  return {
    broker,
    registry,
    async remove() {
      await Promise.all([broker.remove(), registry.remove()]);
    },
  };
}

export interface PlantOptions {
  /** of the registry that devices and publisher use; default: that of the parts */
  readonly registry?: string;
  readonly mqtt?: string;
  readonly channels?: readonly string[];
  /** more arguments of `holdfast init` */
  readonly init?: readonly string[];
  /** how mosquitto_sub reaches the broker; default: as anybody */
  readonly watch?: readonly string[];
  /** keys of fleet.yaml that replace those that init wrote */
  readonly settings?: Readonly<Record<string, unknown>>;
}

export interface Published {
  readonly channel: string;
  readonly point: string;
  readonly stateDigest: string;
  readonly manifestDigest: string;
  readonly signed: string;
  readonly nudged: boolean;
}

export interface Plant {
  readonly folder: string;
  readonly fleetFolder: string;
  /** 32 hex digits */
  readonly fleet: string;
  readonly root: string;
  readonly topicRoot: string;
  readonly registry: string;
  readonly mqtt: string;
  readonly watch: StatusWatch;
  /** A file below channels/CHANNEL; `mode` 0644 unless given. */
  write(channel: string, path: string, text: string | Uint8Array, mode?: number): void;
  unwrite(channel: string, path: string): void;
  /** A deployment document with its id; `spec` in JSON, which YAML reads. */
  deploy(channel: string, id: string, spec: unknown): void;
  /** `publish` with -o json; throws when it ends otherwise than with 0. */
  publish(channel: string, ...flags: readonly string[]): Promise<Published>;
  /** Any command of the publisher, in the fleet folder. */
  holdfast(args: readonly string[], options?: RunOptions): Promise<Ended>;
  device(id: string, options?: DeviceOptions): Device;
  remove(): Promise<void>;
}

let made = 0;

export async function makePlant(parts: Parts, options: PlantOptions = {}): Promise<Plant> {
  made += 1;
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-plant-'));
  const fleetFolder = join(folder, 'plant');
  const { channels = ['canary', 'stable'] } = options;
  const registry = options.registry ?? `http://127.0.0.1:${parts.registry.port}/plant${made}/state`;
  const mqtt = options.mqtt ?? `mqtt://127.0.0.1:${parts.broker.port}`;
  const named = channels.flatMap((name) => ['--channel', name]);
  const flags = ['--demo', '--no-passphrase', '--no-examples', ...named, ...(options.init ?? [])];
  const init = ['init', fleetFolder, ...flags, '--registry', registry, '--mqtt', mqtt];
  const ended = await run([holdfast, ...init, '-o', 'json']);
  if (ended.code !== 0) throw new Error(ended.err);
  const { fleet } = JSON.parse(ended.out) as { readonly fleet: string };
  const signed = Object.fromEntries(channels.map((name) => [name, { signers: [name] }]));
  const addresses = { registry: { url: registry }, mqtt: { url: mqtt } };
  const written = { ...addresses, channels: signed, ...options.settings };
  const head = { apiVersion: 'holdfast/v1', kind: 'Fleet', name: 'plant' };
  if (options.settings) {
    writeFileSync(join(fleetFolder, 'fleet.yaml'), JSON.stringify({ ...head, ...written }));
  }
  const topicRoot = `holdfast/v1/${fleet}`;
  const watch = watchStatus(options.watch ?? ['-p', String(parts.broker.port)], topicRoot);
  const devices: Device[] = [];
  const at = (channel: string, path: string) => join(fleetFolder, 'channels', channel, path);
  const plant: Plant = {
    ...{ folder, fleetFolder, fleet, topicRoot, registry, mqtt, watch },
    root: join(fleetFolder, 'root/1.root.json'),
    write(channel, path, text, mode = 0o644) {
      mkdirSync(dirname(at(channel, path)), { recursive: true });
      writeFileSync(at(channel, path), text);
      chmodSync(at(channel, path), mode);
    },
    unwrite: (channel, path) => rmSync(at(channel, path), { recursive: true }),
    deploy(channel, id, spec) {
      const document = { apiVersion: 'holdfast/v1', kind: 'Deployment', id, spec };
      plant.write(channel, `${id}.yaml`, JSON.stringify(document, null, 2));
    },
    async publish(channel, ...args) {
      const told = await plant.holdfast(['publish', channel, '-y', '-o', 'json', ...args]);
      if (told.code !== 0) throw new Error(`publish ended with ${told.code}\n${told.err}`);
      return JSON.parse(told.out) as Published;
    },
    holdfast: (args, how) => run([holdfast, ...args], { cwd: fleetFolder, ...how }),
    device(id, how = {}) {
      const device = makeDevice(plant, id, how);
      devices.push(device);
      return device;
    },
    async remove() {
      await Promise.all(devices.map((device) => device.remove()));
      await watch.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return plant;
}

/** A `files` profile: each entry a blob (beside the document) and its target. */
export function filesSpec(
  components: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  more: Readonly<Record<string, unknown>> = {},
): unknown {
  const { hooks, ...rest } = more;
  const list = Object.entries(components).map(([name, properties]) => ({ name, properties }));
  const profile = { type: 'files', components: list, ...(hooks ? { hooks } : {}) };
  return { ...rest, deploymentProfile: profile };
}

/** A `process` profile with one program. */
export function processSpec(
  properties: Readonly<Record<string, unknown>>,
  more: Readonly<Record<string, unknown>> = {},
): unknown {
  const quick = { aliveFor: '100ms', stop: { timeout: '2s' }, ...properties };
  const components = [{ name: 'main', properties: quick }];
  return { ...more, deploymentProfile: { type: 'process', components } };
}

/**
 * A program that appends `VERSION PID` to a file when it starts, and `end VERSION` when it is told
 * to stop; then waits.
 */
export function programText(version: string, journal: string): string {
  return `#!/bin/sh
trap 'echo "end ${version}" >> ${journal}; exit 0' TERM
echo "${version} $$" >> ${journal}
echo "hello from ${version}"
while :; do sleep 60 & wait $!; done
`;
}

export function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, -1);
  } catch {
    return [];
  }
}
