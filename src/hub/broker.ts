/**
 * An MQTT 3.1.1 broker for one plant: aedes, with retained messages on disk (retained.ts), so that
 * statuses and presences outlive a restart. A retained message is acknowledged once it is durable.
 * Sessions are in memory: devices subscribe again when they connect, and poll then.
 * With `access`, who connects must be known, and does what broker-access.ts says.
 */
import { Aedes, type AedesOptions, type Client } from 'aedes';
import { ok, type Result } from '#errors/fault.ts';
import type { Listening, RemotePeer, ServerTls } from '#platform/listener.ts';
import type { Log } from '#platform/log.ts';
import type { MqttListener } from '#platform/mqtt-listener.ts';
import type { Access, Identity } from './access.ts';
import { mayConnect, mayPublish, maySubscribe } from './broker-access.ts';
import type { Retained } from './retained.ts';

export interface BrokerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: ServerTls;
}

export interface BrokerParts {
  readonly listener: MqttListener;
  readonly retained: Retained;
  readonly log: Log;
  /** none: everyone may do everything */
  readonly access?: Access;
}

export interface Broker {
  readonly port: number;
  close(): Promise<void>;
}

/** bytes of a packet: a message of LIMITS.mqttMessageBytes, its topic, and room for others' */
const PACKET_MAX = 1024 * 1024;
const CLIENT_ID_MAX = 256;
const TOPIC_MAX = 1_024;
const TOPIC_LEVELS_MAX = 32;
/** messages that wait for one slow client in memory */
const QUEUE_MAX = 128;

export async function startBroker(
  parts: BrokerParts,
  options: BrokerOptions,
): Promise<Result<Broker>> {
  const { listener, retained, log, access } = parts;
  const guests = guestList();
  const broker = new Aedes({
    ...(access ? admission(access, guests) : {}),
    maxClientsIdLength: CLIENT_ID_MAX,
    maxTopicLevels: TOPIC_LEVELS_MAX,
    queueLimit: QUEUE_MAX,
    authorizePublish: authorizeBy(retained, access ? guests : null),
  });
  await broker.listen();
  for (const [topic, payload] of retained.messages) await restore(broker, topic, payload);
  broker.on('clientError', (client, error) => {
    log.write('debug', 'hub.client-error', { client: client.id, error: error.message });
  });
  broker.on('connectionError', (_client, error) => {
    log.write('debug', 'hub.connection-error', { error: error.message });
  });
  access?.onRevoked((name) => guests.expel(name));
  const listening = await listener.listen(
    { ...options, messageCap: PACKET_MAX },
    (stream, peer) => {
      guests.peers.set(stream as object, peer);
      broker.handle(stream as Parameters<Aedes['handle']>[0]);
    },
  );
  if (!listening.ok) {
    await closed(broker);
    return listening;
  }
  return ok({
    port: listening.value.port,
    async close() {
      await closeBoth(broker, listening.value);
    },
  });
}

/** Before it is acknowledged or passed on: refused, or durable where it is retained. */
function authorizeBy(
  retained: Retained,
  guests: Guests | null,
): NonNullable<AedesOptions['authorizePublish']> {
  return (client, packet, callback) => {
    const { topic, payload, retain } = packet;
    const who = client && guests?.known.get(client);
    if (guests && !(who && mayPublish(who, topic))) {
      return callback(new Error('this client may not publish there'));
    }
    if (topic.startsWith('$')) return callback(new Error(`${topic.slice(0, 40)} is the broker's`));
    if (Buffer.byteLength(topic) > TOPIC_MAX) return callback(new Error('the topic is too long'));
    if (!retain) return callback();
    retained.put(topic, Buffer.from(payload)).then(
      (put) => callback(put.ok ? null : new Error(`${put.fault.code}: ${put.fault.message}`)),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  };
}

/** Who is connected; its sockets, until then. */
interface Guests {
  readonly peers: WeakMap<object, RemotePeer>;
  readonly known: Map<Client, Identity>;
  expel(name: string): void;
}

function guestList(): Guests {
  const known = new Map<Client, Identity>();
  return {
    peers: new WeakMap(),
    known,
    expel(name) {
      for (const [client, who] of known) {
        if ((who.kind === 'device' ? who.id : who.name) === name) client.close();
      }
    },
  };
}

const NOT_AUTHORIZED = 5;

function admission(
  access: Access,
  guests: Guests,
): Pick<AedesOptions, 'authenticate' | 'authorizeSubscribe'> {
  return {
    authenticate(client, username, password, done) {
      const peer = guests.peers.get(client.conn) ?? { address: '', certificate: null };
      const account =
        username === undefined || password === undefined
          ? null
          : { username, password: Buffer.from(password).toString('utf8') };
      const who = access.identify(peer, account);
      if (!who || !mayConnect(who, client.id)) {
        const refusal = new Error('not authorized');
        return done(Object.assign(refusal, { returnCode: NOT_AUTHORIZED }), false);
      }
      guests.known.set(client, who);
      client.conn.once('close', () => guests.known.delete(client));
      return done(null, true);
    },
    authorizeSubscribe(client, subscription, callback) {
      const who = guests.known.get(client);
      // Null: the broker answers that this one was refused (0x80).
      callback(null, who && maySubscribe(who, subscription.topic) ? subscription : null);
    },
  };
}

/** As if it had just been published: the broker's memory is filled from the disk. */
function restore(broker: Aedes, topic: string, payload: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const packet = {
      cmd: 'publish' as const,
      qos: 1 as const,
      dup: false,
      retain: true,
      topic,
      payload: Buffer.from(payload),
    };
    broker.publish(packet, (error) => (error ? reject(error) : resolve()));
  });
}

function closed(broker: Aedes): Promise<void> {
  return new Promise((resolve) => broker.close(() => resolve()));
}

/** Clients first: their wills are published and kept. */
async function closeBoth(broker: Aedes, listening: Listening): Promise<void> {
  const ended = closed(broker);
  await listening.close();
  await ended;
}
