/** What each act of a schedule does to the world. */
import type { Model } from './model/model.ts';
import type { Act, CoreAct } from './schedule.ts';
import { PARTS_AT, WIDE_EVERY, type WideAct } from './width/schedule.ts';
import type { Watch } from './width/watch.ts';
import { NO_TROUBLE } from './world/crash.ts';
import { ROOMY_BYTES } from './world/disk.ts';
import { simKey } from './world/keys.ts';
import type { Issued, IssueOptions } from './world/publisher.ts';
import type { Dice } from './world/random.ts';
import type { Running, World } from './world/shape.ts';
import type { Choice } from './world/states.ts';
import { toldNow } from './world/watch.ts';
import { USB } from './world/world.ts';

export interface Stage {
  readonly world: World;
  readonly model: Model;
  /** the highest that the registry's tag ever named, of those that anybody may sign */
  head: Issued | null;
  /** steps after a start at which the next cut strikes, in recovery */
  readonly cutsAfterStart: number[];
  /** numbers of contents, each used once */
  contents: number;
  bundles: number;
  /** acts of wide schedules */
  readonly wide: Readonly<Record<WideAct, Do>>;
  readonly watch: Watch;
  readonly inParts: boolean;
}

export type Do = (stage: Stage, choose: Dice) => void;

export function perform(stage: Stage, act: Act, choose: Dice): void {
  const { steps } = stage.world;
  const { life } = steps;
  const doIt: Do = act in DOES ? DOES[act as CoreAct] : stage.wide[act as WideAct];
  // Actors are outside of the agent: what they do is no step of it.
  const outside = !OF_THE_AGENT.has(act);
  if (outside) steps.life = null;
  try {
    doIt(stage, choose);
  } catch (error) {
    if (!life) throw error;
    stage.world.threw(life, error);
  }
  if (outside) steps.life = life;
  stage.world.time.drain();
}

const OF_THE_AGENT: ReadonlySet<Act> = new Set([
  'pause',
  'resume',
  'rollback',
  'apply',
  'restart-agent',
  'stop',
  'edit',
]);

export function choice(stage: Stage, choose: Dice): Choice {
  stage.contents += 1;
  const number = stage.contents;
  const kept = Math.max(1, number - 1);
  const plc = choose.oneIn(2) ? null : choose.pick([number, kept]);
  const conduct = choose.pick([
    {},
    {},
    {},
    { ignoresTerm: true },
    { forks: true },
    { exitsAfterMs: 5_000 },
  ]);
  return {
    conf: choose.oneIn(6) ? null : number,
    web: choose.oneIn(3) ? null : choose.pick([number, kept]),
    plc,
    // One that stays the same runs on through the change.
    conduct: plc === kept ? {} : conduct,
    check: choose.pick(['healthy', 'healthy', null] as const),
    reload: choose.oneIn(3),
  };
}

/** Every fifth seed: states come into force deployment by deployment, now and then. */
export function isInParts(seed: number | string): boolean {
  return typeof seed === 'number' && seed % WIDE_EVERY === PARTS_AT;
}

export function issue(stage: Stage, choices: Choice, options: IssueOptions = {}): Issued {
  const { made, how } = inParts(stage, choices, options);
  const issued = stage.world.publisher.issue(made, how);
  stage.model.published(issued);
  return issued;
}

function inParts(stage: Stage, made: Choice, options: IssueOptions) {
  const { inParts: allowed, world } = stage;
  const choose = world.dice.split(`parts ${world.publisher.issued.length}`);
  if (!allowed || choose.oneIn(4)) return { made, how: options };
  const policy = { ...options.policy, atomicity: 'deployment' as const };
  const needs = choose.oneIn(2) ? { needs: true as const } : {};
  return { made: { ...made, ...needs }, how: { ...options, policy } };
}

export function release(stage: Stage, issued: Issued, choose: Dice): void {
  const { publisher } = stage.world;
  publisher.push(issued);
  stage.head = issued;
  const how = choose.below(4);
  if (how > 0) publisher.nudge(issued, { whole: how === 3, retain: choose.oneIn(2) });
}

function publish(stage: Stage, choose: Dice): void {
  const options = choose.oneIn(4) ? { healthWindowMs: 700 } : {};
  release(stage, issue(stage, choice(stage, choose), options), choose);
}

function badChoice(stage: Stage, choose: Dice): Choice {
  const good = choice(stage, choose);
  if (choose.oneIn(2)) {
    const check = choose.pick(['ill', 'nothing'] as const);
    return { ...good, conf: stage.contents, check };
  }
  return { ...good, plc: stage.contents, conduct: { exitsAfterMs: choose.pick([5, 300]) } };
}

const CONTENT_FORGED = 1_000_000;

const DOES: Readonly<Record<CoreAct, Do>> = {
  publish,
  'publish-bad': (stage, choose) => release(stage, issue(stage, badChoice(stage, choose)), choose),
  'publish-forged'(stage, choose) {
    const { publisher, registry } = stage.world;
    const conf = CONTENT_FORGED + choose.below(1_000);
    const made = { ...choice(stage, choose), conf, plc: conf, check: null };
    const sequence = publisher.sequence + 1n + BigInt(choose.below(50));
    const issued = issue(stage, made, { signer: simKey('nobody'), sequence });
    // Whoever forges has an account at the registry, and may move the tag for a while.
    const before = registry.tags.get('stable');
    if (choose.oneIn(2)) publisher.push(issued);
    else registry.push('forged', issued.manifest, issued.blobs);
    publisher.nudge(issued, { whole: choose.oneIn(2), retain: choose.oneIn(2) });
    stage.world.time.after(60_000, () => {
      const now = registry.tags.get('stable');
      if (before && now === issued.manifestDigest) registry.tags.set('stable', before);
    });
  },
  'publish-quietly'(stage, choose) {
    const issued = issue(stage, choice(stage, choose));
    stage.world.publisher.push(issued);
    stage.head = issued;
  },
  equivocate(stage, choose) {
    const { publisher } = stage.world;
    if (publisher.sequence === 0n) return;
    const options = { sequence: publisher.sequence, mark: 'other' };
    const issued = issue(stage, choice(stage, choose), options);
    publisher.nudge(issued, { whole: choose.oneIn(2), retain: false });
    if (choose.oneIn(2)) publisher.push(issued);
    stage.head = null;
  },
  'turn-back'({ world }, choose) {
    const { issued } = world.publisher;
    if (issued.length > 0) world.publisher.turnBack(choose.pick(issued));
  },
  rotate(stage, choose) {
    stage.world.publisher.rotate({ epoch: false });
    publish(stage, choose);
  },
  epoch(stage, choose) {
    stage.world.publisher.rotate({ epoch: true });
    publish(stage, choose);
  },
  bundle(stage, choose) {
    const issued = issue(stage, choice(stage, choose));
    stage.bundles += 1;
    stage.world.publisher.bundle(stage.world.disk, `${USB}/bundle-${stage.bundles}`, issued);
    stage.head = issued;
    if (choose.oneIn(2)) release(stage, issued, choose);
  },
  part: ({ world }) => world.network.part(true),
  'heal-network': ({ world }) => healNetwork(world),
  'bad-network'({ world }, choose) {
    world.network.weather.troubleOneIn = choose.pick([3, 6, 20]);
  },
  stale({ world }) {
    world.registry.stale = true;
  },
  'broker-restart': ({ world }) => world.broker.restart(),
  'end-program'(stage, choose) {
    const living = [...stage.world.processes.living.values()];
    const programs = living.filter(({ agent }) => !agent);
    if (programs.length === 0) return;
    const program = choose.pick(programs);
    // Of the state that is being proven: it is rejected for that, and its publisher publishes anew.
    if (isOnTrial(stage, program.behaviour.version)) stage.head = null;
    program.end(null, 'SIGSEGV');
  },
  meddle({ world, model }, choose) {
    const path = choose.pick(['/opt/conf/a.conf', '/opt/conf/b.conf', '/opt/web/index.html']);
    if (!world.disk.find(path)) return;
    model.meddled();
    world.disk.plant(world.disk.resolve(path), 'by hand');
  },
  // The socket is served once recovery is over (cli/agent.ts).
  pause({ world }) {
    if (world.running?.ready) world.running.handlers.pause('simulated');
  },
  resume({ world, model }) {
    if (!world.running?.ready) return;
    const unjudged = unjudgedState(world.running);
    if (unjudged !== null) model.letGoOn(unjudged);
    world.running.handlers.resume();
  },
  rollback({ world, model }) {
    if (!world.running?.ready) return;
    model.askedBack();
    world.running.handlers.rollback(() => {}).catch(() => {});
  },
  apply({ world }) {
    if (world.running?.ready) world.running.handlers.apply(null, () => {}).catch(() => {});
  },
  'restart-agent': ({ world }) => world.running?.stop(),
  clock({ world }, choose) {
    const to = choose.pick([0, Date.UTC(2040, 1, 1), Date.UTC(2026, 10, 24)]);
    world.wallOffsetMs = to - world.time.now;
  },
  'disk-trouble'({ world, model }, choose) {
    model.excused();
    const errno = choose.pick(['EIO', 'EROFS', 'ENOSPC'] as const);
    const from = choose.below(30);
    const length = 1 + choose.below(errno === 'EIO' ? 3 : 25);
    let left = from + length;
    world.steps.trouble = () => {
      left -= 1;
      if (left <= 0) world.steps.trouble = NO_TROUBLE;
      return left < length ? errno : null;
    };
  },
  'full-disk'({ world, model }, choose) {
    model.excused();
    world.disk.capacity = world.disk.used() + choose.pick([0, 3_000, 70_000]);
    world.time.after(choose.pick([2_000, 90_000]), () => freeDisk(world));
  },
  cut({ world }, choose) {
    const kind = choose.oneIn(3) ? 'kill' : 'power';
    world.steps.cutAt(world.steps.count + 1 + choose.below(choose.pick([4, 30, 150])), kind);
  },
  'cut-again'(stage, choose) {
    DOES.cut(stage, choose);
    const times = 1 + choose.below(6);
    for (let time = 0; time < times; time += 1) {
      stage.cutsAfterStart.push(1 + choose.below(choose.pick([6, 25, 60])));
    }
  },
};

function isOnTrial({ world, head }: Stage, version: string): boolean {
  const told = world.running?.ready ? toldNow(world) : null;
  if (told?.phase !== 'activating' && told?.phase !== 'proving') return false;
  const named = head?.wanted.programs.some((each) => each === version || each === `~${version}`);
  return named === true && told.floor?.digest === head?.digest;
}

/** Accepted, not under way, neither applied nor rejected: the digest of such a state. */
function unjudgedState({ assembled: { base, lines } }: Running): string | null {
  const row = lines[0]?.follower.row();
  const floor = row?.floor?.stateDigest;
  if (!row || !floor || row.intent !== null || floor === row.applied?.stateDigest) return null;
  const rejected = base.store.rejected(row.fleet, row.channel);
  const known = rejected.ok && rejected.value.some(({ point }) => point.stateDigest === floor);
  return known ? null : floor;
}

export function healNetwork({ network, registry }: World): void {
  network.part(false);
  network.weather.troubleOneIn = 0;
  registry.stale = false;
}

export function freeDisk({ disk }: World): void {
  disk.capacity = ROOMY_BYTES;
}
