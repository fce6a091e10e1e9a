/**
 * The link to the broker: one connection, made again for ever with decorrelated jitter (1 s to
 * 15 min, from the start again after a stable minute), whatever the broker answers. Each connection
 * announces the device (presence, retained; its last will is the opposite), subscribes its nudges
 * and then counts as up. Nothing is queued here: `publish` works only while the link is up, because
 * report/ always sends the newest. Two clients with one identity throw each other out (clones.ts).
 *
 * No timer runs while the link is up and silent but the client's keepalive.
 */
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import type { Fleet } from '#state/names.ts';
import type { TlsTrust } from '#state/root.ts';
import { readPresence, writePresence } from '#wire/presence.ts';
import { type Backoff, backoff } from './backoff.ts';
import { type CloneWatch, cloneWatch } from './clones.ts';
import {
  type BrokerConfig,
  type BrokerConnection,
  type BrokerPlatform,
  brokerName,
  openBroker,
} from './mqtt-broker.ts';
import { type Versions, versions, versionText } from './mqtt-version.ts';
import type { PeerTime } from './peer.ts';
import type { RootAnchors } from './root-anchors.ts';
import { parseTopic, type TopicName, topicOf } from './topics.ts';

const RECONNECT_BASE_MS = 1_000;
const RECONNECT_CAP_MS = 15 * 60_000;
/** ms up after which the next loss starts the backoff anew */
const STABLE_MS = 60_000;
/** ms for the broker to acknowledge the last presence when this side closes */
const FAREWELL_MS = 2_000;
const KEEPALIVE_S = 60;
const SESSION_EXPIRY_S = 24 * 3_600;

export type LinkPlatform = BrokerPlatform & Pick<Platform, 'clock' | 'random' | 'log'>;

export interface MqttLinkOptions {
  readonly broker: BrokerConfig;
  /** checked by `checkTopicRoot` */
  readonly topicRoot: string;
  readonly fleet: Fleet;
  readonly deviceId: string;
  /** whose nudges are subscribed */
  readonly channels: readonly string[];
  readonly agentVersion: string;
  /** read at each connection */
  time(): PeerTime;
  /** read at each connection, too; default: what the configuration names counts alone */
  readonly rootAnchors?: RootAnchors;
  readonly keepaliveSeconds?: number;
}

export interface MqttLink {
  /** Connects, and reconnects until `close`. */
  start(): void;
  /** @returns stops listening */
  listen(listener: (event: MqttLinkEvent) => void): () => void;
  /** QoS 1: ok when the broker has acknowledged. `link.down` at once when there is no connection. */
  publish(topic: string, payload: Uint8Array, retain: boolean): Promise<Result<void>>;
  state(): MqttLinkState;
  /** There may be a network again: when down, tries now, yet at most once in a second. */
  kick(): void;
  /** Ends the connection that is there and makes another one at once: is the way still open? */
  renew(): void;
  /** Other TLS anchors count now: a connection that none of them vouches for ends; when down, tries now. */
  reanchor(): void;
  /** Says offline, disconnects, ends. */
  close(): Promise<void>;
}

export type MqttLinkEvent =
  | { readonly kind: 'up'; readonly protocol: '5' | '3.1.1' }
  | { readonly kind: 'down'; readonly fault: Fault }
  | {
      readonly kind: 'nudge';
      readonly topic: Extract<TopicName, { kind: 'channel-nudge' | 'device-nudge' }>;
      readonly payload: Uint8Array;
      readonly retained: boolean;
    }
  /** a time statement, for everyone or for this device */
  | { readonly kind: 'time'; readonly own: boolean; readonly payload: Uint8Array }
  /** `auto` found that the broker speaks another version than was tried first */
  | { readonly kind: 'protocol'; readonly protocol: '5' | '3.1.1' }
  /** another client took this identity's session over so many times in ten minutes */
  | { readonly kind: 'cloned'; readonly times: number };

export interface MqttLinkState {
  readonly kind: 'up' | 'down';
  /** Unix ms, by the wall clock */
  readonly since: number;
  /** why it went down, or what does not work though it is up */
  readonly lastFault: Fault | null;
  readonly protocol: '5' | '3.1.1';
}

interface Machine {
  readonly platform: LinkPlatform;
  readonly options: MqttLinkOptions;
  readonly peer: string;
  readonly versions: Versions;
  readonly waits: Backoff;
  readonly listeners: Set<(event: MqttLinkEvent) => void>;
  readonly clones: CloneWatch;
  /** resolved by close(): whatever waits, ends */
  readonly stopping: PromiseWithResolvers<void>;
  connection: BrokerConnection | null;
  /** Unix ms that the presence of this connection names */
  since: number;
  state: MqttLinkState;
  /** ends the wait between two tries */
  retryNow: AbortController;
  triedAt: number;
  closed: boolean;
}

export function mqttLink(platform: LinkPlatform, options: MqttLinkOptions): MqttLink {
  const machine: Machine = {
    platform,
    options,
    peer: brokerName(options.broker),
    versions: versions(options.broker.protocol),
    waits: backoff({
      baseMs: RECONNECT_BASE_MS,
      capMs: RECONNECT_CAP_MS,
      random: platform.random,
    }),
    listeners: new Set(),
    clones: cloneWatch(platform.clock, (times) => tell(machine, { kind: 'cloned', times })),
    stopping: Promise.withResolvers<void>(),
    connection: null,
    since: 0,
    state: { kind: 'down', since: platform.clock.wallMs(), lastFault: null, protocol: '5' },
    retryNow: new AbortController(),
    triedAt: Number.NEGATIVE_INFINITY,
    closed: false,
  };
  let running: Promise<void> | null = null;
  return {
    start() {
      running ??= run(machine);
    },
    listen(listener) {
      machine.listeners.add(listener);
      return () => void machine.listeners.delete(listener);
    },
    publish: (topic, payload, retain) => publish(machine, { topic, payload, retain }),
    state: () => machine.state,
    kick: () => machine.retryNow.abort(),
    renew() {
      machine.waits.reset();
      // In good order: the broker must not publish the last will of a device that is there.
      void machine.connection?.end();
      machine.retryNow.abort();
    },
    reanchor() {
      machine.retryNow.abort();
      machine.connection?.rejudge(options.time(), anchorsOf(options));
    },
    async close() {
      if (machine.closed) return;
      machine.closed = true;
      await farewell(machine);
      machine.stopping.resolve();
      machine.retryNow.abort();
      await running;
    },
  };
}

async function run(machine: Machine): Promise<void> {
  const { clock } = machine.platform;
  while (!machine.closed) {
    machine.triedAt = clock.monotonicMs();
    const ended = await session(machine);
    if (machine.closed) return;
    machine.platform.log.write('info', 'mqtt.down', {
      broker: machine.peer,
      code: ended.fault.code,
      message: ended.fault.message,
    });
    if (ended.upMs === null && machine.versions.failed(ended.fault)) continue;
    if (ended.upMs !== null && ended.upMs >= STABLE_MS) machine.waits.reset();
    if (ended.fault.code === 'link.mqtt-taken-over') machine.clones.takenOver();
    await pause(machine, machine.waits.next(ended.fault.retryAfterMs));
  }
}

/** A kick ends the wait early, but two tries are never less than a second apart. */
async function pause(machine: Machine, ms: number): Promise<void> {
  const { clock } = machine.platform;
  machine.retryNow = new AbortController();
  if (machine.closed) return;
  await clock.sleep(ms, machine.retryNow.signal);
  const tooSoonMs = machine.triedAt + RECONNECT_BASE_MS - clock.monotonicMs();
  if (machine.closed || tooSoonMs <= 0) return;
  await Promise.race([clock.sleep(tooSoonMs), machine.stopping.promise]);
}

/** One connection from its start to its end; upMs null: it never was up. */
async function session(
  machine: Machine,
): Promise<{ readonly fault: Fault; readonly upMs: number | null }> {
  const { platform, options } = machine;
  const gone = Promise.withResolvers<Result<void>>();
  machine.since = Math.max(0, Math.trunc(platform.clock.wallMs()));
  machine.clones.connecting(machine.since);
  const opening = openBroker(platform, options.broker, options.time(), {
    clientId: clientId(options),
    version: machine.versions.current(),
    keepaliveSeconds: options.keepaliveSeconds ?? KEEPALIVE_S,
    sessionExpirySeconds: SESSION_EXPIRY_S,
    ...will(machine),
    trust: anchorsOf(options),
    onMessage: (topic, payload, retained) => receive(machine, { topic, payload, retained }),
    onClosed: (why) => gone.resolve(why),
  });
  const opened = await Promise.race([opening, machine.stopping.promise.then(() => null)]);
  if (opened === null) {
    // A peer that does not answer must not hold up the end of the agent.
    void opening.then((late) => (late.ok ? late.value.destroy() : undefined));
    return { fault: fault('link.down', { peer: machine.peer }), upMs: null };
  }
  if (!opened.ok) {
    machine.state = { ...machine.state, lastFault: opened.fault };
    return { fault: opened.fault, upMs: null };
  }
  const connection = opened.value;
  machine.connection = connection;
  const upAt = platform.clock.monotonicMs();
  const greeting = await Promise.race([greet(machine, connection), gone.promise.then(() => null)]);
  if (greeting !== null) up(machine, greeting.ok ? null : greeting.fault);
  const end = await Promise.race([gone.promise, machine.stopping.promise.then(() => ok())]);
  const why = end.ok
    ? fault('link.cut', { peer: machine.peer, reason: 'it was closed here' })
    : end.fault;
  down(machine, why);
  return { fault: why, upMs: platform.clock.monotonicMs() - upAt };
}

function up(machine: Machine, missing: Fault | null): void {
  const before = machine.state.protocol;
  const protocol = versionText(machine.versions.current());
  machine.versions.worked();
  const since = machine.platform.clock.wallMs();
  machine.state = { kind: 'up', since, lastFault: missing, protocol };
  machine.platform.log.write(missing ? 'warn' : 'info', 'mqtt.up', {
    broker: machine.peer,
    protocol,
    ...(missing ? { code: missing.code, message: missing.message } : {}),
  });
  if (before !== protocol) tell(machine, { kind: 'protocol', protocol });
  tell(machine, { kind: 'up', protocol });
}

function down(machine: Machine, why: Fault): void {
  machine.connection = null;
  if (machine.state.kind === 'up') {
    const since = machine.platform.clock.wallMs();
    machine.state = { ...machine.state, kind: 'down', since, lastFault: why };
    tell(machine, { kind: 'down', fault: why });
  } else {
    machine.state = { ...machine.state, lastFault: why };
  }
}

/**
 * Presence, then the subscriptions. A broker that forbids one of them (its access rules) is still
 * worth having for the rest: the fault is shown in the state.
 */
async function greet(machine: Machine, connection: BrokerConnection): Promise<Result<void>> {
  const { topicRoot, deviceId, channels } = machine.options;
  const presence = topicOf(topicRoot, { kind: 'presence', device: deviceId });
  if (!presence.ok) return presence;
  // In this order: the retained presence that comes back is the one before this connection.
  const watched = connection.subscribe([presence.value]);
  const said = connection.publish(presence.value, presenceBytes(machine, true), true);
  const topics: string[] = [];
  for (const name of [
    ...channels.map((channel): TopicName => ({ kind: 'channel-nudge', channel })),
    { kind: 'device-nudge', device: deviceId } as const,
  ]) {
    const topic = topicOf(topicRoot, name);
    if (!topic.ok) return topic;
    topics.push(topic.value);
  }
  const told = connection.subscribe([`${topicRoot}/time`, `${topicRoot}/d/${deviceId}/time`]);
  const subscribed = await connection.subscribe(topics);
  const announced = await said;
  // Access rules may forbid both: then clones show only where the broker names them, and the time
  // comes by another way.
  await Promise.all([watched, told]);
  return subscribed.ok ? announced : subscribed;
}

async function publish(
  machine: Machine,
  message: { readonly topic: string; readonly payload: Uint8Array; readonly retain: boolean },
): Promise<Result<void>> {
  const { topic, payload, retain } = message;
  const { connection } = machine;
  if (connection === null || machine.state.kind === 'down') {
    return refuse('link.down', { peer: machine.peer });
  }
  return connection.publish(topic, payload, retain);
}

async function farewell(machine: Machine): Promise<void> {
  const { connection, options } = machine;
  if (connection === null) return;
  const topic = topicOf(options.topicRoot, { kind: 'presence', device: options.deviceId });
  if (topic.ok && machine.state.kind === 'up') {
    const said = connection.publish(topic.value, presenceBytes(machine, false), true);
    const late = Promise.withResolvers<void>();
    const cancel = machine.platform.clock.after(FAREWELL_MS, late.resolve);
    await Promise.race([said, late.promise]);
    cancel();
  }
  await connection.end();
}

function receive(
  machine: Machine,
  message: { readonly topic: string; readonly payload: Uint8Array; readonly retained: boolean },
): void {
  const { topicRoot, deviceId, channels } = machine.options;
  const topic = parseTopic(topicRoot, message.topic);
  const { payload, retained } = message;
  if (topic?.kind === 'channel-nudge' && channels.includes(topic.channel)) {
    tell(machine, { kind: 'nudge', topic, payload, retained });
  } else if (topic?.kind === 'device-nudge' && topic.device === deviceId) {
    tell(machine, { kind: 'nudge', topic, payload, retained });
  } else if (
    topic?.kind === 'time' ||
    (topic?.kind === 'device-time' && topic.device === deviceId)
  ) {
    tell(machine, { kind: 'time', own: topic.kind === 'device-time', payload });
  } else if (topic?.kind === 'presence' && topic.device === deviceId) {
    const presence = readPresence(payload);
    if (presence.ok) machine.clones.saw(presence.value.since);
  }
}

function tell(machine: Machine, event: MqttLinkEvent): void {
  for (const listener of [...machine.listeners]) listener(event);
}

function will(machine: Machine): {
  will?: { topic: string; payload: Uint8Array; retain: boolean };
} {
  const { topicRoot, deviceId } = machine.options;
  const topic = topicOf(topicRoot, { kind: 'presence', device: deviceId });
  if (!topic.ok) return {};
  return { will: { topic: topic.value, payload: presenceBytes(machine, false), retain: true } };
}

function presenceBytes(machine: Machine, online: boolean): Uint8Array {
  const { agentVersion } = machine.options;
  return writePresence({ online, agentVersion, since: machine.since });
}

function anchorsOf({ rootAnchors }: MqttLinkOptions): TlsTrust | null {
  return rootAnchors?.() ?? null;
}

/** Stable, so that the broker keeps one session per device and a clone shows. */
function clientId(options: MqttLinkOptions): string {
  return `holdfast-${options.fleet.slice(0, 16)}-${options.deviceId}`;
}
