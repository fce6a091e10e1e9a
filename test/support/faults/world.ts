/**
 * Faults as operators meet them, planted into real parts: the compiled agent, Mosquitto and
 * docker-registry. Each case says which words name its cause and its cure; judge.ts reads what
 * `explain` and `doctor` say and compares.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, makeCa } from '../certificates.ts';
import type { Device } from '../device.ts';
import { eventually } from '../eventually.ts';
import { filesSpec, makePlant, type Parts, type Plant, type PlantOptions } from '../plant.ts';

export interface Fault {
  readonly name: string;
  /** why it cannot be planted here; null: it can */
  readonly lacking?: string | null;
  /** both `explain` and `doctor` have to say it */
  readonly cause: RegExp;
  readonly cure: RegExp;
  /** what stands before `explain` and `doctor` as it does before the agent */
  readonly wrap?: readonly string[];
  /** Plants it; afterwards the device is asked. */
  plant(world: World): Promise<Device>;
}

export interface World {
  readonly parts: Parts;
  /** scratch */
  readonly folder: string;
  readonly ca: CertificateFiles;
  readonly otherCa: CertificateFiles;
  /** one plant whose channel canary has a state; cases that publish open their own */
  readonly shared: Plant;
  plant(options?: PlantOptions): Promise<Plant>;
  /** a file only its owner reads */
  secret(name: string, text: string): string;
  /** Runs when the case has been judged. */
  later(end: () => unknown): void;
}

export interface OpenWorld {
  readonly world: World;
  /** Ends what the last case left: `later`. */
  tidy(): Promise<void>;
  remove(): Promise<void>;
}

export async function openWorld(parts: Parts): Promise<OpenWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-faults-'));
  const plants: Plant[] = [];
  const ends: (() => unknown)[] = [];
  const plant = async (options?: PlantOptions) => {
    const made = await makePlant(parts, { channels: ['canary', 'stable'], ...options });
    plants.push(made);
    return made;
  };
  const shared = await plant();
  publishFile(shared, '/opt/holdfast-faults/conf', 'shared');
  await shared.publish('canary');
  const world: World = {
    ...{ parts, folder, shared, plant },
    ca: makeCa(folder, 'plant-ca'),
    otherCa: makeCa(folder, 'other-ca'),
    secret(name, text) {
      const file = join(folder, name);
      writeFileSync(file, `${text}\n`);
      chmodSync(file, 0o600);
      return file;
    },
    later: (end) => void ends.push(end),
  };
  async function tidy(): Promise<void> {
    for (const end of ends.splice(0).reverse()) await end();
  }
  return {
    world,
    tidy,
    async remove() {
      await tidy();
      await Promise.all(plants.map((one) => one.remove()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** One deployment `conf` with one file at this target. */
export function publishFile(plant: Plant, target: string, text: string, channel = 'canary'): void {
  plant.write(channel, 'conf', `${text}\n`);
  plant.deploy(channel, 'conf', filesSpec({ conf: { blob: 'conf', target } }));
}

/** A device of a plant with one applied state, and only this registry. */
export async function settled(plant: Plant, id: string): Promise<Device> {
  const device = plant.device(id, { settings: { mqtt: undefined } });
  publishFile(plant, join(device.opt, 'conf'), 'one');
  const { point } = await plant.publish('canary');
  await device.start();
  await device.applied(point);
  return device;
}

/** Starts it, and waits until it has looked with what it was configured with. */
export async function looked(device: Device, how?: Parameters<Device['start']>[0]): Promise<void> {
  await device.start(how);
  await device.command(['apply']);
}

/** New settings for a running device, and a look with them. */
export async function reconfigured(
  device: Device,
  settings: Readonly<Record<string, unknown>>,
): Promise<void> {
  await device.stop();
  device.configure(settings);
  await looked(device);
}

/** Starts a device that cannot start. */
export async function failsToStart(device: Device): Promise<void> {
  const child = device.launch();
  await eventually('the agent ends', () => child.exitCode !== null);
}
