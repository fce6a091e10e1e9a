/**
 * The log of one disk, replayed into what it may hold after a cut between any two flushes: all that
 * was flushed, and of what came after it some writes, some torn. Each image is mounted; every file is
 * whole; the store opens through its guard and has what had been told outside. Some are started: the
 * compiled agent, without any network, is at ready in the old or the new state.
 *
 * Run as a program: `replay.ts IMAGES SEED CHANGES`; the last line is the tally in JSON.
 */
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeState } from '../crash/lane-states.ts';
import { fileFaults, programsOf, versionFaults } from '../crash/lane-witness.ts';
import { endChild } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { type Parts, startParts } from '../support/plant.ts';
import { readLog } from './disk-log.ts';
import type { Outside } from './images.ts';
import type { Case, Judged } from './judge-child.ts';
import { type Judge, makeJudge } from './judges.ts';
import {
  boot,
  darkness,
  endLane,
  makePowerLane,
  nextState,
  type PowerLane,
  settled,
} from './lane.ts';
import { stopOnSignal } from './stop.ts';

export interface ReplayAsked {
  readonly images: number;
  readonly seed: number;
  /** published while the log was written */
  readonly changes: number;
  /** every so many images are started */
  readonly startEvery: number;
  say?(line: string): void;
  /** asked between two images */
  stopped?(): boolean;
}

export interface ReplayTally {
  images: number;
  started: number;
  /** of which the superblock was torn, and its backup taken */
  mended: number;
  flushes: number;
  writes: number;
  readonly bad: string[];
}

const CHANNEL = 'canary';
/** one of them starts agents as well: the configuration of an agent names one mount */
const JUDGES = Math.max(2, availableParallelism()) + 1;
/** a network of its own, with nothing but itself in it */
const ALONE = 'ip link set lo up && exec "$@"';
const OFFLINE = ['unshare', '--net', 'sh', '-c', ALONE, 'sh'];

interface Recording {
  readonly lane: PowerLane;
  /** files */
  readonly base: string;
  readonly log: string;
}

/** Changes without any cut; what is told outside is marked in the log after it was told. */
async function record(parts: Parts, { seed, changes }: ReplayAsked): Promise<Recording> {
  const lane = await makePowerLane(parts, { index: 0, seed, log: 'disk.log' });
  const base = join(lane.plant.folder, 'base.img');
  cpSync(lane.image, base);
  const log = join(lane.plant.folder, 'disk.log');
  await boot(lane);
  const mark = async (what: object) => await lane.platters.mark(JSON.stringify(what));
  for (let number = 0; number < changes; number += 1) {
    const next = nextState(lane);
    writeState(lane.plant, lane.place, next);
    await mark({ offered: next, sequence: number + 1 });
    const { point } = await lane.plant.publish(CHANNEL);
    const end = await settled(lane, point, 0n);
    const applied = end.applied === point;
    await mark({ told: number + 1, applied, boot: Number(end.order[0]) });
    if (applied) lane.state = next;
  }
  await darkness(lane);
  // Every judge has to read the same log.
  await lane.platters.end();
  return { lane, base, log };
}

export async function replay(asked: ReplayAsked): Promise<ReplayTally> {
  const counts = { images: 0, started: 0, mended: 0, flushes: 0, writes: 0 };
  const tally: ReplayTally = { ...counts, bad: [] };
  const parts = await startParts();
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = mkdtempSync(join(memory, 'holdfast-replay-'));
  try {
    const { lane, ...recorded } = await record(parts, asked);
    try {
      for (const { kind } of readLog(readFileSync(recorded.log))) {
        if (kind === 'flush') tally.flushes += 1;
        if (kind === 'write') tally.writes += 1;
      }
      const { images, seed } = asked;
      const given: Case = { ...recorded, images, seed, place: lane.place };
      const file = join(folder, 'case.json');
      writeFileSync(file, JSON.stringify(given));
      await judgeAll({ lane, asked, tally, next: turnsOf(asked) }, file, folder);
    } finally {
      await endLane(lane);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await parts.remove();
  }
  return tally;
}

interface Bench {
  readonly lane: PowerLane;
  readonly asked: ReplayAsked;
  readonly tally: ReplayTally;
  readonly next: Turns;
}

/** Indexes of images, to look at and to start: each is given once, in rising order. */
interface Turns {
  look(): number;
  start(): number;
}

function turnsOf({ startEvery }: ReplayAsked): Turns {
  let [looks, starts] = [0, startEvery - 1];
  return {
    look() {
      if (looks % startEvery === startEvery - 1) looks += 1;
      looks += 1;
      return looks - 1;
    },
    start() {
      starts += startEvery;
      return starts - startEvery;
    },
  };
}

async function judgeAll(bench: Bench, file: string, folder: string): Promise<void> {
  const running = Array.from({ length: JUDGES }, async (_, index) => {
    const judge = makeJudge(file, join(folder, `judge-${index}`));
    try {
      await judgeSome(bench, judge, index === 0 ? startNext : lookNext);
    } finally {
      await judge.end();
    }
  });
  await Promise.all(running);
}

/** false: there are no more images */
type Step = (bench: Bench, judge: Judge) => Promise<boolean>;

async function judgeSome(bench: Bench, judge: Judge, step: Step): Promise<void> {
  const { asked, tally } = bench;
  while (!asked.stopped?.() && (await step(bench, judge))) {
    if (tally.images % 500 === 0) {
      asked.say?.(`${tally.images} images, ${tally.bad.length} bad`);
    }
  }
}

const lookNext: Step = async (bench, judge) => {
  const index = bench.next.look();
  const found = await judge.look(index);
  return counted(bench, index, found, []);
};

/** Looked at where the agent expects it, and started. */
const startNext: Step = async (bench, judge) => {
  const { lane, tally, next } = bench;
  const index = next.start();
  mkdirSync(lane.mount, { recursive: true });
  const found = await judge.mount(index, lane.mount);
  const isUp = found?.outside && !found.faults.includes('it cannot be mounted');
  const more = isUp && found.outside ? await startedOn(lane, found.outside) : [];
  if (found && !found.end) tally.started += 1;
  if (found) await judge.unmount();
  return counted(bench, index, found, more);
};

function counted(
  { asked, tally }: Bench,
  index: number,
  found: Judged | null,
  more: readonly string[],
): boolean {
  if (found?.end) return false;
  tally.images += 1;
  if (found?.isMended) tally.mended += 1;
  const faults = found ? [...found.faults, ...more] : ['the process that looked at it died'];
  if (faults.length > 0) {
    const at = found ? `entry ${found.at}, ` : '';
    const text = `seed ${asked.seed}, ${at}image ${index}: ${faults.join('; ')}`;
    tally.bad.push(text);
    asked.say?.(text);
  }
  return true;
}

/** A start without a network: old or new, by the disk and the process table. */
async function startedOn(lane: PowerLane, { applied, offered }: Outside) {
  const { place, device, plant } = lane;
  rmSync(device.runDir, { recursive: true, force: true });
  const child = device.launch({ wrap: OFFLINE });
  lane.child = child;
  try {
    let log = '';
    child.stderr?.on('data', (text) => {
      log += text;
    });
    child.stdout?.on('data', (text) => {
      log += text;
    });
    await eventually(
      'the agent is ready',
      () => log.includes('"event":"agent.started"') || child.exitCode !== null,
      60_000,
    );
    if (child.exitCode !== null) return [`the agent ended: ${log.slice(-300)}`];
    const states = [applied.state, ...offered.map(({ state }) => state)];
    const perState = () =>
      states.map((state) => {
        const mayBeDown = state?.broken === 'ends' || state?.broken === 'missing';
        return [...fileFaults(place, state), ...(mayBeDown ? [] : versionFaults(place, state))];
      });
    const first = perState();
    // A try that is resumed from the disk ends in one of them as well.
    if (first.some((each) => each.length === 0)) return [];
    const whole = () => perState().some((each) => each.length === 0);
    const later = await eventually('one of the states', whole, 20_000).catch(() => false);
    return later ? [] : [`neither old nor new: ${JSON.stringify(first)}`];
  } finally {
    await endChild(child, 'SIGKILL');
    lane.child = null;
    await eventually('no program runs', () => {
      const left = programsOf(place);
      for (const { pid } of left) process.kill(pid, 'SIGKILL');
      return left.length === 0;
    });
    rmSync(join(plant.folder, 'keeper-starts'), { force: true });
  }
}

if (import.meta.main) {
  const [images = '200', seed = '1', changes = '12'] = process.argv.slice(2);
  const tally = await replay({
    ...{ images: Number(images), seed: Number(seed), changes: Number(changes), startEvery: 50 },
    say: (line) => console.error(line),
    stopped: stopOnSignal(),
  });
  console.log(JSON.stringify(tally));
  process.exit(0);
}
