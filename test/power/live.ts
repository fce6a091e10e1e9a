/**
 * Power cuts under the compiled agent, live: changes by real registry and broker, files and programs
 * on an ext4 whose disk forgets what was not flushed. Each change is cut several times: in the apply, in
 * the recovery, in the apply that is resumed. After a cut: no file torn; at ready the old or the new state
 * by the disk and the process table; nothing that a delivered status had said is gone; and it settles
 * where it should. The looks use no code of the agent (test/crash/lane-witness).
 *
 * Run as a program: `live.ts CUTS SEED LANES [MOUNT-OPTIONS]`; the last line is the tally in JSON.
 */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { LaneState } from '../crash/lane-states.ts';
import { writeState } from '../crash/lane-states.ts';
import { fileFaults, programFaults, tornFiles, versionFaults } from '../crash/lane-witness.ts';
import { contentOf, phaseAtKill } from '../crash/phase-at-kill.ts';
import { eventually } from '../support/eventually.ts';
import { type Parts, startParts } from '../support/plant.ts';
import type { Report } from '../support/status-watch.ts';
import {
  boot,
  darkness,
  endLane,
  makePowerLane,
  nextState,
  type PowerLane,
  settled,
} from './lane.ts';
import type { CutCount } from './rig.ts';
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
  /** cuts that came before a start had ended its recovery */
  early: number;
  /** seen whole between recovery and the next try */
  held: number;
  /** states that were given up because cuts had ended too many of their tries */
  givenUp: number;
  /** statuses that came in, each of which had to be true after the next cut */
  delivered: number;
  flushes: number;
  /** writes that had not been flushed when the power went, and cuts that found any */
  waiting: number;
  dirty: number;
  readonly bad: string[];
}

const CHANNEL = 'canary';
const CUT_WITHIN_MS = 1_200;
/** what is aimed at the middle of an apply, which is some 60 writes, comes by then all the same */
const AIMED_WITHIN_MS = 1_500;
const CUT_WRITES = 70;
/** a start, its recovery and what it resumes */
const EARLY_WRITES = 40;
const EARLY_WITHIN_MS = 700;
/** of one change; how likely one is followed by another, and how likely that one comes early */
const CUTS_MAX = 6;
const AGAIN = 0.6;
const EARLY = 0.5;
const FIRST = 0.7;
/** tries of a state, of which every cut may end one (agent.yaml: the default) */
const ATTEMPTS_MAX = 3;
/** the agent is held still meanwhile: only what it had started already can come */
const EXEC_MS = 5_000;

/** One change with one cut or several; what was found wrong. */
async function change(lane: PowerLane, asked: LiveAsked, tally: LiveTally): Promise<void> {
  const { device, random } = lane;
  const logAt = device.log().length;
  const before = lane.state;
  const next = nextState(lane);
  writeState(lane.plant, lane.place, next);
  const names = new Set(contentOf(join(lane.mount, 'state')));
  const { point, stateDigest, ...first } = await publishedAndCut(lane, tally);
  const offered = { digest: stateDigest.slice('sha256:'.length), before, next, names };
  let { newest, count } = first;
  let cuts = 1;
  for (;;) {
    await boot(lane, asked.options);
    const again = cuts < CUTS_MAX && tally.cuts < asked.cuts && random() < AGAIN;
    const early = again && random() < EARLY;
    if (!early) {
      await atReady(lane, offered, tally);
      await kept(lane, newest, count);
    }
    if (!again) break;
    if (early) tally.early += 1;
    ({ newest, count } = await cut(lane, tally, early ? earlyAim(random) : aimOf(random)));
    cuts += 1;
  }
  const end = await settled(lane, point, newest?.order[0] ?? 0n);
  const applied = end.applied === point;
  const state = applied ? next : before;
  const faults = [...fileFaults(lane.place, state), ...(await programFaults(lane.place, state))];
  const givenUp = end.refused?.code === 'apply.crash-loop' && cuts >= ATTEMPTS_MAX;
  if (givenUp && !applied) tally.givenUp += 1;
  else if (applied !== (next.broken === 'nothing')) {
    faults.push(`${point} ended ${applied ? 'applied' : end.refused?.code}`);
  }
  if (end.degraded) faults.push('the signed status says degraded');
  if (device.log().slice(logAt).includes('"event":"store.quarantined"'))
    faults.push('the store was moved aside');
  if (faults.length > 0) throw new Error(faults.join('; '));
  lane.state = state;
}

/** The disk waits for its cut before the device hears of anything: what it counts is the apply. */
async function publishedAndCut(lane: PowerLane, tally: LiveTally) {
  const aim = aimOf(lane.random);
  if (aim.writes === 0) {
    const published = await lane.plant.publish(CHANNEL);
    return { ...published, ...(await cut(lane, tally, aim)) };
  }
  const { seed, writes } = aim;
  const { gone, hurry } = lane.platters.cut(seed, writes);
  const published = await lane.plant.publish(CHANNEL);
  return { ...published, ...(await gonePower(lane, tally, within(gone, hurry, aim.delay))) };
}

/** When the power goes: after that many writes, at `delay` at the latest; 0 writes: at `delay`. */
interface Aim {
  readonly seed: number;
  readonly writes: number;
  /** ms */
  readonly delay: number;
}

/** By the clock, or in the middle of what the disk is asked to write. */
function aimOf(random: () => number): Aim {
  const seed = Math.floor(random() * 2 ** 31);
  if (random() < 0.3) return { seed, writes: 0, delay: random() * CUT_WITHIN_MS };
  return { seed, writes: 1 + Math.floor(random() * CUT_WRITES), delay: AIMED_WITHIN_MS };
}

function earlyAim(random: () => number): Aim {
  const seed = Math.floor(random() * 2 ** 31);
  if (random() < 0.3) return { seed, writes: 0, delay: random() * EARLY_WITHIN_MS };
  return { seed, writes: 1 + Math.floor(random() * EARLY_WRITES), delay: EARLY_WITHIN_MS };
}

async function cut(lane: PowerLane, tally: LiveTally, { seed, writes, delay }: Aim) {
  if (writes > 0) {
    const { gone, hurry } = lane.platters.cut(seed, writes);
    return await gonePower(lane, tally, within(gone, hurry, delay));
  }
  await new Promise((resolve) => setTimeout(resolve, delay));
  return await gonePower(lane, tally, lane.platters.cut(seed).gone);
}

async function within<T>(gone: Promise<T>, hurry: () => void, delay: number): Promise<T> {
  const late = setTimeout(hurry, delay);
  try {
    return await gone;
  } finally {
    clearTimeout(late);
  }
}

async function gonePower(lane: PowerLane, tally: LiveTally, gone: Promise<CutCount>) {
  const { device } = lane;
  const { flushes, waiting } = await gone;
  // What was said until now was committed before: the disk has not answered since.
  const told = device.allReports();
  const log = device.log().slice(lane.bootAt);
  const phase = [...log.matchAll(/"event":"phase","phase":"(\w+)"/g)].at(-1)?.[1];
  await darkness(lane);
  tally.cuts += 1;
  tally.phases[phase ?? 'none'] = (tally.phases[phase ?? 'none'] ?? 0) + 1;
  tally.flushes += flushes;
  tally.waiting += waiting;
  tally.dirty += waiting > 0 ? 1 : 0;
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
  const counts = {
    cuts: 0,
    early: 0,
    held: 0,
    givenUp: 0,
    delivered: 0,
    flushes: 0,
    waiting: 0,
    dirty: 0,
  };
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

/** States of one device; then another begins, with an empty disk. */
const CHANGES_OF_A_LANE = 40;

async function runLane(parts: Parts, index: number, asked: LiveAsked, tally: LiveTally) {
  // A lane that went wrong is no good any more: the next one begins with an empty disk.
  const goesOn = () => tally.cuts < asked.cuts && !asked.stopped?.();
  for (let again = 0; goesOn(); again += 1) {
    const { seed } = asked;
    const lane = await makePowerLane(parts, { index: index + asked.lanes * again, seed });
    try {
      await boot(lane, asked.options);
      // The power goes in the first start of all as well.
      if (lane.random() < FIRST) {
        await cut(lane, tally, earlyAim(lane.random));
        tally.early += 1;
        await boot(lane, asked.options);
      }
      for (let changes = 0; goesOn() && changes < CHANGES_OF_A_LANE; changes += 1) {
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
