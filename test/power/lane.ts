/**
 * One device on a disk that can lose its power: what is published for it, how it starts, how everything
 * that a power cut would have ended is ended, when it has settled.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LanePlace, LaneState } from '../crash/lane-states.ts';
import { programsOf } from '../crash/lane-witness.ts';
import { endChild } from '../support/command.ts';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { makePlant, type Parts, type Plant } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import type { Report } from '../support/status-watch.ts';
import { makeImage, makePlatters, type Platters, type PoweredDisk, powerUp } from './rig.ts';

export interface PowerLane {
  readonly plant: Plant;
  readonly device: Device;
  readonly place: LanePlace;
  readonly mount: string;
  /** what the disk held at first */
  readonly image: string;
  readonly platters: Platters;
  readonly random: () => number;
  disk: PoweredDisk | null;
  child: ChildProcess | null;
  /** where the log of this start begins, in that of all */
  bootAt: number;
  /** in force by what was published and reported */
  state: LaneState | null;
  number: number;
}

const CHANNEL = 'canary';
/** what the disk's process holds in memory; no larger than a few generations need */
const DISK_MIB = 24;
/** of the big file; the disk keeps a few generations of it */
const BULK_BYTES = [5_000, 600_000] as const;
const SETTLES_WITHIN = 6;

/** @param log  of the disk, a name in the plant's folder */
export async function makePowerLane(
  parts: Parts,
  { index, seed, log }: { readonly index: number; readonly seed: number; readonly log?: string },
): Promise<PowerLane> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const mount = join(plant.folder, 'disk');
  const allow = { roots: [join(mount, 'opt')] };
  const settings = {
    ...{ stateDir: join(mount, 'state'), channels: [{ name: CHANNEL, allow }] },
    ...{ log: { level: 'info' }, schedule: { interval: '1h' } },
  };
  const device = plant.device(`power-${index}`, { channel: CHANNEL, settings });
  const place: LanePlace = {
    channel: CHANNEL,
    line: join(mount, 'opt/line'),
    port: await freePort(),
    mark: `power-${process.pid}-${index}-${seed}`,
    starts: join(plant.folder, 'keeper-starts'),
  };
  const image = join(plant.folder, 'disk.img');
  await makeImage(image, DISK_MIB);
  const { unit } = seededRandom(seed * 31 + index);
  const platters = makePlatters(image, log && join(plant.folder, log));
  const made = { plant, device, place, mount, image, platters, random: unit };
  const lane: PowerLane = { ...made, disk: null, child: null, bootAt: 0, state: null, number: 0 };
  return lane;
}

export async function endLane(lane: PowerLane): Promise<void> {
  await darkness(lane);
  await lane.platters.end();
  await lane.plant.remove();
}

/** Everything that a power cut would not have left running. */
export async function darkness(lane: PowerLane): Promise<void> {
  if (lane.child) await endChild(lane.child, 'SIGKILL');
  lane.child = null;
  await eventually('no program of the lane runs', () => {
    const left = programsOf(lane.place);
    for (const { pid } of left) process.kill(pid, 'SIGKILL');
    return left.length === 0;
  });
  await lane.disk?.remove();
  lane.disk = null;
  rmSync(lane.device.runDir, { recursive: true, force: true });
  rmSync(lane.place.starts, { force: true });
}

export async function boot(lane: PowerLane, options?: string): Promise<void> {
  const { plant, mount, platters } = lane;
  const place = { folder: plant.folder, mount, ...(options === undefined ? {} : { options }) };
  lane.disk = await powerUp(platters, place);
  mkdirSync(lane.place.line, { recursive: true });
  // A device has these two before the agent is installed.
  mkdirSync(join(mount, 'state'), { recursive: true, mode: 0o700 });
  lane.bootAt = lane.device.log().length;
  lane.child = lane.device.launch();
}

/** The next one to publish: files, a program or both; some that can never be proven. */
export function nextState(lane: PowerLane): LaneState {
  lane.number += 1;
  const { number, random, state } = lane;
  const fresh = `v${number}`;
  const bulk = BULK_BYTES[random() < 0.4 ? 1 : 0];
  if (state === null) return { settings: fresh, server: fresh, bulk, broken: 'nothing' };
  const kind = random();
  const fails = random() < 0.15;
  const how = (['hangs', 'ends', 'missing'] as const)[Math.floor(random() * 3)] ?? 'hangs';
  return {
    settings: kind < 0.66 ? fresh : state.settings,
    server: fails || kind > 0.33 ? fresh : state.server,
    bulk: kind < 0.66 ? bulk : state.bulk,
    broken: fails ? how : 'nothing',
  };
}

export async function settled(lane: PowerLane, point: string, after: bigint): Promise<Report> {
  const holds = ({ order, phase, desired, applied, refused, health }: Report) =>
    order[0] > after &&
    phase === 'IDLE' &&
    desired === point &&
    (applied === point || !!refused) &&
    Object.values(health).every((each) => each !== 'starting');
  for (let turn = 1; ; turn += 1) {
    try {
      return await lane.device.reports(`${point} settled`, holds);
    } catch (error) {
      const ended = lane.child === null || lane.child.exitCode !== null;
      if (ended || turn === SETTLES_WITHIN) throw error;
    }
  }
}
