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
import { lookingOf } from './margo-hours.ts';
import type { Links } from './sources.ts';
import type { Timekeeping } from './timekeeping.ts';

/** What wakes one channel: its own schedule, since its own source may be out of reach. */
export interface LineTriggers {
  readonly gate: Gate;
  readonly schedule: Schedule;
}

export function lineTriggers(
  platform: Platform,
  config: AgentConfig,
  channel: string,
): LineTriggers {
  const { clock, random } = platform;
  const { perMinute, ...schedule } = lookingOf(config, channel);
  return {
    gate: gate({ clock, random, perMinute }),
    schedule: TRIGGERS.schedule({ clock, random, ...schedule }),
  };
}

export interface WokenLine extends LineTriggers {
  readonly channel: string;
  readonly follower: Follower;
}

export interface ConnectInput {
  readonly platform: Platform;
  readonly config: AgentConfig;
  readonly links: Links;
  /** in the order of agent.yaml */
  readonly lines: readonly WokenLine[];
  readonly command: Command;
  readonly delivery: Delivery | null;
  readonly timekeeping: Timekeeping;
  readonly device: DeviceChannel;
  readonly bundles: BundleShelf;
  /** what the link found out about broker and identity */
  linkEvent(event: MqttLinkEvent): void;
}

/** Starts triggers, delivery and link; the returned function stops them. */
export function connect(input: ConnectInput): () => Promise<void> {
  const { platform, config, links, lines, command, delivery, timekeeping, device, bundles } = input;
  const { mqtt } = links;
  const own = device.follower.channel;
  const followers = new Map(lines.map(({ channel, follower }) => [channel, follower]));
  followers.set(own, device.follower);
  const wake = waker(input);
  const listening = mqtt
    ? [
        TRIGGERS.nudge({
          clock: platform.clock,
          link: mqtt,
          channels: [...followers.keys()],
          floor: (channel) => followers.get(channel)?.row().floor ?? null,
          timed: (statement) => void timekeeping.take(statement, 'nudge'),
          pushed: (nudge, retained) => links.of(nudge.channel).pushes?.take({ ...nudge, retained }),
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
  const stopAll = startAll([command, drop, ...listening], wake);
  const stopSchedules = lines.map(({ gate, schedule }, index) =>
    schedule.start((what) => {
      // The device's own channel is looked at as often as the first one.
      if (index === 0) device.takes(what);
      gate.wake(what);
    }),
  );
  const stop = (): void => {
    stopAll();
    for (const end of stopSchedules) end();
  };
  const stopTelling = mqtt?.listen((event) => input.linkEvent(event)) ?? (() => {});
  delivery?.start();
  const stopTime = timekeeping.start();
  const stopDevice = device.start();
  mqtt?.start();
  if (links.asks || config.margo) wake({ kind: 'start' });
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

/** A nudge wakes its channel, all else everyone; a bundle is looked through for all (bundles.ts). */
function waker({
  lines,
  device,
  bundles,
}: Pick<ConnectInput, 'lines' | 'device' | 'bundles'>): (wake: Wake) => void {
  return (what) => {
    if (what.kind === 'bundle') return bundles.offered(what.path);
    if (device.takes(what)) return;
    for (const { channel, gate } of lines) {
      if (what.kind !== 'nudge' || what.channel === channel) gate.wake(what);
    }
  };
}

/** What may pass by itself backs off; everything else starts the interval anew. */
export function tellSchedule(schedule: Schedule, end: CycleEnd): void {
  const waits = end.kind === 'waiting' && isDeferred(end.fault.code);
  const failing = 'fault' in end && end.kind !== 'refused' && end.fault.retry === 'later' && !waits;
  if (failing) schedule.failed(end.fault.retryAfterMs);
  else schedule.succeeded();
}
