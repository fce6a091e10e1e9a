/**
 * One run: a schedule is carried out on a world from its seed, the model looks on; then every fault
 * ends, and the device has to come to the newest acceptable state. The same seed and schedule give
 * the same trace, byte for byte.
 */
import type { ChannelRow } from '#state/channel-row.ts';
import { freeDisk, healNetwork, isInParts, perform, type Stage } from './actors.ts';
import { type Model, model, type Violation } from './model/model.ts';
import type { Schedule } from './schedule.ts';
import { undergo } from './trials/catalogue.ts';
import { WIDE } from './width/acts.ts';
import { type Watch, watch } from './width/watch.ts';
import { NO_TROUBLE } from './world/crash.ts';
import { ROOMY_BYTES } from './world/disk.ts';
import type { Moment } from './world/moment.ts';
import type { Dice } from './world/random.ts';
import type { Observer, World } from './world/shape.ts';
import { newReports, rejectedNow, seenNow, toldNow } from './world/watch.ts';
import { boot, makeWorld, pass } from './world/world.ts';

export interface Ran {
  readonly violations: readonly Violation[];
  readonly cuts: number;
  readonly boots: number;
  readonly steps: number;
  /** of the whole trace */
  readonly hash: string;
  readonly lines: readonly string[];
}

export const NOTHING_RAN: Ran = {
  ...{ violations: [], cuts: 0, boots: 0, steps: 0, hash: '', lines: [] },
};

export interface RunOptions {
  /** keeps the lines of the trace, not only their hash */
  readonly keep?: boolean;
  /** before the device is ever started */
  readonly early?: (stage: Stage) => void;
  /** instead of the schedule's acts */
  readonly script?: (stage: Stage) => void;
  /** only what was published has to be reached: no change comes after it */
  readonly light?: boolean;
  /** looks on from the beginning. @param lines  of the trace, so far as they are kept */
  readonly begun?: (stage: Watching, lines: readonly string[]) => void;
  /** before each act */
  readonly acting?: (stage: Watching, number: number) => void;
}

/** cuts without which no state can have been rejected for them */
const CUTS_TO_REJECT = 3;
/** ms that a healed device has: the backoff's cap, twice */
const HEALED_MS = 2 * 3_600_000;
/** ms in which a session with the broker is made anew, the longest backoff included, and what it held is read */
const HEARD_MS = 20 * 60_000;
/** ms in which nothing may be written that nobody asked for */
const IDLE_MS = 3_600_000;

export function run(schedule: Schedule, options: RunOptions = {}): Ran {
  const trace = tracing(options.keep === true);
  const stage = stageOf(schedule.seed, trace.line);
  const { world, model: told } = stage;
  options.begun?.(stage, trace.lines);
  options.early?.(stage);
  boot(world);
  if (options.script) options.script(stage);
  for (const { number, act, afterMs } of schedule.acts) {
    pass(world, { ms: afterMs });
    if (told.violations.length > 0) break;
    trace.line(`-- ${number} ${act} at ${Math.round(world.time.now)} ms`);
    options.acting?.(stage, number);
    perform(stage, act, world.dice.split(`act ${number}`));
    pass(world, { ms: 0 });
    stage.watch.acted(world, act);
    watchReports(stage);
  }
  if (told.violations.length === 0) settle(stage, options.light === true);
  for (const { invariant, says } of told.violations) trace.line(`VIOLATION ${invariant}: ${says}`);
  const { cuts, boots, steps } = world;
  const { violations } = told;
  return { violations, cuts, boots, steps: steps.count, hash: trace.hash(), lines: trace.lines };
}

export interface Watching extends Stage {
  readonly watch: Watch;
  reports: number;
  programs: number;
}

/** What is known of a run at a moment of it. */
export interface Known {
  readonly moment: Moment;
  readonly model: Model;
  readonly watch: Watch;
  readonly stage: Pick<Stage, 'head' | 'contents' | 'bundles'>;
}

/** @param known  goes on from there */
export function stageOf(
  seed: number | string,
  line: (text: string) => void,
  known?: Known,
): Watching {
  const told = known?.model.copy() ?? model();
  const observer = observerOf(() => stage, line);
  const stage: Watching = {
    ...{ head: null, contents: 0, bundles: 0, ...known?.stage },
    world: makeWorld(seed, observer, known?.moment),
    model: told,
    cutsAfterStart: [],
    wide: WIDE,
    inParts: isInParts(seed),
    watch: known?.watch.copy(told.violations) ?? watch(told.violations),
    reports: 0,
    programs: 0,
  };
  const { nodes } = stage.world.disk;
  const { rename } = nodes;
  nodes.rename = (changes) => {
    rename(changes);
    for (const { name, to } of changes) {
      if (name === 'b.conf' && to?.kind === 'file') {
        const text = new TextDecoder().decode(to.data);
        told.switched(text);
        if (stage.world.steps.life !== null) stage.watch.switched(text);
      }
    }
  };
  return stage;
}

function observerOf(stage: () => Watching, line: (text: string) => void): Observer {
  return {
    trace: line,
    operator: (world, handlers) => stage().watch.wrap(world, handlers),
    stopped: (world) => stage().watch.stopped(world),
    ready(world) {
      const said = toldNow(world);
      line(`ready ${said ? describeTold(said) : ''}`);
      if (said) stage().model.ready(seenNow(world), said, isSound(world));
      stage().watch.ready(world);
    },
    failed(world, why) {
      line(`failed to start: ${why.code}: ${why.message}`);
      stage().model.failedToStart(why.code, isSound(world));
    },
    broke(_world, error) {
      line(`broke: ${error instanceof Error ? error.stack : String(error)}`);
      stage().model.broke(error instanceof Error ? error.message : String(error));
    },
    cut(world, kind) {
      line(`fell by ${kind}`);
      if (kind === 'power') stage().watch.powerCut();
      world.steps.cancelCut();
      const next = stage().cutsAfterStart.shift();
      const again = world.dice.split(`again ${world.cuts}`);
      const how = again.oneIn(2) ? 'kill' : 'power';
      if (next !== undefined) world.steps.cutAt(world.steps.count + next, how);
    },
  };
}

function describeTold({ phase, applied, floor }: NonNullable<ReturnType<typeof toldNow>>): string {
  const of = (point: typeof applied) => (point ? `${point.epoch}.${point.sequence}` : 'nothing');
  return `${phase} applied ${of(applied)} floor ${of(floor)}`;
}

/** No trouble of the disk that the agent could meet. */
function isSound({ steps, disk, troublesBefore }: World): boolean {
  const none = steps.trouble === NO_TROUBLE && steps.troubles === troublesBefore;
  return none && disk.capacity >= ROOMY_BYTES;
}

export function watchReports(stage: Watching): void {
  const { world, model: told } = stage;
  for (const status of newReports(world, stage.reports)) told.reported(status);
  for (const digest of rejectedNow(world)) told.rejected(digest);
  stage.reports = world.broker.received.length;
  const { started } = world.processes;
  for (; stage.programs < started.length; stage.programs += 1) {
    told.started(started[stage.programs] ?? '');
  }
}

/**
 * Every fault ends, and the newest state is waited for. Whether it was reached is for the model to say.
 * @param mayPublish  one more statement may come
 */
export function heal(stage: Watching, choose: Dice, mayPublish: boolean): boolean {
  const { world } = stage;
  world.steps.cancelCut();
  stage.cutsAfterStart.length = 0;
  world.steps.trouble = NO_TROUBLE;
  freeDisk(world);
  healNetwork(world);
  stage.model.well();
  world.wallOffsetMs = Math.max(world.wallOffsetMs, Date.UTC(2026, 10, 24)) % Date.UTC(2039, 1, 1);
  // Who resumes has seen the end of what was asked before: a rollback under way would hold again.
  const free = (): boolean => world.running?.ready === true && !world.running.assembled.busy();
  pass(world, { ms: 600_000, holds: free });
  perform(stage, 'resume', choose);
  if (stage.head === null || (mayPublish && choose.oneIn(2))) perform(stage, 'publish', choose);
  else world.publisher.turnBack(stage.head);
  const reached = pass(world, { ms: HEALED_MS, holds: () => isThere(stage) });
  // The remedy that the device itself names: publish anew.
  if (world.cuts >= CUTS_TO_REJECT && world.running && wasCutTooOften(world.running)) {
    perform(stage, 'publish', world.dice.split('anew'));
    pass(world, { ms: HEALED_MS, holds: () => isThere(stage) });
  }
  return reached;
}

/** Every fault ends; the operator lets the device go on; a last statement may come. */
function settle(stage: Watching, light: boolean): void {
  const { world, model: told } = stage;
  const choose = world.dice.split('end');
  const reached = heal(stage, choose, !light);
  pass(world, { ms: 120_000 });
  watchReports(stage);
  const said = toldNow(world);
  if (!said) {
    told.broke(`no agent answers (${reached})`);
    return;
  }
  told.end(seenNow(world), said, stage.head);
  stage.watch.ended(world);
  if (light) return;
  if (choose.oneIn(8)) idle(stage);
  if (told.violations.length === 0) tidy(stage);
  if (told.violations.length === 0) onTrial(stage);
}

/** Nothing is wrong and nothing is under way: one more story, which chance seldom tells. */
function onTrial(stage: Watching): void {
  const { world, model: told } = stage;
  const choose = world.dice.split('trial');
  const name = undergo({ stage, choose, isThere: () => isThere(stage) });
  world.observer.trace(`-- trial: ${name}`);
  watchReports(stage);
  const said = toldNow(world);
  if (!said) told.broke(`no agent answers after the trial: ${name}`);
  else if (told.violations.length === 0) told.end(seenNow(world), said, stage.head);
  stage.watch.ended(world);
}

/** Check 20: a cut counts as a failed try; a state whose every try was cut is rejected for that. */
function wasCutTooOften({ assembled }: NonNullable<World['running']>): boolean {
  const { fleet, channel, floor } = rowOf(assembled);
  const row = floor && assembled.base.store.state(fleet, channel, floor.stateDigest);
  const parts = row?.ok ? (row.value?.open?.parts ?? []) : [];
  if (parts.some(({ failure }) => failure?.code === 'apply.crash-loop')) return true;
  const rejected = assembled.base.store.rejected(fleet, channel);
  return (rejected.ok ? rejected.value : []).some(
    ({ code, point }) => code === 'apply.crash-loop' && point.stateDigest === floor?.stateDigest,
  );
}

/** Of the channel that this world publishes to: the first one. */
function rowOf({ lines: [line] }: NonNullable<World['running']>['assembled']): ChannelRow {
  if (!line) throw new Error('this device follows no channel');
  return line.follower.row();
}

/** Nothing is under way, and the newest is applied, or refused for good. */
export function isThere({ world: { running }, head }: Stage): boolean {
  if (!running?.ready || running.assembled.busy()) return false;
  const { intent, applied, floor } = rowOf(running.assembled);
  if (intent !== null) return false;
  const reached = head?.bad || wasCutTooOften(running) ? floor : applied;
  return head === null || reached?.stateDigest === head.digest;
}

/** I7: an idle device writes nothing, and nothing of a change is left over. */
function idle(stage: Watching): void {
  const { world, model: told } = stage;
  // Nudges that waited at the broker are news: what is refused of them is written down.
  pass(world, { ms: HEARD_MS });
  const before = world.commits.count;
  pass(world, { ms: IDLE_MS });
  const commits = world.commits.count - before;
  // One that ends again and again has its health to tell, a few times an hour.
  const restless = stage.head?.wanted.programs.some((version) => version.startsWith('~'));
  if (commits > (restless ? 20 : 2))
    told.violations.push({ invariant: 'I7', says: `${commits} commits when idle` });
}

/** I7: one more change, and nothing of those before it is left over. */
function tidy(stage: Watching): void {
  const { world, model: told } = stage;
  perform(stage, 'publish', world.dice.split('last'));
  pass(world, { ms: HEALED_MS, holds: () => isThere(stage) });
  pass(world, { ms: 120_000 });
  const said = toldNow(world);
  if (said) told.end(seenNow(world), said, stage.head);
  const left = leftovers(world);
  if (left !== null) told.violations.push({ invariant: 'I7', says: `${left} is left over` });
}

/** of generations that are kept: applied, accepted, and those that a rollback may go to */
const STAGED_MAX = 4;
const INODES_MAX = 260;
const STAGED = /^\.holdfast-[0-9a-f]{16}-([0-9a-f]{16})-[0-9a-f]{16}\.tmp$/;

/** Beside a target may stand what was staged for a kept generation; nothing else is in the making. */
function leftovers(world: World): string | null {
  const found: string[] = [];
  const staged = new Set<string>();
  let inodes = 0;
  const visit = (inode: World['disk']['root'], path: string): void => {
    for (const name of [...inode.entries.keys()].sort()) {
      const entry = inode.entries.get(name);
      inodes += 1;
      const [, generation] = STAGED.exec(name) ?? [];
      if (generation !== undefined) staged.add(generation);
      else if (/\.(?:tmp|part|new)$|^\.part/.test(name)) found.push(`${path}/${name}`);
      else if (entry?.kind === 'directory' && entry.device === 1) visit(entry, `${path}/${name}`);
    }
  };
  for (const top of ['/opt', '/var']) {
    const inode = world.disk.find(top);
    if (inode) visit(inode, top);
  }
  if (staged.size > STAGED_MAX) return `what was staged for ${staged.size} generations`;
  if (inodes > INODES_MAX) return `a disk of ${inodes} inodes`;
  return found[0] ?? null;
}

export function tracing(keep: boolean) {
  const lines: string[] = [];
  const hasher = new Bun.CryptoHasher('sha256');
  return {
    lines,
    line(text: string): void {
      if (keep) lines.push(text);
      hasher.update(text);
      hasher.update('\n');
    },
    hash: (): string => hasher.digest('hex'),
  };
}
