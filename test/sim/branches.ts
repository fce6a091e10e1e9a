/**
 * One run, many crash points: while a schedule is carried out, the world is copied at moments that the
 * seed chooses (before a step, and after something was acknowledged to the outside), and from each copy
 * branches go on: power is cut, or the agent killed, what was not synced is lost as the branch says, the
 * agent starts, recovers, maybe is cut again while it does, and is judged by what the model knew at that
 * moment. The run itself goes on as if nothing had been. A cut counts when it has struck.
 */
import { freeDisk } from './actors.ts';
import type { Violation } from './model/model.ts';
import {
  heal,
  type Known,
  type Ran,
  type RunOptions,
  run,
  stageOf,
  tracing,
  type Watching,
  watchReports,
} from './run.ts';
import type { Schedule } from './schedule.ts';
import type { CutKind } from './world/crash.ts';
import { momentOf } from './world/moment.ts';
import type { Loss } from './world/power-cut.ts';
import { dice } from './world/random.ts';
import { seenNow, toldNow } from './world/watch.ts';
import { boot, fall, pass } from './world/world.ts';

/** One way on from a moment. */
export interface Branch {
  readonly name: string;
  readonly kind: CutKind;
  readonly loss: Loss;
  /** steps after a start at which the next cut strikes */
  readonly again: readonly number[];
  /** also has to come to the newest acceptable state */
  readonly heals: boolean;
  /** and the moment it is there the power is cut, with all lost that was not synced */
  readonly later: boolean;
}

/** ms that a recovery may take: stop timeouts and windows of health, many times */
const RECOVERS_MS = 600_000;
/** ms in which drift is repaired once nothing bars it: looked for every 30 s */
const REPAIRED_MS = 45_000;
/** moments of one run */
const MOMENTS_MAX = 80;
/** one act's */
const MOMENTS_OF_ACT = 6;
/** steps after an act among which its moments are */
const REACHES = [4, 30, 150] as const;

interface Taken extends Known {
  readonly step: number;
  /** of the run's trace by then */
  readonly lines: number;
}

export function knownOf(stage: Watching): Known {
  watchReports(stage);
  const { head, contents, bundles } = stage;
  return {
    moment: momentOf(stage.world),
    model: stage.model.copy(),
    watch: stage.watch.copy([]),
    stage: { head, contents, bundles },
  };
}

export function runBranched(schedule: Schedule, options: RunOptions = {}): Ran {
  const taken: Taken[] = [];
  const due = new Set<number>();
  let told = 0;
  const begun = (stage: Watching, lines: readonly string[]): void => {
    const { world } = stage;
    world.steps.watch = (count) => {
      // What was told since the step before has to be there: nothing was written in between.
      const isNew = world.broker.received.length > told;
      told = world.broker.received.length;
      const acknowledged = isNew && world.dice.split(`told ${told}`).oneIn(3);
      if (!due.delete(count) && !acknowledged) return;
      if (taken.length < MOMENTS_MAX) {
        taken.push({ ...knownOf(stage), step: count, lines: lines.length });
      }
    };
    plan(stage, -1);
  };
  const plan = ({ world }: Watching, number: number): void => {
    const choose = world.dice.split(`moments ${number}`);
    const times = choose.below(MOMENTS_OF_ACT + 1);
    for (let time = 0; time < times; time += 1) {
      due.add(world.steps.count + 1 + choose.below(choose.pick(REACHES)));
    }
  };
  const ran = run(schedule, { ...options, begun, acting: plan });
  return taken.reduce((all, each) => withBranches(all, schedule, each, options.keep === true), ran);
}

function withBranches(all: Ran, { seed }: Schedule, taken: Taken, keep: boolean): Ran {
  if (all.violations.length > 0) return all;
  let sum = all;
  for (const branch of branchesOf(taken, seed)) {
    if (sum.violations.length > 0) break;
    const ran = goOn(taken, `${seed}/${branch.name}`, branch, { keep });
    const before = all.lines.slice(0, taken.lines);
    sum = added(sum, { ...ran, lines: [...before, ...ran.lines] });
  }
  return sum;
}

export function added(all: Ran, { violations, cuts, boots, steps, hash, lines }: Ran): Ran {
  return {
    violations: [...all.violations, ...violations],
    cuts: all.cuts + cuts,
    boots: all.boots + boots,
    steps: all.steps + steps,
    hash: new Bun.CryptoHasher('sha256').update(all.hash).update(hash).digest('hex'),
    // Of all that went well nobody wants to read.
    lines: violations.length > 0 ? lines : all.lines,
  };
}

function branchesOf({ step, moment }: Taken, seed: number | string): readonly Branch[] {
  return branchesAt(`${seed}/moment ${step} ${moment.now}`, step);
}

/** @param at  names the moment, and so what is chosen there */
export function branchesAt(at: string, step: number): readonly Branch[] {
  const choose = dice(at);
  const again = (): readonly number[] => {
    if (!choose.oneIn(3)) return [];
    const times = 1 + choose.below(3);
    return Array.from({ length: times }, () => 1 + choose.below(choose.pick([6, 25, 60])));
  };
  const of = (kind: CutKind, loss: Loss): Branch => ({
    name: `${kind} before step ${step}, ${loss} lost`,
    ...{ kind, loss, again: again(), heals: choose.oneIn(8), later: choose.oneIn(2) },
  });
  return [
    of('power', 'all'),
    ...(choose.oneIn(2) ? [of('power', 'any')] : []),
    ...(choose.oneIn(2) ? [of('kill', 'any')] : []),
  ];
}

export interface GoingOn {
  readonly keep: boolean;
  /** is told of each step, from 1, until the agent is ready, or a branch that heals is there */
  readonly recovering?: (count: number, stage: Watching) => void;
}

/** From a moment on: cut, started, judged. */
export function goOn(
  known: Known,
  seed: string,
  branch: Branch,
  { keep, recovering }: GoingOn,
): Ran {
  const trace = tracing(keep);
  const stage = stageOf(seed, trace.line, known);
  const { world, model: told } = stage;
  trace.line(`== ${branch.name}`);
  stage.cutsAfterStart.push(...branch.again);
  world.loss = branch.loss;
  fall(world, branch.kind);
  world.loss = null;
  if (recovering) world.steps.watch = (count) => recovering(count, stage);
  boot(world);
  const isUp = (): boolean => world.running?.ready === true;
  const free = world.disk.capacity;
  if (!pass(world, { ms: RECOVERS_MS, holds: isUp }) && told.violations.length === 0) {
    // A full disk may keep an agent from starting.
    freeDisk(world);
    pass(world, { ms: RECOVERS_MS, holds: isUp });
  }
  watchReports(stage);
  if (!isUp()) told.broke(`no agent is ready (a disk of ${free} bytes)`);
  const reached = isUp() && branch.heals && told.violations.length === 0 ? healed(stage) : null;
  for (const { invariant, says } of told.violations) trace.line(`VIOLATION ${invariant}: ${says}`);
  const { boots, steps } = world;
  const cuts = world.cuts - known.moment.cuts;
  const violations: readonly Violation[] = told.violations;
  const ran = {
    violations,
    cuts,
    boots,
    steps: steps.count,
    hash: trace.hash(),
    lines: trace.lines,
  };
  if (!reached || !branch.later || violations.length > 0) return ran;
  const later = goOn(reached, `${seed} later`, LATER, { keep });
  return added(ran, { ...later, lines: [...ran.lines, ...later.lines] });
}

/**
 * Faults end, and the newest acceptable state has to be reached (I9).
 * @returns the world at the moment when it was
 */
function healed(stage: Watching): Known {
  const { world, model: told } = stage;
  world.steps.cancelCut();
  stage.cutsAfterStart.length = 0;
  heal(stage, world.dice.split('end'), false);
  world.steps.watch = null;
  const reached = knownOf(stage);
  pass(world, { ms: REPAIRED_MS });
  watchReports(stage);
  const said = toldNow(world);
  if (said) told.end(seenNow(world), said, stage.head);
  else told.broke('no agent answers');
  return reached;
}

/** What a kill had left unsynced, and somebody has taken for durable since, is gone now. */
const LATER: Branch = {
  ...{ name: 'power when it is applied, all lost', kind: 'power', loss: 'all' },
  ...{ again: [], heals: false, later: false },
};
