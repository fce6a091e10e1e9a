/**
 * The log of one disk, replayed into what it may hold after a cut between any two flushes: all that
 * was flushed, and of what came after it some writes, some torn. Each image is mounted; every file is
 * whole; the store opens through its guard and has what had been told outside. Some are started: the
 * compiled agent, without any network, is at ready in the old or the new state.
 *
 * Run as a program: `replay.ts IMAGES SEED CHANGES`; the last line is the tally in JSON.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { LaneState } from '../crash/lane-states.ts';
import { writeState } from '../crash/lane-states.ts';
import { fileFaults, programsOf, tornFiles, versionFaults } from '../crash/lane-witness.ts';
import { endChild, output, run } from '../support/command.ts';
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
  flushes: number;
  writes: number;
  readonly bad: string[];
}

const CHANNEL = 'canary';
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
  const tally: ReplayTally = { images: 0, started: 0, flushes: 0, writes: 0, bad: [] };
  const parts = await startParts();
  const memory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const folder = mkdtempSync(join(memory, 'holdfast-replay-'));
  try {
    const recording = await record(parts, asked);
    const looker = makeLooker();
    try {
      await images(recording, asked, { tally, looker, file: join(folder, 'image') });
    } finally {
      looker.end();
      await endLane(recording.lane);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    await parts.remove();
  }
  return tally;
}

interface Bench {
  readonly tally: ReplayTally;
  readonly looker: Looker;
  readonly file: string;
}

/** Along the log, as many at each write as the whole number asks for. */
async function images({ lane, base, entries }: Recording, asked: ReplayAsked, bench: Bench) {
  const { unit } = seededRandom(asked.seed);
  const disk = makeDisk(Buffer.from(base));
  const outside: Outside = { applied: { sequence: 0, state: null }, boot: 0, offered: [] };
  const total = entries.filter(({ kind }) => kind !== 'mark').length;
  let passed = 0;
  for (const entry of entries) {
    if (entry.kind === 'mark') {
      heard(outside, entry.text);
      continue;
    }
    if (entry.kind === 'write') {
      bench.tally.writes += 1;
      disk.write(entry.at, entry.bytes, entry.durable);
    }
    passed += 1;
    while (bench.tally.images < Math.floor((asked.images * passed) / total)) {
      if (asked.stopped?.()) return;
      const image = disk.cut(unit);
      await judge(lane, { image, outside, at: passed, asked }, bench);
      if (bench.tally.images % 500 === 0) {
        asked.say?.(`${bench.tally.images} images, ${bench.tally.bad.length} bad`);
      }
    }
    if (entry.kind === 'flush') {
      bench.tally.flushes += 1;
      disk.flush();
    }
  }
}

interface Moment {
  readonly image: Buffer;
  readonly outside: Outside;
  /** writes and flushes before it */
  readonly at: number;
  readonly asked: ReplayAsked;
}

async function judge(lane: PowerLane, moment: Moment, bench: Bench): Promise<void> {
  const { tally, file } = bench;
  tally.images += 1;
  rmSync(file, { force: true });
  const fd = openSync(file, 'w', 0o600);
  writeSync(fd, moment.image);
  closeSync(fd);
  const faults: string[] = [];
  mkdirSync(lane.mount, { recursive: true });
  const mounted = await run(['mount', '-t', 'ext4', '-o', 'loop', file, lane.mount]);
  if (mounted.code !== 0) faults.push(`it cannot be mounted: ${mounted.err}`);
  else {
    try {
      faults.push(...(await looked(lane, moment, bench)));
      if (tally.images % moment.asked.startEvery === 0) {
        tally.started += 1;
        faults.push(...(await startedOn(lane, moment.outside)));
      }
    } finally {
      await output(['umount', '-l', lane.mount]);
    }
  }
  const { seed } = moment.asked;
  if (faults.length > 0) tally.bad.push(`seed ${seed}, entry ${moment.at}: ${faults.join('; ')}`);
}

/** Before the agent: every file whole, and the store has all that was told. */
async function looked({ place, mount }: PowerLane, { outside }: Moment, { looker }: Bench) {
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
    ...{ images: Number(images), seed: Number(seed), changes: Number(changes), startEvery: 20 },
    say: (line) => console.error(line),
    stopped: stopOnSignal(),
  });
  console.log(JSON.stringify(tally));
  process.exit(0);
}
