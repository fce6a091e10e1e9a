/**
 * One run in the field: a schedule is carried out, the model looks on; then every fault ends, and each
 * channel that is followed has to come to its newest acceptable state (I9).
 */
import { freeDisk } from '../actors.ts';
import { type Ran, tracing } from '../run.ts';
import { NO_TROUBLE } from '../world/crash.ts';
import type { Dice } from '../world/random.ts';
import { boot, pass } from '../world/world.ts';
import type { Channel, FieldIssued } from './desk.ts';
import { seenInField } from './device.ts';
import { healField, PEOPLE } from './people.ts';
import { type Do, issueIn, PUBLISHING, plainChoice, releaseIn } from './publishing.ts';
import type { FieldAct, FieldSchedule } from './schedule.ts';
import { type FieldStage, fieldStage, lookNow } from './stage.ts';

export interface FieldOptions {
  /** keeps the lines of the trace, not only their hash */
  readonly keep?: boolean;
  readonly begun?: (stage: FieldStage, lines: readonly string[]) => void;
  /** before each act */
  readonly acting?: (stage: FieldStage, number: number) => void;
}

/** ms that a healed device has: windows open within two hours, backoff ends within one */
const HEALED_MS = 4 * 3_600_000;

const ACTS: Readonly<Record<FieldAct, Do>> = { ...PUBLISHING, ...PEOPLE };
/** what is done through the agent: its steps are its own */
const OF_THE_AGENT: ReadonlySet<FieldAct> = new Set([
  ...(['consent', 'follow', 'switch', 'forget', 'pause-one', 'pause-all', 'resume-one'] as const),
  ...([
    'resume-all',
    'pause-and-see',
    'urgent-and-see',
    'rollback',
    'apply',
    'apply-now',
    'reload',
  ] as const),
  'restart-agent',
]);

export function runField(schedule: FieldSchedule, options: FieldOptions = {}): Ran {
  const trace = tracing(options.keep === true);
  const stage = fieldStage(schedule.seed, trace.line, schedule.setup);
  const { world, model } = stage;
  options.begun?.(stage, trace.lines);
  boot(world);
  for (const { number, act, afterMs } of schedule.acts) {
    pass(world, { ms: afterMs });
    if (model.violations.length > 0) break;
    trace.line(`-- ${number} ${act} at ${Math.round(world.time.now)} ms`);
    options.acting?.(stage, number);
    performIn(stage, act, world.dice.split(`act ${number}`));
    pass(world, { ms: 0 });
    lookNow(stage);
  }
  if (model.violations.length === 0) settleField(stage);
  return ranOf(stage, trace, 0);
}

/** @param before  cuts that are not of this run */
export function ranOf(
  { world, model: { violations } }: FieldStage,
  trace: ReturnType<typeof tracing>,
  before: number,
): Ran {
  for (const { invariant, says } of violations) trace.line(`VIOLATION ${invariant}: ${says}`);
  const { boots, steps } = world;
  const counts = { cuts: world.cuts - before, boots, steps: steps.count };
  return { violations, ...counts, hash: trace.hash(), lines: trace.lines };
}

export function performIn(stage: FieldStage, act: FieldAct, choose: Dice): void {
  const { steps } = stage.world;
  const { life } = steps;
  const isOutside = !OF_THE_AGENT.has(act);
  if (isOutside) steps.life = null;
  try {
    ACTS[act](stage, choose);
  } catch (error) {
    if (!life) throw error;
    stage.world.threw(life, error);
  }
  if (isOutside) steps.life = life;
  stage.world.time.drain();
}

/** Every fault ends, and people let the device go on. */
export function healAll(stage: FieldStage, choose: Dice): void {
  const { world } = stage;
  world.steps.cancelCut();
  stage.cutsAfterStart.length = 0;
  world.steps.trouble = NO_TROUBLE;
  freeDisk(world);
  stage.mended = true;
  healField(stage);
  world.wallOffsetMs = Math.max(world.wallOffsetMs, Date.UTC(2026, 10, 24)) % Date.UTC(2039, 1, 1);
  // A configuration that is still to be taken up brings back a channel with its hold.
  const free = (): boolean =>
    world.running?.ready === true &&
    !world.running.assembled.busy() &&
    followed(stage).join() === stage.setup.channels.join();
  pass(world, { ms: 900_000, holds: free });
  performIn(stage, 'resume-all', choose);
  const channels = concerned(stage);
  for (const channel of channels) freshen(stage, channel, choose);
  const valued = channels.some((channel) => stage.heads.get(channel)?.valued);
  if (valued && stage.desk.values.length === 0) performIn(stage, 'values', choose);
}

/** What the agent that runs was started with. */
function followed({ world }: FieldStage): readonly Channel[] {
  return (world.running?.assembled.lines ?? []).map(({ channel }) => channel as Channel);
}

/** An edit of agent.yaml counts from the next start or reload on: until then the channels before it do. */
function concerned(stage: FieldStage): readonly Channel[] {
  const { channels } = stage.setup;
  return [...channels, ...followed(stage).filter((channel) => !channels.includes(channel))];
}

/** The newest of a channel is in its registries, and is one that a good device can have. */
function freshen(stage: FieldStage, channel: Channel, choose: Dice): void {
  const { heads, world, desk } = stage;
  const head = heads.get(channel);
  const newest = desk.issued.filter((one) => one.artifact.channel === channel && one.valid).at(-1);
  if (!head || head !== newest || !isGood(head) || wasRejected(stage, head) || choose.oneIn(2)) {
    const { life } = world.steps;
    world.steps.life = null;
    releaseIn(stage, issueIn(stage, channel, plainChoice(stage, channel, choose)), choose);
    world.steps.life = life;
    return;
  }
  world.registry.tags.set(channel, headTag(stage, head));
}

function headTag({ world }: FieldStage, { artifact, epoch, sequence }: FieldIssued) {
  const tag = world.registry.tags.get(`${artifact.channel}_${epoch}_${sequence}`);
  if (tag === undefined) throw new Error('a head that was never pushed');
  return tag;
}

function isGood({ bad, outside, severs, choice }: FieldIssued): boolean {
  return !bad && !outside && !severs && choice.beyond !== 'shared';
}

/** Cut in every try, or cut off while it was tried: it does not come again. */
function wasRejected({ world }: FieldStage, { artifact, digest }: FieldIssued): boolean {
  const running = world.running?.assembled;
  if (!running) return false;
  const rejected = running.base.store.rejected(running.base.root.fleet, artifact.channel);
  return rejected.ok && rejected.value.some(({ point }) => point.stateDigest === digest);
}

export function areThere(stage: FieldStage): boolean {
  const { world, heads } = stage;
  const { running } = world;
  if (!running?.ready || running.assembled.busy()) return false;
  return followed(stage).every((channel) => {
    const row = running.assembled.lines.find((line) => line.channel === channel)?.follower.row();
    return row?.intent === null && row.applied?.stateDigest === heads.get(channel)?.digest;
  });
}

/** @returns whether all were reached, whatever the model says of it */
export function reachAll(stage: FieldStage, choose: Dice): boolean {
  const { world } = stage;
  const there = (): boolean => areThere(stage);
  if (pass(world, { ms: HEALED_MS, holds: there })) return true;
  // The remedy that the device itself names: publish anew.
  const rejected = concerned(stage).filter((channel) => {
    const head = stage.heads.get(channel);
    return head !== undefined && wasRejected(stage, head);
  });
  for (const channel of rejected) freshen(stage, channel, choose);
  return rejected.length > 0 && pass(world, { ms: HEALED_MS, holds: there });
}

function settleField(stage: FieldStage): void {
  const { world } = stage;
  const choose = world.dice.split('end');
  healAll(stage, choose);
  reachAll(stage, choose);
  pass(world, { ms: 120_000 });
  endField(stage);
}

export function endField(stage: FieldStage): void {
  const { world, model, heads } = stage;
  const seen = seenInField(world);
  if (seen) model.end(seen, heads);
  else model.broke('no agent answers');
}
