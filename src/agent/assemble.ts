/**
 * Puts the agent together from its configuration: base.ts, links, runtimes, and a line for each channel
 * (line.ts). Nothing is asked before recovery (device-agent.ts). One line here for what a new part of
 * the whole device needs to know; what belongs to one channel goes into line.ts.
 */
import { leftPaths } from '#apply/left-paths.ts';
import { realBelow } from '#apply/owned.ts';
import type { ApplyContext, Moment } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Delivery, Snapshot } from '#report/deliver.ts';
import { TRIGGERS } from '#triggers/catalogue.ts';
import type { Command } from '#triggers/command.ts';
import { type Base, followedBy, openBase } from './base.ts';
import { type BesideParts, beside } from './beside.ts';
import type { BundleShelf } from './bundles.ts';
import type { AgentConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';
import { currentTrust } from './current-trust.ts';
import { type DeviceChannel, openDeviceChannel } from './device-channel.ts';
import { secretsOf } from './device-values.ts';
import { type DevicePause, type Follower, follower, tellMoment } from './follow.ts';
import { type Lines, openLines } from './lines.ts';
import { withMargo } from './margo.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import { openBundles } from './open-bundles.ts';
import { type AgentRuntimes, openRuntimes } from './runtimes.ts';
import { type Links, openLinks } from './sources.ts';
import { CRASHES_MAX, QUIET_MS } from './start-count.ts';
import { deliveryOf, recordLink, snapshotOf } from './telling.ts';
import { type Timekeeping, timekeeping } from './timekeeping.ts';
import { connect, lineTriggers } from './waking.ts';
import type { Given, Program, Wires } from './wires.ts';

/** Everything, for the command `agent` and the control handlers. */
export interface Assembled extends Lines {
  readonly base: Base;
  readonly config: AgentConfig;
  readonly command: Command;
  readonly context: ApplyContext;
  readonly runtimes: AgentRuntimes;
  readonly links: Links;
  readonly delivery: Delivery | null;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly bundles: BundleShelf;
  /** the operator paused the device as a whole */
  readonly pause: DevicePause;
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
    left: () => leftPaths(base, followedBy(base, config)),
    executable: program.executable,
    engineEnv: program.env,
    reconfigure: program.reload,
    onChange: () => wires.changed('detail'),
  });
  if (!runtimes.ok) return runtimes;
  const joined = withMargo({ platform, base, config }, wires, links.value);
  if (!joined.ok) return joined;
  const made = { links: joined.value, runtimes: runtimes.value };
  return partsOf({ base, platform, config, program, wires, ...made });
}

function partsOf(given: Given): Result<Assembled> {
  const { base, platform, config, links, runtimes, wires } = given;
  const context = contextOf(given);
  const pause = pauseOf(base);
  if (!pause.ok) return pause;
  const followers = followersOf(given, context, pause.value);
  if (!followers.ok) return followers;
  const waking = new Map(
    followers.value.map((one) => [one, lineTriggers(platform, config, one.channel)]),
  );
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
  const whole = openLines(given, { context, waking, ...own });
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
