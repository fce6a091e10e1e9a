/**
 * Puts the agent together from its configuration: base.ts, links, runtimes, the parts of the loop.
 * Nothing is asked before recovery (agent.ts). One line here for what a new part needs to know.
 */
import { disown, orphansOf } from '#apply/orphans.ts';
import { type ApplyContext, type Moment, runtimeOf } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Delivery, News, Snapshot } from '#report/deliver.ts';
import { downloads } from '#sources/download.ts';
import { type LayoutOptions, ociLayout } from '#sources/oci-layout.ts';
import type { StoreWriter } from '#store/store.ts';
import { type Agent, agent } from './agent.ts';
import { type Base, openBase, type ProgramVersion } from './base.ts';
import type { BundleShelf } from './bundles.ts';
import type { ChangeInput } from './change.ts';
import { collect, keptStates } from './collect.ts';
import type { AgentConfig } from './config.ts';
import { deferral, deferralFacts as facts } from './deferral.ts';
import { currentTrust } from './current-trust.ts';
import { type DeviceChannel, openDeviceChannel } from './device-channel.ts';
import { secretsOf } from './device-values.ts';
import { type Drift, drift } from './drift.ts';
import { type Finder, finder } from './find.ts';
import { type Follower, follower } from './follow.ts';
import { keptPolicy } from './kept-policy.ts';
import { makeChange, makeValuesChange } from './make-change.ts';
import { withOwnBundles } from './own-bundles.ts';
import { openBundles } from './open-bundles.ts';
import { type Progress, progressOf } from './progress.ts';
import { quiet } from './quiet.ts';
import { type Runner, runner } from './runner.ts';
import { type AgentRuntimes, openRuntimes } from './runtimes.ts';
import { type Links, openLinks } from './sources.ts';
import { CRASHES_MAX, QUIET_MS } from './start-count.ts';
import { deliveryOf, recordDrift, recordLag, recordLink, snapshotOf } from './telling.ts';
import { raiseTimeFloor } from './time-floor.ts';
import { type Timekeeping, timekeeping } from './timekeeping.ts';
import { connect, type Triggers, tellSchedule, triggersOf } from './waking.ts';

/** The program that runs this agent. */
export interface Program extends ProgramVersion {
  /** absolute: no state may replace it */
  readonly executable: string;
  /** Recovery is done and the last proven state runs. */
  ready(): void;
}

/** Everything, for the command `agent` and the control handlers. */
export interface Assembled extends Triggers {
  readonly agent: Agent;
  readonly base: Base;
  readonly config: AgentConfig;
  readonly follower: Follower;
  readonly finder: Finder;
  readonly context: ApplyContext;
  readonly runtimes: AgentRuntimes;
  readonly links: Links;
  readonly drift: Drift;
  readonly runner: Runner;
  readonly delivery: Delivery | null;
  readonly changes: ChangeInput;
  readonly progress: Progress;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly bundles: BundleShelf;
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
  const wires: Wires = { changed: () => {}, settle: () => {}, follower: null, device: null };
  const runtimes = openRuntimes({
    platform,
    content: base.content,
    secrets: secretsOf(base.content, base.identity.sealing),
    config,
    executable: program.executable,
    onChange: () => wires.changed('detail'),
  });
  if (!runtimes.ok) return runtimes;
  const made = { links: links.value, runtimes: runtimes.value };
  return partsOf({ base, platform, config, program, ...made }, wires);
}

interface Given {
  readonly base: Base;
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly program: Program;
  readonly links: Links;
  readonly runtimes: AgentRuntimes;
}

/** What the parts below tell each other; filled in while they are made. */
interface Wires {
  changed: (what: News) => void;
  settle: (tx: StoreWriter) => void;
  follower: Follower | null;
  device: DeviceChannel | null;
}

function partsOf(given: Given, wires: Wires): Result<Assembled> {
  const { base, platform, config, links, runtimes } = given;
  const context = contextOf(given, wires);
  const crashes = base.starts.crashes >= CRASHES_MAX ? base.starts.crashes : 0;
  const names = { fleet: base.root.fleet, channel: config.channel.name };
  const { audit } = base;
  const following = follower({ context, audit, ...names, safeModeCrashes: crashes });
  if (!following.ok) return following;
  wires.follower = following.value;
  const triggers = triggersOf(platform, config);
  const kept = timekeeping({
    ...{ base, platform, config, links, follower: following.value, wake: triggers.gate.wake },
    shown: () => loop.finder.highest(),
    changed: (what) => wires.changed(what),
  });
  if (!kept.ok) return kept;
  const device = openDeviceChannel({
    ...{ ...given, wires, agentVersion: given.program.version, first: following.value },
    attestation: () => kept.value.attestation(),
    valuesChanged: () => void loop.agent.valuesChanged(),
    rootReplaced: () => loop.rootReplaced(),
  });
  if (!device.ok) return device;
  wires.device = device.value;
  const own = { device: device.value, timekeeping: kept.value };
  const looping = { wires, context, follower: following.value, triggers, ...own };
  const loop = loopOf(given, looping);
  const snapshot = (): Result<Snapshot> =>
    snapshotOf({
      ...{ base, platform, context, agentVersion: given.program.version },
      follower: following.value,
      agent: loop.agent,
      drift: loop.drift,
      ...own,
      healthOf: (generation) => runtimes.monitor.health(generation),
    });
  const delivery = deliveryOf(base, platform, links, snapshot);
  if (!delivery.ok) return delivery;
  if (delivery.value) {
    const told = delivery.value;
    wires.changed = (what) => told.changed(what);
    wires.settle = (tx) => void told.settle(tx);
  }
  const bundles = bundlesOf(given, wires, { ...own, ...loop, follower: following.value });
  const endQuiet = platform.clock.after(QUIET_MS, () => base.starts.reset());
  const connecting = {
    ...{ platform, config, links, follower: following.value, triggers, ...own, bundles },
    linkEvent(event: MqttLinkEvent): void {
      if (recordLink(given, event)) wires.changed('detail');
    },
  };
  return ok({
    ...loop,
    ...triggers,
    base,
    config,
    follower: following.value,
    ...{ context, runtimes, links },
    ...{ ...own, bundles },
    delivery: delivery.value,
    snapshot,
    connect: () => connect({ ...connecting, delivery: delivery.value }),
    close() {
      endQuiet();
      runtimes.monitor.close();
      runtimes.process.release();
      base.close();
    },
  });
}

interface LoopInput {
  readonly wires: Wires;
  readonly context: ApplyContext;
  readonly follower: Follower;
  readonly triggers: Triggers;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
}

type LoopNames = 'agent' | 'finder' | 'drift' | 'runner' | 'changes' | 'progress' | 'isReady';
type LoopParts = Pick<Assembled, LoopNames> & { rootReplaced(): void };

function loopOf(
  given: Given,
  { wires, context, follower, triggers, timekeeping, device }: LoopInput,
): LoopParts {
  const { base, platform, links, runtimes } = given;
  const { clock, log } = platform;
  const progress = progressOf();
  const changes = { ...changesOf(given, progress.tell), values: () => device.values() };
  const rootReplaced = () => {
    wires.changed('phase');
    links.rootReplaced(triggers.gate.wake);
    timekeeping.rootReplaced();
    device.takes({ kind: 'reconnect' });
  };
  const first = firstFinder(given, { ...{ wires, follower, timekeeping, triggers }, rootReplaced });
  const find = withOwnBundles(first, device);
  const run = runner(context, () => {});
  const waits = deferral({
    ...{ context, follower, busy: () => run.busy, due: () => void whole.goOn() },
    ...facts(given),
  });
  const making = { changes, follower, clock, log, deferral: waits, control: links.control };
  const watch = drift({
    clock,
    runtimeOf(generation) {
      const runtime = runtimeOf(context, generation);
      return runtime.ok ? runtime.value : null;
    },
    mayRepair: () => !follower.paused() && !follower.row().hold && !run.busy,
    tell(event) {
      recordDrift(given, follower, event);
      wires.changed('detail');
    },
  });
  const stir = quiet(clock, platform.memory, () => run.busy);
  let ready = false;
  const whole = agent({
    context,
    clock,
    log,
    gate: triggers.gate,
    drift: watch,
    deferral: waits,
    follower,
    finder: find,
    runner: run,
    changed: () => wires.changed('phase'),
    monotonicMs: () => clock.monotonicMs(),
    orphaned: () => orphansOf(base, follower.row()).flatMap(({ generations }) => generations),
    healthWindowOf: (digest) => keptPolicy(base, digest)?.healthWindowMs ?? 0,
    makeChange: (candidate, signal) => makeChange(making, candidate, signal),
    makeValuesChange: (signal) => makeValuesChange(making, signal),
    rejectValues: (why) => device.rejectNow(why),
    wake: triggers.gate.wake,
    ready() {
      ready = true;
      given.program.ready();
      stir();
    },
    looked(end) {
      tellSchedule(triggers.schedule, end);
      timekeeping.looked(end);
      if (end.kind === 'applied' || end.kind === 'refused') stir();
    },
    collect: () => collectNow(context, follower),
    watchHealth: (current) => runtimes.monitor.watch(current),
  });
  const isReady = () => ready;
  const made = { agent: whole, finder: find, drift: watch, runner: run };
  return { ...made, changes, progress, isReady, rootReplaced };
}

function firstFinder(
  given: Given,
  of: Pick<LoopInput, 'wires' | 'follower' | 'timekeeping' | 'triggers'> &
    Pick<LoopParts, 'rootReplaced'>,
): Finder {
  const { base, platform, links } = given;
  const { wires, follower, timekeeping, rootReplaced } = of;
  return finder({
    clock: platform.clock,
    sources: links.sources,
    mirrors: links.mirrors,
    lagging(lag) {
      if (recordLag(given, lag)) wires.changed('detail');
    },
    pushes: links.pushes,
    roots: base.roots,
    bundle: (path) => ociLayout(platform.files, path, bundleOptions(given)),
    timed: (statement) => void timekeeping.take(statement, 'bundle'),
    trusted: () => currentTrust(given, follower, timekeeping.attestation()),
    rootReplaced,
    walkOn: of.triggers.gate.wake,
    alsoFound(found) {
      if (follower.note(found)) wires.changed('detail');
    },
  });
}

type Watching = Pick<LoopInput, 'follower' | 'timekeeping' | 'device'> & LoopParts;

function bundlesOf(given: Given, wires: Wires, parts: Watching): BundleShelf {
  const { base, platform, config } = given;
  const { clock, log, files } = platform;
  return openBundles({
    ...{ ...parts, clock, log, config, root: base.roots.root },
    bundle: (path) => ociLayout(files, path, bundleOptions(given)),
    trusted: () => currentTrust(given, parts.follower, parts.timekeeping.attestation()),
    changed: () => wires.changed('detail'),
  });
}

function bundleOptions({ base, config }: Given): LayoutOptions {
  return { channel: config.channel.name, heldRoot: base.roots.held };
}

function changesOf({ base, platform, config, links }: Given, tell: Telling): ChangeInput {
  const { content } = base;
  return {
    store: base.store,
    content,
    sources: links.sources,
    mirrors: links.mirrors,
    downloads: downloads({ content, clock: platform.clock, progress: tell }),
    device: base.device,
    allow: config.channel.allow,
    reserveBytes: config.keep.reserveBytes,
    wallMs: () => platform.clock.wallMs(),
  };
}

async function collectNow(context: ApplyContext, follower: Follower): Promise<void> {
  const done = await collect(context, follower.row());
  if (!done.ok) context.log.write('warn', 'collect.failed', { code: done.fault.code });
}

type Telling = (wanted: { readonly name: string; readonly size: number }, bytes: number) => void;

function contextOf({ base, platform, config, runtimes, links }: Given, wires: Wires): ApplyContext {
  return {
    store: base.store,
    content: base.content,
    clock: platform.clock,
    log: platform.log,
    runtimes: runtimes.byType,
    keep: config.keep.generations,
    prove: (generations, windowMs, signal) => runtimes.prove(generations, windowMs, signal),
    control: links.control,
    beside: (tx, moment) => beside({ base, wires }, tx, moment),
    barred: (change) => wires.follower?.barredChange(change) ?? null,
    onPhase(phase, row) {
      platform.log.write('info', 'phase', { phase, channel: row.channel });
      base.audit.landed();
      wires.follower?.saw(row);
      wires.device?.refresh();
      const lasts = phase === 'idle' || phase === 'waiting' || phase === 'stuck';
      wires.changed(lasts ? 'phase' : 'passing');
    },
  };
}

/** In the commit of a change: its events, the time floor, states nobody keeps, the settled outbox. */
function beside(
  { base, wires }: { base: Base; wires: Wires },
  tx: StoreWriter,
  moment: Moment,
): void {
  const { row } = moment;
  if (moment.kind === 'accepted') {
    raiseTimeFloor(base.time, tx, moment.issuedAt);
  } else {
    const kept = keptStates(row);
    const states = tx.states(row.fleet, row.channel);
    for (const { stateDigest } of states.ok ? states.value : []) {
      if (!kept.has(stateDigest)) tx.removeState(row.fleet, row.channel, stateDigest);
    }
    if (moment.kind === 'applied') disown(tx, row);
    // An undo after a cut is where a crash leads, not progress.
    if (moment.kind === 'applied' || moment.rejected) base.starts.reset();
  }
  wires.follower?.beside(tx, moment);
  if (moment.kind === 'undone' && moment.rejected && moment.change === 'values')
    wires.device?.reject(tx, moment.fault);
  wires.settle(tx);
}
