/**
 * Exhaustive in small scope: an install, an update, a removal, a rollback, a change that another
 * supersedes, an undo, a rotation of the root and a self-heal, each cut before every one of its steps,
 * by power and by kill, and again at every second step of the recovery; and after each kill, when all
 * is calm again, the power. The operation is carried out once: each cut goes on from a copy of the
 * world (branches.ts). What has to hold is what holds in every run.
 */
import { perform, type Stage } from './actors.ts';
import { added, type Branch, goOn, knownOf } from './branches.ts';
import type { Violation } from './model/model.ts';
import { isThere, type Known, NOTHING_RAN, type Ran, run, type Watching } from './run.ts';
import type { CutKind } from './world/crash.ts';
import type { Choice } from './world/states.ts';
import { pass } from './world/world.ts';

export interface Operation {
  readonly name: string;
  /** brings the device to where the operation begins; null: it was never started */
  readonly before: ((stage: Stage) => void) | null;
  readonly begin: (stage: Stage) => void;
  /** ms until it is over, cuts aside */
  readonly lastsMs: number;
}

const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: 1, conduct: {} },
  ...{ check: 'healthy', reload: false },
};

function publish(stage: Stage, choice: Choice, healthWindowMs = 0): void {
  const { publisher } = stage.world;
  const issued = publisher.issue(choice, { healthWindowMs });
  stage.model.published(issued);
  publisher.push(issued);
  publisher.nudge(issued, { whole: false, retain: true });
  stage.head = issued;
}

/** Applied, collected, told. */
function reach(stage: Stage, choice: Choice): void {
  publish(stage, choice);
  pass(stage.world, { ms: 600_000, holds: () => isThere(stage) });
  pass(stage.world, { ms: 45_000 });
}

const NEXT: Choice = { ...PLAIN, conf: 2, web: 2, plc: 2, reload: true };

export const OPERATIONS: readonly Operation[] = [
  {
    name: 'first start',
    before: null,
    begin: (stage) => publish(stage, PLAIN),
    lastsMs: 10_000,
  },
  {
    name: 'install',
    before: ({ world }) => void pass(world, { ms: 3_000 }),
    begin: (stage) => publish(stage, PLAIN),
    lastsMs: 8_000,
  },
  {
    name: 'update',
    before: (stage) => reach(stage, PLAIN),
    begin: (stage) => publish(stage, NEXT),
    lastsMs: 8_000,
  },
  {
    name: 'removal',
    before: (stage) => reach(stage, PLAIN),
    begin: (stage) => publish(stage, { ...PLAIN, conf: null, web: null }),
    lastsMs: 45_000,
  },
  {
    name: 'rollback',
    before(stage) {
      reach(stage, PLAIN);
      reach(stage, NEXT);
    },
    begin: (stage) => perform(stage, 'rollback', stage.world.dice),
    lastsMs: 8_000,
  },
  {
    name: 'supersede',
    before: (stage) => reach(stage, PLAIN),
    begin(stage) {
      publish(stage, NEXT, 5_000);
      stage.world.time.after(1_500, () => publish(stage, { ...NEXT, conf: 3, plc: 3 }));
    },
    lastsMs: 12_000,
  },
  {
    name: 'undo of a state that is not healthy',
    before: (stage) => reach(stage, PLAIN),
    begin: (stage) => publish(stage, { ...NEXT, check: 'ill' }),
    lastsMs: 20_000,
  },
  {
    name: 'root rotation',
    before: (stage) => reach(stage, PLAIN),
    begin(stage) {
      stage.world.publisher.rotate({ epoch: true });
      publish(stage, NEXT);
    },
    lastsMs: 8_000,
  },
  {
    name: 'self-heal',
    before: (stage) => reach(stage, PLAIN),
    begin(stage) {
      perform(stage, 'meddle', stage.world.dice.split('meddle'));
      perform(stage, 'end-program', stage.world.dice.split('end'));
    },
    lastsMs: 40_000,
  },
];

export interface Point {
  readonly operation: Operation;
  readonly kind: CutKind;
  /** the step before which it is cut, from 1 */
  readonly step: number;
  /** the step of the recovery before which it is cut again; 0: it is not */
  readonly again: number;
  readonly kindAgain: CutKind;
  /** when all is calm again, the power is cut once more: what was acknowledged has to be there */
  readonly later: boolean;
  /** of what the power cut leaves; 0: nothing that was not synced */
  readonly variant: number;
}

export interface Tried {
  readonly ran: Ran;
  /** the cut struck */
  readonly struck: boolean;
}

/** The worlds before each step of an operation that `wanted` names, in order. */
function stepsOf(
  operation: Operation,
  wanted: (step: number) => boolean,
): ReadonlyMap<number, Known> {
  const found = new Map<number, Known>();
  let over = false;
  const watch = (stage: Watching): void => {
    const { steps } = stage.world;
    const before = steps.count;
    steps.watch = (count) => {
      const step = count - before;
      if (!over && wanted(step)) found.set(step, knownOf(stage));
    };
  };
  let watched: Watching | null = null;
  const script = (stage: Stage): void => {
    operation.before?.(stage);
    if (operation.before && watched) watch(watched);
    operation.begin(stage);
    pass(stage.world, { ms: operation.lastsMs });
    over = true;
  };
  const begun = (stage: Watching): void => {
    watched = stage;
    if (!operation.before) watch(stage);
  };
  run({ seed: `exhaustive ${operation.name}`, acts: [] }, { script, begun, light: true });
  return found;
}

function branchOf({ kind, step, variant, again, later }: Point): Branch {
  const name = `${kind} before step ${step}, ${variant === 0 ? 'all' : 'any'} lost (${variant})`;
  const loss = variant === 0 ? 'all' : 'any';
  // What is cut again is judged there; before it nothing may differ.
  return { name, kind, loss, again: [], heals: again === 0, later };
}

function seedOf({ operation, kind, step, variant }: Point): string {
  return `exhaustive ${operation.name} ${kind} ${step} ${variant}`;
}

/** One point by itself, as `exhaust` meets it. */
export function tryPoint(point: Point, keep = false): Tried {
  const known = stepsOf(point.operation, (step) => step === point.step).get(point.step);
  if (!known) return { ran: NOTHING_RAN, struck: false };
  if (point.again === 0) {
    return { ran: goOn(known, seedOf(point), branchOf(point), { keep }), struck: true };
  }
  const cuts: Known[] = [];
  const recovering = (count: number, stage: Watching): void => {
    if (count === point.again) cuts.push(knownOf(stage));
  };
  const first = goOn(known, seedOf(point), branchOf(point), { keep, recovering });
  const [next] = cuts;
  return next
    ? { ran: added(first, tryAgain(next, point, keep)), struck: true }
    : { ran: first, struck: false };
}

function tryAgain(known: Known, point: Point, keep = false): Ran {
  const { again, kindAgain } = point;
  const name = `${kindAgain} again before step ${again} of the recovery, all lost`;
  const heals = again % HEALS_EVERY === 1;
  const branch: Branch = { name, kind: kindAgain, loss: 'all', again: [], heals, later: false };
  return goOn(known, `${seedOf(point)} ${again} ${kindAgain}`, branch, { keep });
}

/** of the second cuts, so many go on to the newest state */
const HEALS_EVERY = 8;

export interface Scope {
  readonly kinds: readonly CutKind[];
  /** every so many steps */
  readonly every: number;
  readonly variants: number;
  /** also at every second step of the recovery, up to so many; 0: not */
  readonly again: number;
}

export interface Found {
  readonly point: Point;
  readonly violation: Violation;
}

export interface Exhausted {
  readonly points: number;
  readonly cuts: number;
  readonly found: readonly Found[];
}

export function exhaust(operation: Operation, scope: Scope): Exhausted {
  const found: Found[] = [];
  const sum = { points: 0, cuts: 0 };
  const judge = (point: Point, { cuts, violations }: Ran): void => {
    sum.points += 1;
    sum.cuts += cuts;
    const [violation] = violations;
    if (violation) found.push({ point, violation });
  };
  for (const [step, known] of stepsOf(operation, (at) => at % scope.every === 1 % scope.every)) {
    for (const point of pointsOf(operation, step, scope)) {
      const cuts: { readonly step: number; readonly known: Known }[] = [];
      const recovering = (count: number, stage: Watching): void => {
        if (count % 2 === 0 || count > scope.again) return;
        cuts.push({ step: count, known: knownOf(stage) });
      };
      judge(point, goOn(known, seedOf(point), branchOf(point), { keep: false, recovering }));
      for (const cut of cuts) {
        for (const kindAgain of scope.kinds) {
          const again = { ...point, again: cut.step, kindAgain };
          judge(again, tryAgain(cut.known, again));
        }
      }
    }
  }
  return { ...sum, found };
}

function pointsOf(
  operation: Operation,
  step: number,
  { kinds, variants }: Scope,
): readonly Point[] {
  return kinds.flatMap((kind) =>
    Array.from({ length: kind === 'kill' ? 1 : variants }, (_, variant) => ({
      ...{ operation, kind, step, variant, again: 0, kindAgain: kind },
      later: kind === 'kill',
    })),
  );
}
