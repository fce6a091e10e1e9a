/** What wakes this agent, and when it is connected: after recovery, until it stops. */
import type { MqttLinkEvent } from '#link/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Delivery } from '#report/deliver.ts';
import { startAll, TRIGGERS } from '#triggers/catalogue.ts';
import type { Command } from '#triggers/command.ts';
import { type Gate, gate } from '#triggers/gate.ts';
import type { Schedule } from '#triggers/schedule.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { BundleShelf } from './bundles.ts';
import type { AgentConfig } from './config.ts';
import type { CycleEnd } from './cycle.ts';
import { isDeferred } from './deferral.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Follower } from './follow.ts';
import type { Links } from './sources.ts';
import type { Timekeeping } from './timekeeping.ts';

export interface Triggers {
  readonly gate: Gate;
  readonly command: Command;
  readonly schedule: Schedule;
}

export function triggersOf(platform: Platform, config: AgentConfig): Triggers {
  const { clock, random } = platform;
  return {
    gate: gate({ clock, random, perMinute: config.nudgesPerMinute }),
    command: TRIGGERS.command(),
    schedule: TRIGGERS.schedule({ clock, random, ...config.schedule }),
  };
}

export interface ConnectInput {
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly links: Links;
  readonly follower: Follower;
  readonly triggers: Triggers;
  readonly delivery: Delivery | null;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly bundles: BundleShelf;
  /** what the link found out about broker and identity */
  linkEvent(event: MqttLinkEvent): void;
}

/** Starts triggers, delivery and link; the returned function stops them. */
export function connect(input: ConnectInput): () => Promise<void> {
  const { platform, config, links, follower, triggers, delivery, timekeeping, device, bundles } =
    input;
  const { gate, command, schedule } = triggers;
  const { mqtt } = links;
  const isOwn = (channel: string) => channel === device.follower.channel;
  const of = (channel: string) => (isOwn(channel) ? device.follower : follower);
  const pushesFor = (channel: string) => (isOwn(channel) ? links.own.pushes : links.pushes);
  const wake = (what: Wake): void => {
    if (what.kind === 'bundle') bundles.offered(what.path);
    else if (!device.takes(what)) gate.wake(what);
  };
  const listening = mqtt
    ? [
        TRIGGERS.nudge({
          clock: platform.clock,
          link: mqtt,
          channels: [config.channel.name, device.follower.channel],
          floor: (channel) => of(channel).row().floor,
          timed: (statement) => void timekeeping.take(statement, 'nudge'),
          pushed: (nudge, retained) => pushesFor(nudge.channel)?.take({ ...nudge, retained }),
        }),
        TRIGGERS.reconnect(mqtt),
      ]
    : [];
  const { clock, files } = platform;
  const drop = TRIGGERS.bundleDrop({
    ...{ clock, files, directories: config.bundleDirectories },
    tell: (lying) => bundles.lying(lying),
    again: (path) => bundles.again(path),
  });
  const stop = startAll([command, schedule, drop, ...listening], wake);
  const stopTelling = mqtt?.listen((event) => input.linkEvent(event)) ?? (() => {});
  delivery?.start();
  const stopTime = timekeeping.start();
  const stopDevice = device.start();
  mqtt?.start();
  if (links.sources.length > 0) wake({ kind: 'start' });
  return async () => {
    stop();
    bundles.close();
    stopTime();
    await stopDevice();
    stopTelling();
    delivery?.stop();
    await links.close();
  };
}

/** What may pass by itself backs off; everything else, also what waits for its hour, starts the interval anew. */
export function tellSchedule(schedule: Schedule, end: CycleEnd): void {
  const waits = end.kind === 'waiting' && isDeferred(end.fault.code);
  const failing = 'fault' in end && end.kind !== 'refused' && end.fault.retry === 'later' && !waits;
  if (failing) schedule.failed(end.fault.retryAfterMs);
  else schedule.succeeded();
}
