/**
 * Puts the agent together from its configuration: base.ts, links, runtimes, and a line for each channel
 * (line.ts). Nothing is asked before recovery (device-agent.ts). One line here for what a new part of
 * the whole device needs to know; what belongs to one channel goes into line.ts.
 */
import { realBelow } from '#apply/owned.ts';
import type { ApplyContext, Moment } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Delivery, News, Snapshot } from '#report/deliver.ts';
import type { Generation } from '#state/generation.ts';
import type { StoreWriter } from '#store/store.ts';
import { TRIGGERS } from '#triggers/catalogue.ts';
import type { Command } from '#triggers/command.ts';
import { type Base, followedBy, openBase, type ProgramVersion } from './base.ts';
import { type BesideParts, beside } from './beside.ts';
import type { BundleShelf } from './bundles.ts';
import { collect } from './collect.ts';
import type { AgentConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';
import { currentTrust } from './current-trust.ts';
import { type DeviceAgent, deviceAgent } from './device-agent.ts';
import { type DeviceChannel, openDeviceChannel } from './device-channel.ts';
import { secretsOf } from './device-values.ts';
import type { Finder } from './find.ts';
import { type DevicePause, type Follower, follower, tellMoment } from './follow.ts';
import { type Common, type Line, openLine } from './line.ts';
import { type Margo, withMargo } from './margo.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import { openBundles } from './open-bundles.ts';
import { type BundleReader, withOtherBundles, withoutForeign } from './own-bundles.ts';
import { type Progress, progressOf } from './progress.ts';
import { quiet } from './quiet.ts';
import { type AgentRuntimes, openRuntimes } from './runtimes.ts';
import { type Links, openLinks } from './sources.ts';
import { CRASHES_MAX, QUIET_MS } from './start-count.ts';
import { deliveryOf, recordLink, snapshotOf } from './telling.ts';
import { type Timekeeping, timekeeping } from './timekeeping.ts';
import { type Turns, turns } from './turns.ts';
import { connect, type LineTriggers, lineTriggers } from './waking.ts';

/** The program that runs this agent. */
export interface Program extends ProgramVersion {
  /** absolute: no state may replace it */
  readonly executable: string;
  /** Ends this run when nothing is under way, and starts anew; absent: it cannot. */
  readonly reload?: () => void;
  /** Recovery is done and the last proven state runs. */
  ready(): void;
}

/** Everything, for the command `agent` and the control handlers. */
export interface Assembled {
  readonly agent: DeviceAgent;
  readonly base: Base;
  readonly config: AgentConfig;
  /** the channels, in the order of agent.yaml; at least one */
  readonly lines: readonly Line[];
  readonly turns: Turns;
  readonly command: Command;
  readonly context: ApplyContext;
  readonly runtimes: AgentRuntimes;
  readonly links: Links;
  readonly delivery: Delivery | null;
  readonly progress: Progress;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly bundles: BundleShelf;
  /** the operator paused the device as a whole */
  readonly pause: DevicePause;
  /** a change is under way */
  busy(): boolean;
  /** Until nothing is under way any more. */
  idle(): Promise<void>;
  isReady(): boolean;
  snapshot(): Result<Snapshot>;
  /** Triggers, links and delivery; after `agent.start`. The returned function stops them. */
  connect(): () => Promise<void>;
  close(): void;
}

export function assemble(
  platform: Platform,
  config: AgentConfig,
  program: Program,
): Result<Assembled> {
  const base = openBase(platform, config, program);
  if (!base.ok) return base;
  const assembled = assembleOn(base.value, platform, config, program);
  if (!assembled.ok) base.value.close();
  return assembled;
}

function assembleOn(
  base: Base,
  platform: Platform,
  config: AgentConfig,
  program: Program,
): Result<Assembled> {
  const { time, root, device } = base;
  const names = { fleet: root.fleet, deviceId: device.id, agentVersion: program.version };
  const links = openLinks({ platform, config, time, ...names, roots: base.roots });
  if (!links.ok) return links;
  const wires: Wires = {
    ...{ changed: () => {}, settle: () => {}, rootReplaced: () => {}, valuesChanged: () => {} },
    ...{ followers: new Map(), lines: new Map(), device: null },
  };
  const runtimes = openRuntimes({
    platform,
    content: base.content,
    secrets: secretsOf(base.content, base.identity.sealing),
    config,
    executable: program.executable,
    reconfigure: program.reload,
    onChange: () => wires.changed('detail'),
  });
  if (!runtimes.ok) return runtimes;
  const joined = withMargo({ platform, base, config }, wires, links.value);
  if (!joined.ok) return joined;
  const made = { links: joined.value, runtimes: runtimes.value };
  return partsOf({ base, platform, config, program, wires, ...made });
}

interface Given {
  readonly base: Base;
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly program: Program;
  readonly links: Links;
  readonly runtimes: AgentRuntimes;
  readonly wires: Wires;
}

/** What the parts below tell each other; filled in while they are made. */
interface Wires {
  changed: (what: News) => void;
  settle: (tx: StoreWriter) => void;
  rootReplaced: () => void;
  valuesChanged: () => void;
  readonly followers: Map<string, Follower>;
  readonly lines: Map<string, Line>;
  margo?: Margo;
  device: DeviceChannel | null;
}

function partsOf(given: Given): Result<Assembled> {
  const { base, platform, config, links, runtimes, wires } = given;
  const context = contextOf(given);
  const pause = pauseOf(base);
  if (!pause.ok) return pause;
  const followers = followersOf(given, context, pause.value);
  if (!followers.ok) return followers;
  const waking = new Map(followers.value.map((one) => [one, lineTriggers(platform, config)]));
  const kept = timekeeping({
    ...{ base, platform, config, links },
    channels: [...waking].map(([one, { gate }]) => ({
      follower: one,
      shown: () => wires.lines.get(one.channel)?.finder.highest() ?? null,
      wake: gate.wake,
    })),
    changed: (what) => wires.changed(what),
  });
  if (!kept.ok) return kept;
  const device = openDeviceChannel({
    ...{ ...given, agentVersion: given.program.version, pause: pause.value },
    attestation: () => kept.value.attestation(''),
    valuesChanged: () => wires.valuesChanged(),
    rootReplaced: () => wires.rootReplaced(),
  });
  if (!device.ok) return device;
  wires.device = device.value;
  const own = { device: device.value, timekeeping: kept.value };
  const whole = linesOf(given, { context, waking, ...own });
  const { lines, agent } = whole;
  const snapshot = (): Result<Snapshot> =>
    snapshotOf({
      ...{ base, platform, context, agentVersion: given.program.version, lines, ...own },
      healthOf: (generation) => runtimes.monitor.health(generation),
    });
  const delivery = deliveryOf(base, platform, links, snapshot);
  if (!delivery.ok) return delivery;
  if (delivery.value) {
    const told = delivery.value;
    wires.changed = (what) => told.changed(what);
    wires.settle = (tx) => void told.settle(tx);
  }
  wires.valuesChanged = () => void agent.valuesChanged();
  const command = TRIGGERS.command();
  const bundles = openBundles({
    ...{ platform, base, config, lines, agent, device: device.value },
    trusted: (line) => currentTrust(given, line.follower, kept.value.attestation(line.channel)),
    changed: () => wires.changed('detail'),
  });
  const endQuiet = platform.clock.after(QUIET_MS, () => base.starts.reset());
  const connecting = {
    ...{ platform, config, links, lines, command, ...own, bundles },
    delivery: delivery.value,
    linkEvent(event: MqttLinkEvent): void {
      if (recordLink(given, event)) wires.changed('detail');
    },
  };
  return ok({
    ...{ ...whole, command, base, config, context, runtimes, links, ...own, bundles, snapshot },
    pause: pause.value,
    delivery: delivery.value,
    connect: () => connect(connecting),
    close() {
      endQuiet();
      runtimes.monitor.close();
      runtimes.process.release();
      base.close();
    },
  });
}

/** A device that cannot read its own row does not start. */
function pauseOf({ store }: Base): Result<DevicePause> {
  const row = store.device();
  return row.ok ? ok({ paused: row.value?.paused != null }) : row;
}

function followersOf(
  { base, config, wires }: Given,
  context: ApplyContext,
  device: DevicePause,
): Result<readonly Follower[]> {
  const safeModeCrashes = base.starts.crashes >= CRASHES_MAX ? base.starts.crashes : 0;
  const { audit, root } = base;
  for (const { name: channel } of config.channels) {
    const input = { context, audit, fleet: root.fleet, channel, device, safeModeCrashes };
    const following = follower(input);
    if (!following.ok) return following;
    wires.followers.set(channel, following.value);
  }
  return ok([...wires.followers.values()]);
}

interface LinesInput {
  readonly context: ApplyContext;
  readonly waking: ReadonlyMap<Follower, LineTriggers>;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
}

type WholeNames = 'agent' | 'lines' | 'turns' | 'progress' | 'isReady' | 'busy' | 'idle';

function linesOf(given: Given, input: LinesInput): Pick<Assembled, WholeNames> {
  const { base, platform, config, links, program, wires } = given;
  const { context, waking, timekeeping, device } = input;
  const { lines } = wires;
  const every = (): readonly Line[] => [...lines.values()];
  const taking = turns();
  const progress = progressOf();
  const busy = (): boolean => taking.holder() !== null || every().some(({ runner }) => runner.busy);
  const stir = quiet(platform.clock, platform.memory, busy);
  wires.rootReplaced = () => {
    wires.changed('phase');
    links.rootReplaced((wake) => every().map(({ gate }) => gate.wake(wake)));
    timekeeping.rootReplaced();
    device.takes({ kind: 'reconnect' });
  };
  const common: Common = {
    ...{ base, platform, config, links, context, timekeeping, device, turns: taking, busy },
    program,
    changed: (what) => wires.changed(what),
    progress: progress.tell,
    rootReplaced: () => wires.rootReplaced(),
    collect: () => collectNow(context, every()),
    watchHealth: watching(given),
    looked(channel, end) {
      timekeeping.looked(channel, end);
      if (end.kind === 'applied' || end.kind === 'refused') stir();
      if (end.kind === 'applied') lookAgain(every(), channel);
    },
    margo: () => wires.margo?.finder ?? null,
    aroundBundles: (channel, finder) => aroundBundles(given, device, { channel, finder }),
  };
  for (const settings of config.channels) {
    const following = wires.followers.get(settings.name);
    const triggers = following && waking.get(following);
    if (!following || !triggers) continue;
    lines.set(settings.name, openLine(common, { settings, follower: following, triggers }));
  }
  let ready = false;
  const agent = deviceAgent({
    context,
    channels: every(),
    ready() {
      ready = true;
      program.ready();
      stir();
    },
    changed: () => wires.changed('phase'),
  });
  const idle = async (): Promise<void> => {
    for (const { runner } of every()) await runner.idle();
  };
  const isReady = (): boolean => ready;
  return { agent, lines: every(), turns: taking, progress, isReady, busy, idle };
}

/** What another channel refused because this one had it may be free now. */
function lookAgain(lines: readonly Line[], applied: string): void {
  for (const { channel, follower: following, finder, gate } of lines) {
    if (channel === applied || following.refusal()?.code !== 'plan.conflict') continue;
    finder.forget();
    gate.wake({ kind: 'schedule' });
  }
}

/** One monitor for all programs: it is told what is in force of every channel. */
function watching({ runtimes }: Given): Common['watchHealth'] {
  const inForce = new Map<string, readonly Generation[]>();
  return (channel, current) => {
    inForce.set(channel, current);
    runtimes.monitor.watch([...inForce.values()].flat());
  };
}

/** The first channel looks through a bundle after all others (own-bundles.ts). */
function aroundBundles(
  { config, wires }: Given,
  device: DeviceChannel,
  { channel, finder }: { readonly channel: string; readonly finder: Finder },
): Finder {
  const [first, ...others] = config.channels;
  if (channel !== first?.name) return withoutForeign(finder);
  const readers = others.map(
    ({ name }): BundleReader => ({
      async look(path) {
        const glance = wires.lines.get(name)?.agent.glance({ kind: 'bundle', path });
        const found = (await glance?.found) ?? null;
        return found !== null && found.kind !== 'nothing';
      },
    }),
  );
  const own: BundleReader = {
    look: async (path, signal) =>
      (await device.look({ kind: 'bundle', path }, signal)).kind !== 'nothing',
  };
  return withOtherBundles(finder, [own, ...readers]);
}

async function collectNow(context: ApplyContext, lines: readonly Line[]): Promise<void> {
  const done = await collect(
    context,
    lines.map(({ follower: following }) => following.row()),
  );
  if (!done.ok) context.log.write('warn', 'collect.failed', { code: done.fault.code });
}

function contextOf(given: Given): ApplyContext {
  const { base, platform, config, runtimes, links, wires, program } = given;
  return {
    store: base.store,
    content: base.content,
    followed: followedBy(base, config),
    real: realBelow(platform.files, targetRoots(config.channels)),
    clock: platform.clock,
    log: platform.log,
    runtimes: runtimes.byType,
    keep: config.keep.generations,
    prove: (generations, windowMs, signal) => runtimes.prove(generations, windowMs, signal),
    control: links.control,
    ...(program.reload && { reconfigure: program.reload }),
    beside: (tx, moment) => beside(base, besideOf(given, moment), { tx, moment }),
    barred: (change) => wires.followers.get(change.channel)?.barredChange(change) ?? null,
    onPhase(phase, row) {
      platform.log.write('info', 'phase', { phase, channel: row.channel });
      base.audit.landed();
      followerOf(given, row)?.saw(row);
      wires.margo?.note();
      wires.device?.refresh();
      const lasts = phase === 'idle' || phase === 'waiting' || phase === 'stuck';
      wires.changed(lasts ? 'phase' : 'passing');
    },
  };
}

/** Null: of a channel that was left while a change was open (apply/left.ts). */
function followerOf(
  { base, wires }: Given,
  { fleet, channel }: Moment['row'],
): Follower | undefined {
  return fleet === base.root.fleet ? wires.followers.get(channel) : undefined;
}

/** Events of a channel that nobody follows any more are told all the same. */
function besideOf(given: Given, { row }: Moment): BesideParts {
  const { base, platform, config, wires } = given;
  const at = platform.clock.wallMs();
  const { audit } = base;
  const unfollowed: BesideParts['follower'] = {
    beside: (tx, moment) => tellMoment(tx, { audit, at, channel: row.channel }, moment),
  };
  return {
    follower: followerOf(given, row) ?? unfollowed,
    followed: followedBy(base, config),
    device: wires.device,
    ...(row.channel === MARGO_CHANNEL && wires.margo && { margo: wires.margo }),
    settle: wires.settle,
  };
}
