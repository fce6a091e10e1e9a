/** What the agent tells: the snapshot behind every status, its delivery, the events of drift. */
import type { Health } from '#apply/health.ts';
import { orphansOf } from '#apply/orphans.ts';
import { type ApplyContext, runtimeOf } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { MqttLinkEvent } from '#link/mqtt.ts';
import { topicOf } from '#link/topics.ts';
import type { Platform } from '#platform/platform.ts';
import { type Delivery, deliverStatus, type Snapshot } from '#report/deliver.ts';
import { eventOf, eventOfFault, type Place } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import type { Generation } from '#state/generation.ts';
import type { ChannelStatus } from '#state/status.ts';
import { sealingSpki } from '#trust/sealing-key.ts';
import type { Base } from './base.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Drift, DriftEvent } from './drift.ts';
import type { Follower } from './follow.ts';
import type { LongLag } from './mirrors.ts';
import { orphanStatuses } from './orphan-status.ts';
import { openOf } from './parts-told.ts';
import { channelStatus } from './snapshot.ts';
import type { Links } from './sources.ts';
import type { Timekeeping } from './timekeeping.ts';

/** A channel as its condition is told. */
export interface TellingLine {
  readonly follower: Follower;
  readonly drift: Drift;
  /** what is in force of it */
  current(): Result<readonly Generation[]>;
}

export interface SnapshotFrom {
  readonly base: Base;
  readonly platform: Platform;
  readonly context: ApplyContext;
  readonly agentVersion: string;
  readonly lines: readonly TellingLine[];
  readonly device: Pick<DeviceChannel, 'status'>;
  readonly timekeeping: Timekeeping;
  healthOf(generation: Generation): Health;
}

export function snapshotOf(from: SnapshotFrom): Result<Snapshot> {
  const { base, platform, context, lines } = from;
  const facts = {
    runtimeOf(generation: Generation) {
      const runtime = runtimeOf(context, generation);
      return runtime.ok ? runtime.value : null;
    },
    healthOf: from.healthOf,
  };
  const channels: ChannelStatus[] = [];
  for (const { follower, drift, current: inForce } of lines) {
    const current = inForce();
    if (!current.ok) return current;
    const safeMode = follower.safeMode();
    const open = openOf(base.store, follower.row());
    const seen = { drift: drift.found(), current: current.value, open };
    const of = { ...facts, ...seen, follower, safeMode };
    channels.push(from.timekeeping.told(channelStatus(of)));
  }
  const orphans = orphanStatuses(orphansOf(base, context.followed), context.followed, {
    ...facts,
    drift: new Map(),
  });
  const credential = base.credential.current();
  const audit = base.store.auditHead();
  if (!audit.ok) return audit;
  return ok({
    fleet: base.root.fleet,
    deviceId: base.device.id,
    at: platform.clock.wallMs(),
    timeGrade: base.time.view().grade,
    attestedAt: Math.trunc(base.time.attested()?.atMs ?? 0),
    agentVersion: from.agentVersion,
    labels: base.device.labels,
    channels: [...channels, ...from.device.status(), ...orphans],
    rootVersion: base.root.version,
    sealingKey: sealingSpki(base.identity.sealing.publicKey),
    auditHead: audit.value.count === 0n ? null : audit.value.hash,
    ...(credential ? { credential } : {}),
  });
}

/** Null: no broker is configured; status is then read over the socket only. */
export function deliveryOf(
  base: Base,
  platform: Platform,
  links: Links,
  snapshot: () => Result<Snapshot>,
): Result<Delivery | null> {
  if (!links.mqtt) return ok(null);
  const topic = topicOf(links.topicRoot, { kind: 'status', device: base.device.id });
  if (!topic.ok) return topic;
  const { clock, random, log } = platform;
  return ok(
    deliverStatus({
      clock,
      random,
      log,
      link: links.mqtt,
      topic: topic.value,
      signer: base.identity.signer,
      store: base.store,
      boot: base.boot,
      snapshot,
    }),
  );
}

/** A cloned identity is told and survives; the protocol found is only logged. */
export function recordLink(
  { base, platform }: { readonly base: Base; readonly platform: Platform },
  event: MqttLinkEvent,
): boolean {
  if (event.kind === 'protocol') {
    platform.log.write('info', 'link.protocol', { protocol: event.protocol });
  }
  if (event.kind !== 'cloned') return false;
  platform.log.write('error', 'identity.cloned', { times: event.times });
  const place = { at: platform.clock.wallMs() };
  const told = eventOf('identity.cloned', place, { times: event.times });
  const done = base.store.transaction((tx) => queueEvent(tx, told));
  if (!done.ok) platform.log.write('warn', 'event.unrecorded', { code: done.fault.code });
  return true;
}

/** Rationed by mirrors.ts: what lags a moment is told on this device alone. */
export function recordLag(
  { base, platform }: { readonly base: Base; readonly platform: Platform },
  { name, channel, shows, known }: LongLag,
): boolean {
  const place = { at: platform.clock.wallMs(), channel };
  const told = eventOf('source.lagging', place, { mirror: name, shows, known });
  platform.log.write('warn', 'source.lagging', { mirror: name, channel, message: told.message });
  const done = base.store.transaction((tx) => queueEvent(tx, told));
  if (!done.ok) platform.log.write('warn', 'event.unrecorded', { code: done.fault.code });
  return true;
}

/** One commit an event: drift is rare, and what was found must survive. */
export function recordDrift(
  { base, platform }: { readonly base: Base; readonly platform: Platform },
  follower: Follower,
  event: DriftEvent,
): void {
  const { deployment } = event;
  const place = { at: platform.clock.wallMs(), channel: follower.channel, deployment };
  platform.log.write('warn', `drift.${event.kind}`, { deployment });
  const before = follower.row();
  const row = { ...before, degraded: event.kind === 'flapping' ? event.fault.code : null };
  // After another start it is looked after again; once put right it is no news any more.
  const settled = event.kind === 'repaired' && before.degraded === 'drift.flapping';
  const changes = event.kind === 'flapping' || settled;
  const done = base.store.transaction((tx) => {
    queueEvent(tx, driftEvent(event, place));
    if (changes) tx.putChannel(row);
  });
  if (done.ok && changes) follower.saw(row);
  if (!done.ok) platform.log.write('warn', 'drift.unrecorded', { code: done.fault.code });
}

function driftEvent(event: DriftEvent, place: Place) {
  switch (event.kind) {
    case 'found':
      return eventOf('drift.found', place, event.deviation);
    case 'repaired':
      return eventOf('drift.repaired', place, { what: event.what });
    case 'failed':
    case 'flapping':
      return eventOfFault(event.fault, place);
  }
}
