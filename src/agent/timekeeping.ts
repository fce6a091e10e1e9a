/**
 * Time without a clock, put together: the nonces, what is taken, what the heads in it say, and when
 * this device asks (the files time-*.ts and heads-watch.ts, each on its own). Nothing here stops what
 * runs; nothing here is needed to run.
 */
import { type Fault, ok, type Result } from '#errors/fault.ts';
import { topicOf } from '#link/topics.ts';
import type { Platform } from '#platform/platform.ts';
import type { News } from '#report/deliver.ts';
import { eventOf, eventOfFault } from '#report/events.ts';
import { queueEvent } from '#report/outbox.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Point } from '#state/point.ts';
import type { ChannelStatus } from '#state/status.ts';
import { TIME_ROLE, type TimeRequest } from '#state/time-statement.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { Attestation } from '#trust/attestation.ts';
import type { Base } from './base.ts';
import type { AgentConfig } from './config.ts';
import type { CycleEnd } from './cycle.ts';
import type { Follower } from './follow.ts';
import { type Alarm, type HeadsWatch, headsWatch } from './heads-watch.ts';
import type { Links } from './sources.ts';
import { timeAsking } from './time-asking.ts';
import { type Nonces, nonces } from './time-nonces.ts';
import { type TimeTaking, timeTaking } from './time-taking.ts';

export interface Timekeeping {
  /** After recovery; the returned function stops it. */
  start(): () => void;
  /** Asks by every way that answers at once: for an agent that looks once. */
  askNow(): Promise<void>;
  /** A statement that came by some way; ok: it counts, or counted before. */
  take(offered: Uint8Array | Envelope, way: TimeWay): Result<TakenView>;
  /** For an operator who carries it to an authority by hand. */
  question(): TimeRequest;
  looked(channel: string, end: CycleEnd): void;
  /** A newer root is held. */
  rootReplaced(): void;
  /** What trust judges new state of a channel by; null: nothing is attested. */
  attestation(channel: string): Attestation | null;
  /** The channel's condition with what only time statements tell. */
  told(channel: ChannelStatus): ChannelStatus;
  view(): TimekeepingView;
}

export type TimeWay = 'mqtt' | 'nudge' | 'time.url' | 'registry' | 'bundle' | 'command';

export interface TakenView {
  /** it answered this device's question */
  readonly attested: boolean;
  /** Unix ms; 0: it was known */
  readonly at: number;
}

export interface TimekeepingView {
  /** the root names who may say what time it is */
  readonly hasRole: boolean;
  /** Unix ms, and ms since; null: never in this run */
  readonly attested: { readonly atMs: number; readonly ageMs: number } | null;
  readonly refused: Fault | null;
  /** what a time statement says against what the sources of this channel show */
  alarm(channel: string): Alarm | null;
}

/** A channel that is followed, as far as time statements speak of it. */
export interface Timed {
  readonly follower: Follower;
  /** the highest verified point that a source showed */
  shown(): Point | null;
  wake(wake: Wake): void;
}

export interface TimekeepingInput {
  readonly base: Base;
  readonly platform: Pick<Platform, 'clock' | 'random' | 'log'>;
  readonly config: AgentConfig;
  readonly links: Links;
  /** at least one; the first is the one that refusals are told of */
  readonly channels: readonly Timed[];
  changed(what: News): void;
}

/** ms: what was signed for everyone in the last two days is what is there now, once the time is known */
const HEADS_FRESH_MS = 48 * 3_600_000;
const VIA = {
  mqtt: 'mqtt',
  nudge: 'mqtt',
  'time.url': null,
  registry: 'registry',
  bundle: 'bundle',
  command: null,
} as const;

interface Parts {
  readonly input: TimekeepingInput;
  readonly taking: TimeTaking;
  /** by channel */
  readonly heads: ReadonlyMap<string, HeadsWatch>;
  /** asks soon */
  kick(): void;
}

export function timekeeping(input: TimekeepingInput): Result<Timekeeping> {
  const { base, platform, config, links } = input;
  const { clock, random, log } = platform;
  const { time, device } = base;
  const asked = nonces(clock, random);
  // Apart: a broker that flaps makes questions, and must not push out the one that a person carries.
  const byHand = nonces(clock, random);
  const question = (): TimeRequest => ({ nonce: asked.make(), deviceId: device.id });
  const taking = timeTaking({
    ...{ store: base.store, clock, log, time, nonces: bothOf(asked, byHand), audit: base.audit },
    root: () => base.root,
    allowDemo: config.trust.allowDemo,
    deviceId: device.id,
    channel: config.channels[0]?.name ?? '',
  });
  const askTopic = topicOf(links.topicRoot, { kind: 'device-time-ask', device: device.id });
  if (!askTopic.ok) return askTopic;
  const heads = new Map(
    input.channels.map((timed) => [timed.follower.channel, watchHeads(input, timed)] as const),
  );
  const parts: Parts = { input, taking, heads, kick: () => asking.kick() };
  const asking = timeAsking({
    ...{ clock, random, log, mqtt: links.mqtt, askTopic: askTopic.value },
    ...{
      askUrl: links.askTime,
      tags: links.timeTags,
      intervalMs: config.time.intervalMs,
      question,
    },
    wanted: () => hasRole(base),
    attestedAgoMs: () => time.attested()?.ageMs ?? null,
    take: (offered, way) => void take(parts, offered, way as TimeWay),
  });
  return ok({
    start: () => asking.start(),
    askNow: () => asking.now(),
    take: (offered, way) => take(parts, offered, way),
    question: () => ({ nonce: byHand.make(), deviceId: device.id }),
    looked: (channel, end) => heads.get(channel)?.looked(end),
    rootReplaced() {
      // A time reset ends an attestation, and what it proved.
      if (time.attested() === null) for (const watch of heads.values()) watch.forget();
      asking.kick();
    },
    attestation(channel) {
      const attested = time.attested();
      return attested && { ...attested, head: heads.get(channel)?.proven() ?? null };
    },
    told: (channel) => told(parts, channel),
    view: () => ({
      hasRole: hasRole(base),
      attested: time.attested(),
      refused: taking.lastRefused(),
      alarm: (channel) => heads.get(channel)?.alarm() ?? null,
    }),
  });
}

function bothOf(one: Nonces, other: Nonces): Pick<Nonces, 'askedAgoMs' | 'use'> {
  return {
    askedAgoMs: (nonce) => one.askedAgoMs(nonce) ?? other.askedAgoMs(nonce),
    use(nonce) {
      one.use(nonce);
      other.use(nonce);
    },
  };
}

function hasRole({ root }: Base): boolean {
  return root.roles.some(({ name }) => name === TIME_ROLE);
}

function watchHeads(input: TimekeepingInput, timed: Timed): HeadsWatch {
  const { base, platform, changed } = input;
  const { follower, wake } = timed;
  const { clock } = platform;
  const { channel } = follower;
  return headsWatch({
    ...{ clock, channel, shown: () => timed.shown() },
    floor: () => follower.row().floor,
    wake: () => wake({ kind: 'time' }),
    changed: () => changed('detail'),
    tell(alarm) {
      record(input, channel, alarm);
      const { fault, head } = alarm;
      base.audit.refuse({ channel, fault, offered: head, via: null });
      changed('phase');
    },
  });
}

/** One commit: what was seen must survive whatever comes next. */
function record(
  { base, platform }: TimekeepingInput,
  channel: string,
  { fault, attack }: Alarm,
): void {
  const { log, clock } = platform;
  const { code, message } = fault;
  log.write('warn', 'time.heads', { code, message, attack });
  const place = { at: clock.wallMs(), channel };
  const event = attack ? eventOf('trust.attack', place, { fault }) : eventOfFault(fault, place);
  const told = base.store.transaction((tx) => queueEvent(tx, event));
  if (!told.ok) log.write('warn', 'event.unrecorded', { code: told.fault.code });
}

function take(
  { input, taking, heads, kick }: Parts,
  offered: Uint8Array | Envelope,
  way: TimeWay,
): Result<TakenView> {
  const { base, channels, changed } = input;
  const before = base.time.view().grade;
  const taken = taking.take(offered, { way, via: VIA[way] });
  switch (taken.kind) {
    case 'known':
      return taken.fault ? { ok: false, fault: taken.fault } : ok({ attested: false, at: 0 });
    case 'waiting':
      // Made under a root that this device lacks: a look brings it.
      for (const { wake } of channels) wake({ kind: 'time' });
      return { ok: false, fault: taken.fault };
    case 'refused':
      return { ok: false, fault: taken.fault };
    case 'taken': {
      const { statement, answers } = taken;
      const { grade, estimateMs } = base.time.view();
      const fresh = grade === 'attested' && estimateMs - statement.at <= HEADS_FRESH_MS;
      for (const watch of heads.values()) watch.saw(statement, answers || fresh);
      if (answers) changed('detail');
      // An authority is there that may not have been when this device asked.
      else if (grade !== 'attested' && way === 'mqtt') kick();
      // What waited for the time is looked at again.
      for (const { follower, wake } of channels) {
        const waits = follower.waitingFor() !== null;
        if (grade !== before || (answers && waits)) wake({ kind: 'time' });
      }
      return ok({ attested: answers, at: statement.at });
    }
  }
}

function told({ input, heads }: Parts, channel: ChannelStatus): ChannelStatus {
  const watch = heads.get(channel.channel);
  const alarm = watch?.alarm() ?? null;
  const head = watch?.proven() ?? null;
  const attested = input.base.time.view().grade === 'attested';
  const isHead = attested && head !== null && channel.applied?.stateDigest === head.digest;
  const freshness = isHead ? 'attested' : channel.freshness;
  if (!alarm || (channel.refused && !alarm.attack)) return { ...channel, freshness };
  const { fault, attack, head: offered } = alarm;
  const { epoch, sequence, digest } = offered;
  const point = { epoch, sequence, stateDigest: digest, at: 0 };
  const { code, message } = fault;
  return { ...channel, freshness, refused: { code, message, offered: point, via: null, attack } };
}
