/**
 * Exhaustive in small scope: an install, an update, a rollback, a change that another supersedes, a
 * rotation of the root and a self-heal, each cut before every one of its steps, by power and by kill,
 * and again at every second step of the recovery. What has to hold is what holds in every run.
 */
import { perform, type Stage } from './actors.ts';
import type { Violation } from './model/model.ts';
import { isThere, type Ran, run } from './run.ts';
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
  /** the step after the start at which it is cut again; 0: it is not */
  readonly again: number;
  /** when all is calm again, the power is cut once more: what was acknowledged has to be there */
  readonly later: boolean;
  /** of what the power cut leaves */
  readonly variant: number;
}

export interface Tried {
  readonly ran: Ran;
  /** the cut struck */
  readonly struck: boolean;
}

export function tryPoint(point: Point, keep = false): Tried {
  const { operation, kind, step, again, variant } = point;
  let struck = false;
  const seed = `exhaustive ${operation.name} ${variant}`;
  const plan = ({ world, cutsAfterStart }: Stage): void => {
    if (again > 0) cutsAfterStart.push(again);
    world.steps.cutAt(world.steps.count + step, kind);
  };
  const script = (stage: Stage): void => {
    const { world } = stage;
    operation.before?.(stage);
    const cuts = operation.before ? world.cuts : 0;
    if (operation.before) plan(stage);
    operation.begin(stage);
    pass(world, { ms: operation.lastsMs });
    struck = world.cuts > cuts;
    if (point.later) cutLater(stage);
  };
  const early = operation.before ? {} : { early: plan };
  const ran = run({ seed, acts: [] }, { script, keep, light: true, ...early });
  return { ran, struck };
}

function cutLater(stage: Stage): void {
  const { world } = stage;
  pass(world, { ms: 600_000, holds: () => isThere(stage) });
  pass(world, { ms: 45_000 });
  world.steps.cutAt(world.steps.count + 1, 'power');
  publish(stage, { ...NEXT, conf: 4, web: 4, plc: 4 });
  pass(world, { ms: 8_000 });
}

/** Steps of the operation, without a cut. */
export function stepsOf(operation: Operation): number {
  let steps = 0;
  const script = (stage: Stage): void => {
    operation.before?.(stage);
    const before = operation.before ? stage.world.steps.count : 0;
    operation.begin(stage);
    pass(stage.world, { ms: operation.lastsMs });
    steps = stage.world.steps.count - before;
  };
  run({ seed: `exhaustive ${operation.name} 0`, acts: [] }, { script, light: true });
  return steps;
}

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

/** @param apart  runs one simulation off the microtask queue */
export async function exhaust(
  operation: Operation,
  { kinds, every, variants, again }: Scope,
  apart: <T>(work: () => T) => Promise<T>,
): Promise<{ readonly points: number; readonly cuts: number; readonly found: readonly Found[] }> {
  const steps = await apart(() => stepsOf(operation));
  const found: Found[] = [];
  const sum = { points: 0, cuts: 0 };
  const once = async (point: Point): Promise<Tried> => {
    const tried = await apart(() => tryPoint(point));
    sum.points += 1;
    sum.cuts += tried.ran.cuts;
    const [violation] = tried.ran.violations;
    if (violation) found.push({ point, violation });
    return tried;
  };
  for (let step = 1; step <= steps + 1; step += every) {
    for (const kind of kinds) {
      for (let variant = 0; variant < (kind === 'kill' ? 1 : variants); variant += 1) {
        const point = { operation, kind, step, variant, again: 0, later: false };
        const { struck } = await once(point);
        if (kind === 'kill') await once({ ...point, later: true });
        for (let next = 1; struck && next <= again; next += 2) {
          const { ran } = await once({ ...point, again: next });
          // Past the end of the recovery there is nothing to cut.
          if (ran.cuts < 2) break;
        }
      }
    }
  }
  return { ...sum, found };
}
