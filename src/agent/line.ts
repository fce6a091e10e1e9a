/**
 * One channel of this device, put together: what it knows (follow.ts), how it finds statements
 * (find.ts), how it makes them so (runner.ts, agent.ts), when it looks. What the channels share, the
 * disk, the runtimes, the links, is made in assemble.ts and comes in as `Common`.
 */

import { realBelow } from '#apply/owned.ts';
import { type ApplyContext, runtimeOf } from '#apply/transaction.ts';
import { fault, type Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { News } from '#report/deliver.ts';
import { downloads } from '#sources/download.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import type { Source } from '#sources/source.ts';
import type { Generation } from '#state/generation.ts';
import { pointText } from '#state/point.ts';
import { packagePins } from '#store/package-pins.ts';
import type { Gate } from '#triggers/gate.ts';
import type { Schedule } from '#triggers/schedule.ts';
import type { Wake } from '#triggers/trigger.ts';
import { agent } from './agent.ts';
import type { Base, ProgramVersion } from './base.ts';
import type { ChangeInput } from './change.ts';
import type { AgentConfig } from './config.ts';
import { type ChannelSettings, targetRoots } from './config-channels.ts';
import { currentTrust } from './current-trust.ts';
import type { CycleEnd } from './cycle.ts';
import { type Deferral, deferral, deferralFacts } from './deferral.ts';
import type { DeviceChannel } from './device-channel.ts';
import { secretsOf } from './device-values.ts';
import { type Drift, drift } from './drift.ts';
import { type Finder, finder } from './find.ts';
import type { Follower } from './follow.ts';
import { keptPolicy } from './kept-policy.ts';
import type { Agent } from './loop-parts.ts';
import { makeChange, makeValuesChange } from './make-change.ts';
import type { Margo } from './margo.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import { namedAgain } from './named-again.ts';
import { packagesFrom } from './packages.ts';
import { type Runner, runner } from './runner.ts';
import type { Links } from './sources.ts';
import { recordDrift, recordLag } from './telling.ts';
import type { Timekeeping } from './timekeeping.ts';
import type { Turns } from './turns.ts';
import { type LineTriggers, tellSchedule } from './waking.ts';

export interface Line {
  readonly channel: string;
  readonly follower: Follower;
  readonly finder: Finder;
  readonly runner: Runner;
  readonly drift: Drift;
  readonly changes: ChangeInput;
  readonly agent: Agent;
  readonly gate: Gate;
  readonly schedule: Schedule;
  /** what is in force of it */
  current(): Result<readonly Generation[]>;
  /** why `plan` says that it would wait */
  readonly foretell: Deferral['foretell'];
}

/** What all channels of a device share. */
export interface Common {
  readonly base: Base;
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly program: ProgramVersion;
  readonly links: Links;
  readonly context: ApplyContext;
  readonly turns: Turns;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly changed: (what: News) => void;
  /** how a download goes */
  readonly progress: (
    wanted: { readonly name: string; readonly size: number },
    bytes: number,
  ) => void;
  /** Another root is held. */
  rootReplaced(): void;
  /** a change of some channel is under way */
  busy(): boolean;
  collect(): Promise<void>;
  watchHealth(channel: string, current: readonly Generation[]): void;
  /** A look of this channel ended. */
  looked(channel: string, end: CycleEnd): void;
  /** what asks the manager of the channel `margo`; null: there is none */
  margo(): Pick<Margo, 'finder' | 'signed'> | null;
  /** goes beside the search in a bundle (own-bundles.ts) */
  aroundBundles(channel: string, finder: Finder): Finder;
}

export interface LineInput {
  readonly settings: ChannelSettings;
  readonly follower: Follower;
  readonly triggers: LineTriggers;
}

export function openLine(common: Common, input: LineInput): Line {
  const { platform, device, context, turns } = common;
  const { settings, follower, triggers } = input;
  const { gate, schedule } = triggers;
  const { name: channel } = settings;
  const { clock, log } = platform;
  const changes = { ...changesOf(common, settings), values: () => device.values() };
  const margo = channel === MARGO_CHANNEL ? common.margo() : null;
  const find = common.aroundBundles(channel, ownFinder(common, input, margo));
  const run = runner({
    ...{ context, channel, turns },
    waits({ point }, other) {
      const offered = point ? pointText(point) : 'a rollback';
      follower.noteFault(fault('agent.turn', { offered, other }), point, null);
      common.changed('phase');
    },
  });
  const waits = deferral({
    ...{ context, follower, busy: () => run.busy, due: () => void loop.goOn() },
    ...deferralFacts(common),
  });
  const making = { changes, follower, clock, log, deferral: waits, control: common.links.control };
  const watch = driftOf(common, follower);
  const loop = agent({
    ...{ context, clock, log, gate, drift: watch, deferral: waits },
    ...{ follower, finder: find, runner: run },
    changed: () => common.changed('phase'),
    monotonicMs: () => clock.monotonicMs(),
    healthWindowOf: (digest) => keptPolicy(common.base, digest)?.healthWindowMs ?? 0,
    makeChange: (candidate, signal) => makeChange(making, candidate, signal),
    makeValuesChange: (signal) => makeValuesChange(making, signal),
    rejectValues: (why) => device.rejectNow(why),
    wake: gate.wake,
    again: namedAgain({
      ...{ clock, random: platform.random, wake: gate.wake },
      floor: () => follower.row().floor,
    }),
    looked(end) {
      tellSchedule(schedule, end);
      common.looked(channel, end);
    },
    deviceBusy: () => common.busy(),
    collect: () => common.collect(),
    watchHealth: (current) => common.watchHealth(channel, current),
  });
  return {
    ...{ channel, follower, changes, agent: loop, gate, schedule },
    ...{ finder: find, runner: run, drift: watch },
    current: () => loop.current(),
    foretell: waits.foretell,
  };
}

function changesOf(common: Common, { name, allow }: ChannelSettings): ChangeInput {
  const { base, platform, config, links, context } = common;
  const { content } = base;
  const { clock, files } = platform;
  const secrets = secretsOf(content, base.identity.sealing);
  const fetching = downloads({ content, clock, progress: common.progress });
  const pins = packagePins(files, config.stateDir);
  return {
    store: base.store,
    content,
    sources: links.of(name).sources,
    mirrors: links.mirrors,
    downloads: fetching,
    packages: packagesFrom({
      ...{ config, http: links.http, pins, downloads: fetching },
      device: { values: () => common.device.values(), secrets },
    }),
    runtimes: context.runtimes,
    device: base.device,
    allow,
    followed: context.followed,
    real: realBelow(files, targetRoots(config.channels)),
    reserveBytes: config.keep.reserveBytes,
    wallMs: () => clock.wallMs(),
  };
}

function driftOf(common: Common, follower: Follower): Drift {
  const { base, platform, context } = common;
  return drift({
    clock: platform.clock,
    runtimeOf(generation) {
      const runtime = runtimeOf(context, generation);
      return runtime.ok ? runtime.value : null;
    },
    mayRepair: () => !follower.paused() && !follower.row().hold && !common.busy(),
    tell(event) {
      recordDrift({ base, platform }, follower, event);
      common.changed('detail');
    },
  });
}

/** The manager is believed, or it is one way among others of what keys have signed. */
function ownFinder(
  common: Common,
  input: LineInput,
  margo: Pick<Margo, 'finder' | 'signed'> | null,
): Finder {
  if (!margo) return finderOf(common, input);
  const { signed, finder: believed } = margo;
  return signed ? signed.around(finderOf(common, input, [signed.source])) : believed;
}

function finderOf(
  common: Common,
  { settings, follower, triggers }: LineInput,
  first: readonly Source[] = [],
): Finder {
  const { base, platform, links, timekeeping } = common;
  const { name: channel } = settings;
  return finder({
    clock: platform.clock,
    pushes: links.of(channel).pushes,
    sources: [...first, ...links.of(channel).sources],
    mirrors: links.mirrors,
    lagging(lag) {
      if (recordLag({ base, platform }, lag)) common.changed('detail');
    },
    roots: base.roots,
    bundle: (path) => ociLayout(platform.files, path, { channel, heldRoot: base.roots.held }),
    timed: (statement) => void timekeeping.take(statement, 'bundle'),
    trusted: () => currentTrust(common, follower, timekeeping.attestation(channel)),
    rootReplaced: () => common.rootReplaced(),
    walkOn: (wake: Wake) => triggers.gate.wake(wake),
    alsoFound(found) {
      if (follower.note(found)) common.changed('detail');
    },
  });
}
