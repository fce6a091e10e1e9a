/**
 * The log of one disk, replayed into what it may hold after a cut between any two flushes: all that
 * was flushed, and of what came after it some writes, some torn. Each image is mounted; every file is
 * whole; the store opens through its guard and has what had been told outside. Some are started: the
 * compiled agent, without any network, is at ready in the old or the new state.
 *
 * Run as a program: `replay.ts IMAGES SEED CHANGES`; the last line is the tally in JSON.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LaneState } from '../crash/lane-states.ts';
import { writeState } from '../crash/lane-states.ts';
import { fileFaults, programsOf, tornFiles, versionFaults } from '../crash/lane-witness.ts';
import { endChild } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { type Parts, startParts } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { makeDisk } from './disk.ts';
import { type DiskEntry, readLog } from './disk-log.ts';
import {
  boot,
  darkness,
  endLane,
  makePowerLane,
  nextState,
  type PowerLane,
  settled,
} from './live.ts';
import type { Look } from './look-child.ts';
import { makeStand, type Stand } from './mounting.ts';
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
/** images that are looked at beside each other */
const STANDS = 6;
/** cuts at one place until one gives what no other gave; where nothing waits there is but one */
const TRIES = 8;
/** a network of its own, with nothing but itself in it */
const ALONE = 'ip link set lo up && exec "$@"';
const OFFLINE = ['unshare', '--net', 'sh', '-c', ALONE, 'sh'];

/** What had happened outside by a place in the log. */
interface Outside {
  /** the newest that a status had called applied, and its state */
  applied: { readonly sequence: number; readonly state: LaneState | null };
  /** the newest boot of a status */
  boot: number;
  /** published since, and not refused yet */
  offered: { readonly sequence: number; readonly state: LaneState }[];
}

interface Recording {
  readonly lane: PowerLane;
  /** the disk before the first entry */
  readonly base: Buffer;
  readonly entries: readonly DiskEntry[];
}

/** Changes without any cut; what is told outside is marked in the log after it was told. */
async function record(parts: Parts, { seed, changes }: ReplayAsked): Promise<Recording> {
  const lane = await makePowerLane(parts, 0, seed);
  const base = readFileSync(lane.image);
  const log = join(lane.plant.folder, 'disk.log');
  await boot(lane, { log });
  const mark = async (what: object) => await lane.disk?.mark(JSON.stringify(what));
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
  return { lane, base, entries: readLog(readFileSync(log)) };
}

function heard(outside: Outside, text: string): void {
  const mark = JSON.parse(text);
  if (mark.offered) {
    outside.offered.push({ sequence: mark.sequence, state: mark.offered as LaneState });
    return;
  }
  const of = outside.offered.find(({ sequence }) => sequence === mark.told);
  outside.offered = outside.offered.filter(({ sequence }) => sequence > mark.told);
  outside.boot = mark.boot;
  if (of && mark.applied) outside.applied = of;
}

export async function replay(asked: ReplayAsked): Promise<ReplayTally> {
  const counts = { images: 0, started: 0, mended: 0, flushes: 0, writes: 0 };
  const tally: ReplayTally = { ...counts, bad: [] };
  const parts = await startParts();
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = mkdtempSync(join(memory, 'holdfast-replay-'));
  try {
    const recording = await record(parts, asked);
    try {
      const cuts = images(recording, asked, tally);
      const turn = { started: Promise.resolve() };
      const ran = Array.from({ length: STANDS }, async (_, index) => {
        const stand = await makeStand(join(folder, `image-${index}`), recording.base.length);
        const mount = join(folder, `mount-${index}`);
        const bench = { tally, stand, mount, looker: makeLooker(), turn, lane: recording.lane };
        try {
          await judgeAll(cuts, asked, bench);
        } finally {
          bench.looker.end();
          await stand.remove();
        }
      });
      await Promise.all(ran);
    } finally {
      await endLane(recording.lane);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await parts.remove();
  }
  return tally;
}

interface Bench {
  readonly lane: PowerLane;
  readonly tally: ReplayTally;
  readonly stand: Stand;
  /** where this stand puts its images */
  readonly mount: string;
  readonly looker: Looker;
  /** one agent at a time: its configuration names one mount */
  readonly turn: { started: Promise<void> };
}

interface Moment {
  readonly image: Buffer;
  readonly outside: Outside;
  /** writes and flushes before it */
  readonly at: number;
}

/** Along the log, as many at each entry as the whole number asks for, no two alike. */
function* images(
  { base, entries }: Recording,
  asked: ReplayAsked,
  tally: ReplayTally,
): Generator<Moment> {
  const { unit } = seededRandom(asked.seed);
  const disk = makeDisk(Buffer.from(base));
  const outside: Outside = { applied: { sequence: 0, state: null }, boot: 0, offered: [] };
  const total = entries.filter(({ kind }) => kind !== 'mark').length;
  const seen = new Set<string>();
  let [passed, made] = [0, 0];
  for (const entry of entries) {
    if (entry.kind === 'mark') {
      heard(outside, entry.text);
      continue;
    }
    if (entry.kind === 'write') {
      tally.writes += 1;
      disk.write(entry.at, entry.bytes, entry.durable);
    }
    passed += 1;
    const due = Math.floor((asked.images * passed) / total);
    const most = disk.waiting === 0 ? 1 : TRIES;
    for (let tries = 0; made < due && tries < most; tries += 1) {
      const image = disk.cut(unit);
      // The same bytes are looked at again when more had been told outside.
      const key = `${Bun.hash(image)} ${outside.boot} ${outside.offered.length}`;
      if (seen.has(key)) continue;
      seen.add(key);
      made += 1;
      yield { image, outside: structuredClone(outside), at: passed };
    }
    if (entry.kind === 'flush') {
      tally.flushes += 1;
      disk.flush();
    }
  }
}

async function judgeAll(cuts: Generator<Moment>, asked: ReplayAsked, bench: Bench): Promise<void> {
  const { tally } = bench;
  for (const moment of cuts) {
    tally.images += 1;
    const isStarted = tally.images % asked.startEvery === 0;
    const faults = await judge(moment, isStarted, bench);
    if (faults.length > 0) {
      tally.bad.push(`seed ${asked.seed}, entry ${moment.at}: ${faults.join('; ')}`);
    }
    if (tally.images % 500 === 0) {
      asked.say?.(`${tally.images} images, ${tally.bad.length} bad`);
    }
    if (asked.stopped?.()) return;
  }
}

async function judge(moment: Moment, isStarted: boolean, bench: Bench): Promise<readonly string[]> {
  const { lane, turn, tally } = bench;
  if (!isStarted) return await mounted(moment, bench.mount, bench);
  const before = turn.started;
  const { promise, resolve } = Promise.withResolvers<void>();
  turn.started = promise;
  await before;
  try {
    tally.started += 1;
    return await mounted(moment, lane.mount, bench);
  } finally {
    resolve();
  }
}

/** Looked at; where the agent expects it, started as well. */
async function mounted(moment: Moment, at: string, bench: Bench): Promise<readonly string[]> {
  const { lane, stand, looker, tally } = bench;
  const how = await stand.mount(moment.image, at);
  if (how === 'no file system') return ['it cannot be mounted'];
  if (how === 'mended') tally.mended += 1;
  try {
    const faults = await looked(moment.outside, { ...lane, mount: at }, looker);
    return at === lane.mount ? [...faults, ...(await startedOn(lane, moment.outside))] : faults;
  } finally {
    await stand.unmount();
  }
}

/** Before the agent: every file whole, and the store has all that was told. */
async function looked(outside: Outside, { mount, ...lane }: PowerLane, looker: Looker) {
  const place = { ...lane.place, line: join(mount, 'opt/line') };
  const states = [outside.applied.state, ...outside.offered.map(({ state }) => state)];
  const faults = tornFiles(place, states).map((path) => `${path} is torn`);
  // Before the first boot was told, there may be no store yet.
  const stateDir = join(mount, 'state');
  if (!existsSync(stateDir)) {
    return outside.boot > 0 ? [...faults, 'no state directory'] : faults;
  }
  const look = await looker.look(stateDir);
  const told = outside.applied.sequence;
  if (look === null) return [...faults, 'the process that opened the store died'];
  if (look.recovered !== 'opened' && (outside.boot > 0 || look.recovered !== 'created')) {
    faults.push(`the store: ${look.recovered}`);
  }
  if (look.applied < told) faults.push(`told applied ${told}, it has ${look.applied}`);
  if (look.floor < told) faults.push(`told applied ${told}, its floor is ${look.floor}`);
  if (look.boot < outside.boot) faults.push(`told boot ${outside.boot}, it has ${look.boot}`);
  return [...faults, ...look.missing];
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

interface Looker {
  /** null: it died over this one */
  look(stateDir: string): Promise<Look | null>;
  end(): void;
}

function makeLooker(): Looker {
  const program = new URL('look-child.ts', import.meta.url).pathname;
  const begin = () => {
    const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'ignore'] });
    return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() };
  };
  let running = begin();
  return {
    async look(stateDir) {
      running.child.stdin.write(`${stateDir}\n`);
      const { value, done } = await running.lines.next();
      if (!done) return JSON.parse(String(value)) as Look;
      running = begin();
      return null;
    },
    end: () => running.child.kill('SIGKILL'),
  };
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
