/**
 * An MQTT broker as a state machine: sessions that queue while their client is away, retained
 * messages, wills. It keeps everything that was ever published to status topics, so that the model
 * knows what was acknowledged to the outside.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Mqtt, MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import type { Sockets } from '#platform/tls.ts';
import type { Life } from './crash.ts';
import type { Network } from './network.ts';

interface Message {
  readonly topic: string;
  readonly payload: Uint8Array;
}

interface Session {
  readonly topics: Set<string>;
  readonly queued: Message[];
  open: { deliver(message: Message, retained: boolean): void; drop(reason: string): void } | null;
}

export interface SimBroker {
  readonly retained: Map<string, Uint8Array>;
  /** every message that a device was given a PUBACK for, or may have been */
  readonly received: {
    readonly topic: string;
    readonly payload: Uint8Array;
    acknowledged: boolean;
  }[];
  /** From the publisher's side. */
  publish(topic: string, payload: Uint8Array, retain: boolean): void;
  /** Breaks every connection. */
  restart(): void;
  copy(): BrokerCopy;
  platform(life: Life): { readonly sockets: Sockets; readonly mqtt: Mqtt };
}

/** What a broker keeps: every client is away. */
export interface BrokerCopy {
  readonly retained: ReadonlyMap<string, Uint8Array>;
  readonly sessions: readonly {
    readonly clientId: string;
    readonly topics: readonly string[];
    readonly queued: readonly Message[];
  }[];
}

const PEER = 'broker';
const QUEUE_MAX = 100;
/** ms after which a client notices that nobody answers */
const KEEPALIVE_MS = 90_000;
/** ms after which a client that ends a connection lets go of it though nobody answers */
const LEAVES_MS = 2_000;

export function simBroker(network: Network, from?: BrokerCopy): SimBroker {
  const sessions = new Map<string, Session>();
  for (const { clientId, topics, queued } of from?.sessions ?? []) {
    sessions.set(clientId, { topics: new Set(topics), queued: [...queued], open: null });
  }
  const broker: SimBroker = {
    retained: new Map(from?.retained),
    received: [],
    publish(topic, payload, retain) {
      if (retain) broker.retained.set(topic, payload);
      for (const session of sessions.values()) {
        if (!session.topics.has(topic)) continue;
        if (session.open) session.open.deliver({ topic, payload }, false);
        else if (session.queued.length < QUEUE_MAX) session.queued.push({ topic, payload });
      }
    },
    restart() {
      for (const session of sessions.values()) session.open?.drop('the broker restarts');
    },
    copy: () => ({
      retained: new Map(broker.retained),
      sessions: [...sessions].map(([clientId, { topics, queued }]) => ({
        ...{ clientId, topics: [...topics], queued: [...queued] },
      })),
    }),
    platform: (life) => ({
      sockets: socketsOf(network, life),
      mqtt: { connect: (options) => connect({ broker, sessions, network, life }, options) },
    }),
  };
  return broker;
}

function socketsOf(network: Network, life: Life): Sockets {
  return {
    connect() {
      const { promise, resolve } = Promise.withResolvers<Awaited<ReturnType<Sockets['connect']>>>();
      network.time.after(network.delayMs(), () => {
        if (life.dead) return;
        if (network.weather.parted || network.isBad()) {
          resolve(refuse('link.unreachable', { peer: PEER, reason: 'ENETUNREACH' }));
        } else resolve(ok({ stream: null, close: () => {} }));
      });
      return promise;
    },
    secure: async (socket) => ok(socket),
  };
}

interface Client {
  readonly broker: SimBroker;
  readonly sessions: Map<string, Session>;
  readonly network: Network;
  readonly life: Life;
}

function connect(client: Client, options: MqttOptions): Promise<Result<MqttConnection>> {
  const { sessions, network, life } = client;
  const { promise, resolve } = Promise.withResolvers<Result<MqttConnection>>();
  network.time.after(network.delayMs(), () => {
    if (life.dead) return;
    if (network.weather.parted) {
      return resolve(refuse('link.timeout', { peer: PEER, ms: options.connectTimeoutMs }));
    }
    const known = sessions.get(options.clientId);
    const session: Session = known ?? { topics: new Set(), queued: [], open: null };
    sessions.set(options.clientId, session);
    session.open?.drop('taken over');
    resolve(ok(connectionOf(client, session, options, known !== undefined)));
  });
  return promise;
}

function connectionOf(
  client: Client,
  session: Session,
  options: MqttOptions,
  sessionPresent: boolean,
): MqttConnection {
  const { broker, network, life } = client;
  const { time, dice } = network;
  let open = true;
  /** the client knows that it is over */
  let told = false;
  const waiting = new Set<(why: Result<void>) => void>();
  /** what is on its way to the client arrives in order */
  let lastAt = 0;
  const arrives = (call: () => void): void => {
    lastAt = Math.max(lastAt, time.now + network.delayMs());
    time.after(lastAt - time.now, () => {
      if (open && !life.dead && !network.weather.parted) call();
    });
  };
  const close = (reason: string, tellMs: number): void => {
    if (!open) return;
    open = false;
    if (session.open === self) session.open = null;
    stopListening();
    tell(reason, tellMs);
  };
  const tell = (reason: string, tellMs: number): void => {
    const why = refuse('link.cut', { peer: PEER, reason });
    time.after(tellMs, () => {
      if (life.dead || told) return;
      told = true;
      for (const resolve of waiting) resolve(why);
      options.onClosed(why);
    });
  };
  const self: NonNullable<Session['open']> = {
    deliver(message, retained) {
      const times = network.isBad() ? dice.pick([0, 2]) : 1;
      if (times === 0) session.queued.push(message);
      for (let time = 0; time < times; time += 1) {
        arrives(() => options.onMessage(message.topic, message.payload.slice(), retained));
      }
    },
    drop: (reason) => close(reason, 1),
  };
  // A partition is noticed by nobody until the keepalive finds it.
  const stopListening = network.onPart(() => close('no answer', dice.below(KEEPALIVE_MS)));
  session.open = self;
  for (const message of session.queued.splice(0)) self.deliver(message, false);
  const acknowledged = (work: () => void): Promise<Result<void>> => {
    const { promise, resolve } = Promise.withResolvers<Result<void>>();
    if (told) {
      resolve(refuse('link.cut', { peer: PEER, reason: 'it was closed' }));
      return promise;
    }
    waiting.add(resolve);
    // On its way there: lost when the connection breaks meanwhile, or when the device dies.
    time.after(network.delayMs(), () => {
      if (!open || network.weather.parted) return;
      work();
      arrives(() => {
        waiting.delete(resolve);
        resolve(ok());
      });
    });
    return promise;
  };
  return {
    sessionPresent,
    subscribe: (topics) =>
      acknowledged(() => {
        for (const topic of topics) {
          session.topics.add(topic);
          const payload = broker.retained.get(topic);
          if (payload) self.deliver({ topic, payload }, true);
        }
      }),
    async publish(topic, payload, retain) {
      const message = { topic, payload, acknowledged: false };
      const sent = await acknowledged(() => {
        broker.received.push(message);
        broker.publish(topic, payload, retain);
      });
      if (sent.ok) message.acknowledged = true;
      return sent;
    },
    async end() {
      if (open) close('ended by this side', 0);
      else tell('ended by this side', LEAVES_MS);
    },
    destroy() {
      if (open) close('destroyed', 0);
      else tell('destroyed', 0);
    },
  };
}
