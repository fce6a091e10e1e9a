/** What owners and operators of a device in the field do: agent.yaml, pauses, sticks, what a channel left. */
import type { ControlHandlers } from '#control/api.ts';
import type { Policy } from '#state/policy.ts';
import type { Dice } from '../world/random.ts';
import type { World } from '../world/shape.ts';
import { CONFIG_FILE, pass } from '../world/world.ts';
import { type Channel, type FieldIssued, placeOfChannel } from './desk.ts';
import { configText, seenInField } from './device.ts';
import { MOODS, setMood } from './mirrors.ts';
import { type Do, issueIn, plainChoice, releaseIn, someWindows } from './publishing.ts';
import { type FieldAct, someChannels } from './schedule.ts';
import { type FieldStage, lookNow, stillNow, tellClock, weather } from './stage.ts';

/** ms that a change takes when nothing is in its way */
const ARRIVES_MS = 900_000;

function handlersOf({ running }: World): ControlHandlers | null {
  return running?.ready ? running.handlers : null;
}

/** Nothing that the agent does. */
function outside({ steps }: World, work: () => void): void {
  const { life } = steps;
  steps.life = null;
  work();
  steps.life = life;
}

function ask(stage: FieldStage, what: 'pause' | 'resume', channel: Channel | null): void {
  const { world, model } = stage;
  const handlers = handlersOf(world);
  if (!handlers) return;
  const calm = stillNow(world) === true;
  model.pauses.asked(channel, what);
  const named = channel ?? undefined;
  const done = what === 'pause' ? handlers.pause('simulated', named) : handlers.resume(named);
  const told = seenInField(world)?.told;
  if (done.ok && told) model.pauses.answered(channel, what === 'pause', told, calm);
}

/** agent.yaml names other channels from now on; who is running is told so, or finds it at the next start. */
function configure(stage: FieldStage, channels: readonly Channel[], told: boolean): void {
  const { world } = stage;
  if (channels.some((channel) => stage.forgetting.has(channel))) return;
  stage.setup = { ...stage.setup, channels };
  outside(world, () => world.disk.plant(CONFIG_FILE, configText(stage.setup)));
  if (told && world.running?.ready) world.running.reload();
}

function forget(stage: FieldStage, channel: string): void {
  const { world, model, forgetting } = stage;
  const handlers = handlersOf(world);
  if (!handlers) return;
  model.forgetting(channel, 'asked');
  forgetting.add(channel);
  const answered = (ok: boolean): void => {
    model.forgetting(channel, ok ? 'done' : 'refused');
    forgetting.delete(channel);
  };
  handlers.forget(channel).then(
    ({ ok }) => answered(ok),
    () => {},
  );
}

/** From `canary` to `stable`, or back: the same content, signed for the other channel. */
function promote(stage: FieldStage, to: Channel): FieldIssued | null {
  const { setup, heads, world } = stage;
  const from = setup.channels.find((channel) => placeOfChannel(channel) === 'line');
  const head = from && heads.get(from);
  if (!head || from === to || head.bad || head.outside || head.severs) return null;
  const issued = issueIn(stage, to, head.choice, { promotedFrom: head });
  releaseIn(stage, issued, world.dice.split(`promoted ${issued.digest}`));
  return issued;
}

/** The program of the place, if it is the only one. */
function programAt({ processes }: World, place: string): number | null {
  const found = [...processes.living.values()].filter(({ behaviour }) =>
    behaviour.version.startsWith(`${place} program`),
  );
  return found.length === 1 ? (found[0]?.pid ?? null) : null;
}

/** The device moves to another channel with the same content: nothing restarts. */
function moveOver(stage: FieldStage): void {
  const { world, setup, heads, model } = stage;
  const from = setup.channels.find((channel) => placeOfChannel(channel) === 'line');
  if (!from) return;
  const to: Channel = from === 'canary' ? 'stable' : 'canary';
  const head = heads.get(from);
  const issued = promote(stage, to);
  const applied = (channel: Channel) =>
    seenInField(world)?.told.find((told) => told.channel === channel)?.applied?.digest;
  // An older state of it may be on its way.
  const alone = stage.desk.issued.filter(({ channel }) => channel === to).length === 1;
  const same = issued && alone && applied(from) === head?.digest;
  const before = same ? programAt(world, 'line') : null;
  const { boots, cuts } = world;
  const ended = world.processes.started.length;
  configure(
    stage,
    setup.channels.map((channel) => (channel === from ? to : channel)),
    true,
  );
  if (before === null || !issued) return;
  const there = (): boolean => world.running?.ready === true && applied(to) === issued.digest;
  if (!pass(world, { ms: ARRIVES_MS, holds: there })) return;
  const undisturbed = world.boots === boots && world.cuts === cuts;
  const now = programAt(world, 'line');
  if (!undisturbed || now === before || world.processes.started.length === ended) return;
  const says = `the program of ${from} was restarted by the same content of ${to}`;
  model.violations.push({ invariant: 'takeover', says });
}

/** One channel is paused: another one goes on. */
function pauseAndSee(stage: FieldStage, choose: Dice): void {
  const { setup } = stage;
  const [held, other] = choose.oneIn(2) ? setup.channels : setup.channels.toReversed();
  if (!held || !other) return;
  ask(stage, 'pause', held);
  outside(stage.world, () => {
    releaseIn(stage, issueIn(stage, held, plainChoice(stage, held, choose)), choose);
  });
  arrives(stage, other, choose, { says: `${other} waits while ${held} is paused`, policy: {} });
}

/** What is urgent waits for no hour. */
function urgentAndSee(stage: FieldStage, choose: Dice): void {
  const channel = choose.pick(stage.setup.channels);
  const windows = someWindows(stage, choose);
  const says = `an urgent state of ${channel} waits for its hour`;
  arrives(stage, channel, choose, {
    says,
    policy: { urgent: true, windows, spreadMs: ARRIVES_MS * 4 },
  });
}

/** Nothing is in the way of a small change, and nothing comes in between: it has to be applied soon. */
function arrives(
  stage: FieldStage,
  channel: Channel,
  choose: Dice,
  { says, policy }: { readonly says: string; readonly policy: Partial<Policy> },
): void {
  const { world, setup, model } = stage;
  const toldOf = () => seenInField(world)?.told.find((told) => told.channel === channel);
  const before = toldOf();
  const free = before?.held === false && model.pauses.holds(channel) === false;
  const undisturbed = (): string =>
    [world.boots, world.cuts, stage.partings, world.steps.troubles, setup === stage.setup].join();
  const at = undisturbed();
  const choice = { ...plainChoice(stage, channel, choose), web: null, program: null };
  outside(world, () => {
    const issued = issueIn(stage, channel, choice, { policy });
    releaseIn(stage, issued, choose);
    // Who is not told may look again after an hour only.
    stage.desk.nudge(issued, { whole: false, retain: false });
  });
  const digest = stage.heads.get(channel)?.digest;
  const there = (): boolean => toldOf()?.applied?.digest === digest;
  const reached = pass(world, { ms: ARRIVES_MS, holds: () => undisturbed() !== at || there() });
  if (!free || !isFine(stage) || undisturbed() !== at || reached) return;
  model.violations.push({ invariant: 'arrival', says });
}

/** The control plane is in reach, by every way. */
function isFine({ world, mirrors, parted }: FieldStage): boolean {
  const { weather: now } = world.network;
  const good = mirrors.every(({ mood }) => mood === 'good');
  return !parted && !now.parted && now.troubleOneIn === 0 && good;
}

function consent(stage: FieldStage, choose: Dice): void {
  const { world, model, sticks } = stage;
  const handlers = handlersOf(world);
  const listed = handlers?.status();
  if (!handlers || !listed?.ok) return;
  const offered = (listed.value.bundles ?? []).filter(({ state }) => state === 'offered');
  const known = sticks.filter(({ path }) => offered.some((one) => one.path === path));
  if (known.length === 0) return;
  const { path, issued } = choose.pick(known);
  model.consented(issued.digest);
  handlers.apply(path, () => {}).catch(() => {});
}

export const PEOPLE = {
  consent,
  follow(stage, choose) {
    configure(stage, someChannels(choose), !choose.oneIn(4));
  },
  switch: moveOver,
  forget(stage, choose) {
    const left = seenInField(stage.world)?.told.filter(({ orphaned }) => orphaned) ?? [];
    if (left.length > 0) forget(stage, choose.pick(left).channel);
  },
  'pause-one': (stage, choose) => ask(stage, 'pause', choose.pick(stage.setup.channels)),
  'pause-all': (stage) => ask(stage, 'pause', null),
  'resume-one': (stage, choose) => ask(stage, 'resume', choose.pick(stage.setup.channels)),
  'resume-all': (stage) => ask(stage, 'resume', null),
  'pause-and-see': pauseAndSee,
  'urgent-and-see': urgentAndSee,
  rollback(stage, choose) {
    const { world, model, setup } = stage;
    const handlers = handlersOf(world);
    if (!handlers) return;
    const channel = choose.pick(setup.channels);
    model.askedBack(channel);
    handlers.rollback(() => {}, channel).catch(() => {});
  },
  apply({ world }) {
    handlersOf(world)
      ?.apply(null, () => {})
      .catch(() => {});
  },
  'apply-now'(stage) {
    const { world, model, desk } = stage;
    const handlers = handlersOf(world);
    if (!handlers) return;
    tellClock(stage);
    model.timing.letPass(desk.issued.map(({ digest }) => digest));
    handlers.apply(null, () => {}, true).catch(() => {});
  },
  mood(stage, choose) {
    setMood(choose.pick(stage.mirrors), choose.pick(MOODS), stage.world.registry);
    weather(stage);
  },
  part(stage) {
    stage.parted = true;
    weather(stage);
  },
  'heal-network'(stage) {
    healField(stage);
  },
  'bad-network'(stage, choose) {
    stage.world.network.weather.troubleOneIn = choose.pick([6, 20]);
    weather(stage);
  },
  'broker-restart': ({ world }) => world.broker.restart(),
  mend(stage) {
    stage.mended = true;
    weather(stage);
  },
  'end-program'({ world, model }, choose) {
    model.disturbed();
    const programs = [...world.processes.living.values()].filter(({ agent }) => !agent);
    if (programs.length > 0) choose.pick(programs).end(null, 'SIGSEGV');
  },
  clock(stage, choose) {
    const { world } = stage;
    const to = choose.pick([0, Date.UTC(2026, 10, 24), Date.UTC(2026, 10, 24)]);
    world.wallOffsetMs = to - world.time.now;
    tellClock(stage);
  },
  reload: ({ world }) => world.running?.ready && world.running.reload(),
  'restart-agent': ({ world }) => world.running?.stop(),
  cut({ world }, choose) {
    const kind = choose.oneIn(3) ? 'kill' : 'power';
    world.steps.cutAt(world.steps.count + 1 + choose.below(choose.pick([4, 30, 150])), kind);
  },
  'cut-again'(stage, choose) {
    PEOPLE.cut(stage, choose);
    const times = 1 + choose.below(6);
    for (let time = 0; time < times; time += 1) {
      stage.cutsAfterStart.push(1 + choose.below(choose.pick([6, 25, 60])));
    }
  },
} satisfies Partial<Record<FieldAct, Do>>;

/** All ways are good again, but for what a state in force has cut off. */
export function healField(stage: FieldStage): void {
  const { world, mirrors } = stage;
  stage.parted = false;
  world.network.weather.troubleOneIn = 0;
  for (const mirror of mirrors) setMood(mirror, 'good', world.registry);
  weather(stage);
  lookNow(stage);
}
