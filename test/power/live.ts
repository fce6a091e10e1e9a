/**
 * Power cuts under the compiled agent, live: changes by real registry and broker, files and programs
 * on an ext4 whose disk forgets what was not flushed. After each cut: no file torn; at ready the old
 * or the new state by the disk and the process table; nothing that a delivered status had said is
 * gone; and it settles where it should. The looks use no code of the agent (test/crash/lane-witness).
 *
 * Run as a program: `live.ts CUTS SEED LANES [MOUNT-OPTIONS]`; the last line is the tally in JSON.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LanePlace, LaneState } from '../crash/lane-states.ts';
import { writeState } from '../crash/lane-states.ts';
import {
  fileFaults,
  programFaults,
  programsOf,
  tornFiles,
  versionFaults,
} from '../crash/lane-witness.ts';
import { contentOf, phaseAtKill } from '../crash/phase-at-kill.ts';
import { endChild } from '../support/command.ts';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { makePlant, type Parts, type Plant, startParts } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import type { Report } from '../support/status-watch.ts';
import { makeImage, type PoweredDisk, powerUp } from './rig.ts';
import { stopOnSignal } from './stop.ts';

export interface LiveAsked {
  readonly cuts: number;
  readonly seed: number;
  readonly lanes: number;
  /** of mount(8) */
  readonly options?: string;
  /** stops a lane at its first bad outcome: for controls */
  readonly untilBad?: boolean;
  say?(line: string): void;
  /** asked between two changes */
  stopped?(): boolean;
}

export interface LiveTally {
  cuts: number;
  /** cuts that found the agent with a try open, by the last phase that it logged */
  readonly phases: Record<string, number>;
  /** seen whole between recovery and the next try */
  held: number;
  /** statuses that came in, each of which had to be true after the next cut */
  delivered: number;
  flushes: number;
  /** writes that had not been flushed when the power went, and cuts that found any */
  waiting: number;
  dirty: number;
  readonly bad: string[];
}

export interface PowerLane {
  readonly plant: Plant;
  readonly device: Device;
  readonly place: LanePlace;
  readonly mount: string;
  readonly image: string;
  readonly random: () => number;
  disk: PoweredDisk | null;
  child: ChildProcess | null;
  /** in force by what was published and reported */
  state: LaneState | null;
  number: number;
}

const CHANNEL = 'canary';
/** what is copied and written at each cut: no larger than a few generations need */
const DISK_MIB = 24;
/** of the big file; the disk keeps a few generations of it */
const BULK_BYTES = [5_000, 600_000] as const;
const CUT_WITHIN_MS = 1_200;
/** an apply is some 60 writes */
const CUT_WRITES = 70;
const SETTLES_WITHIN = 6;
/** the agent is held still meanwhile: only what it had started already can come */
const EXEC_MS = 5_000;

export async function makePowerLane(parts: Parts, index: number, seed: number): Promise<PowerLane> {
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
  const made = { plant, device, place, mount, image, random: unit };
  const lane: PowerLane = { ...made, disk: null, child: null, state: null, number: 0 };
  return lane;
}

export async function endLane(lane: PowerLane): Promise<void> {
  await darkness(lane);
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

export async function boot(lane: PowerLane, rig: { options?: string; log?: string }) {
  const { plant, mount, image } = lane;
  lane.disk = await powerUp(image, { folder: plant.folder, mount, ...rig });
  mkdirSync(lane.place.line, { recursive: true });
  // A device has these two before the agent is installed.
  mkdirSync(join(mount, 'state'), { recursive: true, mode: 0o700 });
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

/** One change with one cut, or two; what was found wrong. */
async function change(lane: PowerLane, asked: LiveAsked, tally: LiveTally): Promise<void> {
  const { device, plant, random } = lane;
  const before = lane.state;
  const next = nextState(lane);
  writeState(plant, lane.place, next);
  const offered = {
    digest: '',
    before,
    next,
    names: new Set(contentOf(join(lane.mount, 'state'))),
  };
  const cutting = random();
  const { point, stateDigest } = await plant.publish(CHANNEL);
  offered.digest = stateDigest.slice('sha256:'.length);
  let last = 0n;
  for (const _ of cutting < 0.15 ? [1, 2] : [1]) {
    const { newest, count } = await cut(lane, tally);
    last = newest?.order[0] ?? 0n;
    await boot(lane, asked.options === undefined ? {} : { options: asked.options });
    await atReady(lane, offered, tally);
    await kept(lane, newest, count);
  }
  const end = await settled(lane, point, last);
  const state = end.applied === point ? next : before;
  const faults = [...fileFaults(lane.place, state), ...(await programFaults(lane.place, state))];
  if ((end.applied === point) !== (next.broken === 'nothing')) {
    faults.push(`${point} ended ${end.applied === point ? 'applied' : end.refused?.code}`);
  }
  if (end.degraded) faults.push('the signed status says degraded');
  if (device.log().includes('"event":"store.quarantined"'))
    faults.push('the store was moved aside');
  if (faults.length > 0) throw new Error(faults.join('; '));
  lane.state = state;
}

/** By the clock, or in the middle of what the disk is asked to write. */
async function cut(lane: PowerLane, tally: LiveTally) {
  const { device, random } = lane;
  const to = join(lane.plant.folder, 'after.img');
  const seed = Math.floor(random() * 2 ** 31);
  const byClock = random() < 0.3;
  const delay = random() * (byClock ? CUT_WITHIN_MS : CUT_WITHIN_MS / 6);
  await new Promise((resolve) => setTimeout(resolve, delay));
  const writes = byClock ? 0 : 1 + Math.floor(random() * random() * CUT_WRITES);
  const count = await lane.disk?.cut(seed, to, writes);
  // What was said until now was committed before: the disk has not answered since.
  const told = device.allReports();
  const phase = [...device.log().matchAll(/"event":"phase","phase":"(\w+)"/g)].at(-1)?.[1];
  await darkness(lane);
  renameSync(to, lane.image);
  tally.cuts += 1;
  tally.phases[phase ?? 'none'] = (tally.phases[phase ?? 'none'] ?? 0) + 1;
  tally.flushes += count?.flushes ?? 0;
  tally.waiting += count?.waiting ?? 0;
  tally.dirty += count?.waiting ? 1 : 0;
  return { newest: told.at(-1), count: told.length };
}

interface Offered {
  digest: string;
  readonly before: LaneState | null;
  readonly next: LaneState;
  readonly names: ReadonlySet<string>;
}

async function atReady(lane: PowerLane, offered: Offered, tally: LiveTally): Promise<void> {
  const { place, child } = lane;
  const { before, next } = offered;
  const torn = tornFiles(place, [before, next]);
  if (torn.length > 0) throw new Error(`torn after the cut: ${torn.join(', ')}`);
  await started(child);
  child?.kill('SIGSTOP');
  try {
    const found = phaseAtKill(join(lane.mount, 'state'), offered.digest, offered.names);
    // The next try was quicker than the signal; the end is looked at all the same.
    if (['activating', 'undoing', 'stuck'].includes(found.phase)) return;
    const mayBeDown = next.broken === 'ends';
    const perState = () =>
      [before, next].map((state) => [
        ...fileFaults(place, state),
        ...(state === next && mayBeDown ? [] : versionFaults(place, state)),
      ]);
    // A program that was just started shows its environment only once it has begun to run.
    const whole = () => perState().some((each) => each.length === 0);
    if (!(await eventually('old or new', whole, EXEC_MS).catch(() => false))) {
      throw new Error(`at ready (${found.phase}) neither: ${JSON.stringify(perState())}`);
    }
    tally.held += 1;
  } finally {
    child?.kill('SIGCONT');
  }
}

function started(child: ChildProcess | null): Promise<void> {
  return new Promise((resolve, reject) => {
    child?.once('exit', () => reject(new Error('the agent ended before it was ready')));
    const line = '"event":"agent.started"';
    for (const stream of [child?.stdout, child?.stderr]) {
      // A line may come in two pieces.
      let seen = '';
      stream?.on('data', (text: Buffer) => {
        seen = `${seen.slice(-line.length)}${text}`;
        if (seen.includes(line)) resolve();
      });
    }
  });
}

/** The first status after the cut knows all that the newest one before it had told. */
async function kept(lane: PowerLane, newest: Report | undefined, count: number): Promise<void> {
  if (newest === undefined) return;
  const first = await lane.device.reports('a status after the cut', (report) => {
    return report.order[0] > newest.order[0] && lane.device.allReports().indexOf(report) >= count;
  });
  const lost = (['desired', 'applied'] as const).filter(
    (what) => sequenceOf(first[what]) < sequenceOf(newest[what]),
  );
  if (lost.length > 0) {
    const told = lost.map((what) => `${what} ${newest[what]}, now ${first[what] || 'none'}`);
    throw new Error(`acknowledged and lost: ${told.join(', ')}`);
  }
}

function sequenceOf(point: string): number {
  return Number(point.split('.')[1] ?? 0);
}

export async function cutLive(asked: LiveAsked): Promise<LiveTally> {
  const counts = { cuts: 0, held: 0, delivered: 0, flushes: 0, waiting: 0, dirty: 0 };
  const tally: LiveTally = { ...counts, phases: {}, bad: [] };
  const parts = await startParts();
  try {
    const lanes = Array.from({ length: asked.lanes }, (_, index) =>
      runLane(parts, index, asked, tally),
    );
    await Promise.all(lanes);
  } finally {
    await parts.remove();
  }
  return tally;
}

async function runLane(parts: Parts, index: number, asked: LiveAsked, tally: LiveTally) {
  // A lane that went wrong is no good any more: the next one begins with an empty disk.
  const goesOn = () => tally.cuts < asked.cuts && !asked.stopped?.();
  for (let again = 0; goesOn(); again += 1) {
    const lane = await makePowerLane(parts, index + asked.lanes * again, asked.seed);
    try {
      await boot(lane, asked.options === undefined ? {} : { options: asked.options });
      while (goesOn()) {
        await change(lane, asked, tally);
        if (tally.cuts % 50 === 0) asked.say?.(`${tally.cuts} cuts, ${tally.bad.length} bad`);
      }
    } catch (error) {
      tally.bad.push(`seed ${asked.seed}, lane ${index}, ${tally.cuts} cuts: ${error}`);
      asked.say?.(`${error}\n${lane.device.log().slice(-3_000)}`);
      if (asked.untilBad) return;
    } finally {
      tally.delivered += lane.device.allReports().length;
      await endLane(lane);
    }
  }
}

if (import.meta.main) {
  const [cuts = '20', seed = '1', lanes = '3', options = ''] = process.argv.slice(2);
  const tally = await cutLive({
    ...{ cuts: Number(cuts), seed: Number(seed), lanes: Number(lanes) },
    ...(options === '' ? {} : { options }),
    // A control has done its work with the first loss.
    untilBad: process.env.HOLDFAST_POWER_CONTROL === '1',
    say: (line) => console.error(line),
    stopped: stopOnSignal(),
  });
  console.log(JSON.stringify(tally));
  process.exit(0);
}
