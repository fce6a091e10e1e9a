/**
 * Crash points of a run in the field, as in the core (branches.ts there): the world is copied at moments
 * that the seed chooses, and from each copy branches go on: power or the agent is gone, it starts,
 * recovers, may be cut again, and is judged; some also have to come to the newest of every channel.
 */
import { freeDisk } from '../actors.ts';
import { added, type Branch, branchesAt } from '../branches.ts';
import { type Ran, tracing } from '../run.ts';
import { boot, fall, pass } from '../world/world.ts';
import { endField, healAll, ranOf, reachAll, runField } from './run.ts';
import type { FieldSchedule } from './schedule.ts';
import { type FieldKnown, type FieldStage, fieldKnown, fieldStage, lookNow } from './stage.ts';

const RECOVERS_MS = 600_000;
const MOMENTS_MAX = 40;
const MOMENTS_OF_ACT = 4;
/** steps after an act among which its moments are */
const REACHES = [4, 30, 150] as const;

interface Taken {
  readonly known: FieldKnown;
  readonly step: number;
  readonly lines: number;
}

export function runFieldBranched(
  schedule: FieldSchedule,
  { keep = false }: { readonly keep?: boolean } = {},
): Ran {
  const taken: Taken[] = [];
  const due = new Set<number>();
  const plan = ({ world }: FieldStage, number: number): void => {
    const choose = world.dice.split(`moments ${number}`);
    const times = choose.below(MOMENTS_OF_ACT + 1);
    for (let time = 0; time < times; time += 1) {
      due.add(world.steps.count + 1 + choose.below(choose.pick(REACHES)));
    }
  };
  const begun = (stage: FieldStage, lines: readonly string[]): void => {
    stage.world.steps.watch = (count) => {
      if (!due.delete(count) || taken.length >= MOMENTS_MAX) return;
      taken.push({ known: fieldKnown(stage), step: count, lines: lines.length });
    };
    plan(stage, -1);
  };
  const ran = runField(schedule, { keep, begun, acting: plan });
  let sum = ran;
  for (const { known, step, lines } of taken) {
    for (const branch of branchesAt(`${schedule.seed}/field ${step} ${known.moment.now}`, step)) {
      if (sum.violations.length > 0) return sum;
      const one = goOnIn(known, `${schedule.seed}/${branch.name}`, branch, keep);
      sum = added(sum, { ...one, lines: [...ran.lines.slice(0, lines), ...one.lines] });
    }
  }
  return sum;
}

/** From a moment on: cut, started, judged. */
function goOnIn(known: FieldKnown, seed: string, branch: Branch, keep: boolean): Ran {
  const trace = tracing(keep);
  const stage = fieldStage(seed, trace.line, known);
  const { world, model } = stage;
  trace.line(`== ${branch.name}`);
  stage.cutsAfterStart.push(...branch.again);
  world.loss = branch.loss;
  fall(world, branch.kind);
  world.loss = null;
  boot(world);
  const isUp = (): boolean => world.running?.ready === true;
  if (!pass(world, { ms: RECOVERS_MS, holds: isUp }) && model.violations.length === 0) {
    freeDisk(world);
    pass(world, { ms: RECOVERS_MS, holds: isUp });
  }
  if (isUp()) lookNow(stage);
  else model.broke('no agent is ready');
  if (isUp() && branch.heals && model.violations.length === 0) {
    const choose = world.dice.split('end');
    healAll(stage, choose);
    reachAll(stage, choose);
    pass(world, { ms: 45_000 });
    endField(stage);
  }
  return ranOf(stage, trace, known.moment.cuts);
}
