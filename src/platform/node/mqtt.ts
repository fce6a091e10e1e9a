/**
 * MQTT by mqtt.js, one client object per connection: it never reconnects, queues nothing, and every
 * error it has ends the connection. What it does not bound is bounded by mqtt-frames.ts below it.
 * The keepalive watchdog (a ping per interval, the end at one and a half) is mqtt.js's own.
 */
import { type IClientOptions, type IPublishPacket, MqttClient } from 'mqtt';
import { writeToStream } from 'mqtt-packet';
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Mqtt, MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import type { Socket } from '#platform/tls.ts';
import type { FrameFault } from './mqtt-frames.ts';
import { ration } from './mqtt-ration.ts';
import { watchedStream } from './mqtt-stream.ts';
import { netFault } from './net-faults.ts';
import { streamOf } from './sockets.ts';

/** bytes of topic and properties beside a payload at the cap */
const OVERHEAD = 1_024;
/** ms for DISCONNECT to leave and unacknowledged messages to be acknowledged */
const END_MS = 2_000;
/** reason codes: MQTT 5.0 section 2.4; return code 1 is that of 3.1.1 (section 3.2.2.3) */
const CODE = { versionOf4: 1, version: 0x84, takenOver: 0x8e } as const;

// Else the first packet makes a buffer for each number of two bytes and keeps all 65,536 (5 MB).
writeToStream.cacheNumbers = false;

/** @param collect  gives back at once what is no longer used; for floods, which outrun the runtime's pace */
export function mqttClient(collect: () => void = () => {}): Mqtt {
  return { connect: (options, socket) => connect(options, socket, collect) };
}

/** One connection's state, from CONNECT on. */
interface Session {
  readonly client: MqttClient;
  readonly peer: string;
  readonly options: MqttOptions;
  /** why it ends, as soon as that is known */
  why: Fault | null;
  /** this side ended it */
  ended: boolean;
  /** resolves when the stream is gone */
  readonly closed: Promise<void>;
}

function connect(
  options: MqttOptions,
  socket: Socket,
  collect: () => void,
): Promise<Result<MqttConnection>> {
  return new Promise((resolve) => {
    const session = open(options, socket, collect);
    const { peer } = session;
    const timer = setTimeout(() => {
      session.why ??= fault('link.timeout', { peer, ms: options.connectTimeoutMs });
      session.client.end(true);
    }, options.connectTimeoutMs);
    let connected = false;
    session.client.once('connect', ({ sessionPresent }) => {
      clearTimeout(timer);
      connected = true;
      resolve(ok(connectionOf(session, sessionPresent)));
    });
    void session.closed.then(() => {
      clearTimeout(timer);
      const why = session.why ?? fault('link.cut', { peer, reason: 'the broker closed it' });
      if (!connected) resolve(refused(why));
      else options.onClosed(session.ended ? ok() : refused(why));
    });
  });
}

function open(options: MqttOptions, socket: Socket, collect: () => void): Session {
  const peer = peerOf(socket);
  const cap = options.messageCap + OVERHEAD;
  const faulty = (found: FrameFault): void => {
    session.why ??= frameFault(found, peer, options.messageCap);
  };
  const watching = { ration: ration(), collect };
  const stream = watchedStream(streamOf(socket), cap, faulty, watching);
  const client = new MqttClient(() => stream, clientOptions(options));
  const session: Session = {
    client,
    peer,
    options,
    why: null,
    ended: false,
    closed: new Promise((resolve) => client.once('close', () => resolve())),
  };
  const failed = (why: Fault): void => {
    session.why ??= why;
    stream.destroy();
  };
  client.on('error', (error) => failed(clientFault(error, session)));
  client.on('disconnect', ({ reasonCode }) => failed(reasonFault(reasonCode ?? 0, session)));
  client.on('message', (topic, payload, packet: IPublishPacket) => {
    if (payload.length > options.messageCap) {
      failed(tooLarge(peer, payload.length, options.messageCap));
      return;
    }
    // A copy: the payload is a view of the whole chunk it came in.
    options.onMessage(topic, new Uint8Array(payload), packet.retain);
  });
  return session;
}

function clientOptions(options: MqttOptions): IClientOptions {
  const { version, will, sessionExpirySeconds, messageCap } = options;
  return {
    protocolId: 'MQTT',
    protocolVersion: version,
    clientId: options.clientId,
    clean: sessionExpirySeconds === 0,
    keepalive: options.keepaliveSeconds,
    reconnectPeriod: 0,
    connectTimeout: options.connectTimeoutMs,
    resubscribe: false,
    queueQoSZero: false,
    timerVariant: 'native',
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(options.password === undefined ? {} : { password: options.password }),
    ...(version === 5
      ? {
          properties: {
            sessionExpiryInterval: sessionExpirySeconds,
            // A promise of the broker not to send more; mqtt-frames.ts is the check.
            maximumPacketSize: messageCap + OVERHEAD,
          },
        }
      : {}),
    ...(will === undefined
      ? {}
      : {
          will: {
            topic: will.topic,
            payload: Buffer.from(will.payload),
            qos: 1,
            retain: will.retain,
          },
        }),
  };
}

function connectionOf(session: Session, sessionPresent: boolean): MqttConnection {
  const { client } = session;
  return {
    sessionPresent,
    subscribe: (topics) => subscribe(session, topics),
    publish: (topic, payload, retain) => publish(session, topic, payload, retain),
    async end() {
      session.ended = true;
      const timer = setTimeout(() => client.end(true), END_MS);
      client.end(false);
      await session.closed;
      clearTimeout(timer);
    },
    destroy() {
      session.ended = true;
      client.end(true);
    },
  };
}

function subscribe(session: Session, topics: readonly string[]): Promise<Result<void>> {
  return whileOpen(session, (done) => {
    session.client.subscribe([...topics], { qos: 1 }, (error, _granted, suback) => {
      const denied = suback?.granted.map(Number).find((code) => code >= 0x80);
      if (denied !== undefined) done(refused(reasonFault(denied, session)));
      else done(error ? refused(clientFault(error, session)) : ok());
    });
  });
}

function publish(
  session: Session,
  topic: string,
  payload: Uint8Array,
  retain: boolean,
): Promise<Result<void>> {
  const bytes = Buffer.from(payload);
  return whileOpen(session, (done) => {
    session.client.publish(topic, bytes, { qos: 1, retain }, (error) =>
      done(error ? refused(clientFault(error, session)) : ok()),
    );
  });
}

/** One exchange; it ends with the connection when the answer does not come before. */
function whileOpen(
  session: Session,
  start: (done: (result: Result<void>) => void) => void,
): Promise<Result<void>> {
  const { client, peer } = session;
  if (!client.connected) return Promise.resolve(refuse('link.down', { peer }));
  return new Promise((resolve) => {
    void session.closed.then(() => resolve(refused(session.why ?? fault('link.down', { peer }))));
    start(resolve);
  });
}

/** Errors of mqtt.js: reason codes of the broker, errno of the stream, or its own words. */
function clientFault(error: Error, session: Session): Fault {
  const { peer, options } = session;
  const code = 'code' in error ? error.code : null;
  if (typeof code === 'number') return reasonFault(code, session);
  if (typeof code === 'string') return netFault(error, peer, true);
  if (/keepalive timeout/i.test(error.message)) {
    return fault('link.timeout', { peer, ms: options.keepaliveSeconds * 1_500 });
  }
  if (/connack timeout/i.test(error.message)) {
    return fault('link.timeout', { peer, ms: options.connectTimeoutMs });
  }
  return fault('link.cut', { peer, reason: words(error.message) });
}

function reasonFault(code: number, { peer, options }: Session): Fault {
  if (code === CODE.takenOver) return fault('link.mqtt-taken-over', { peer });
  if (code === CODE.version || code === CODE.versionOf4) {
    return fault('link.mqtt-protocol', { peer, version: options.version === 5 ? '5' : '3.1.1' });
  }
  if (code === 0) return fault('link.cut', { peer, reason: 'the broker ended the session' });
  return fault('link.mqtt-refused', { peer, code, reason: REASONS[code] ?? 'no known reason' });
}

/** MQTT 5.0 section 2.4, and the return codes of 3.1.1 section 3.2.2.3 and 3.9.3 */
const REASONS: Readonly<Record<number, string>> = {
  2: 'the client id is not accepted',
  3: 'the broker is unavailable',
  4: 'wrong user name or password',
  5: 'not authorised',
  128: 'unspecified error',
  129: 'malformed packet',
  130: 'protocol error',
  131: 'implementation specific error',
  133: 'the client id is not accepted',
  134: 'wrong user name or password',
  135: 'not authorised',
  136: 'the broker is unavailable',
  137: 'the broker is busy',
  138: 'banned',
  139: 'the broker is shutting down',
  140: 'bad authentication method',
  141: 'keepalive timeout',
  143: 'the topic filter is not accepted',
  144: 'the topic is not accepted',
  147: 'receive maximum exceeded',
  149: 'the packet is too large',
  150: 'too many messages',
  151: 'quota exceeded',
  152: 'administrative action',
  153: 'the payload format is not accepted',
  154: 'retained messages are not supported',
  155: 'this quality of service is not supported',
  156: 'use another server',
  157: 'the server has moved',
  159: 'too many connections',
};

function frameFault(found: FrameFault, peer: string, cap: number): Fault {
  return found.kind === 'too-large'
    ? tooLarge(peer, found.bytes, cap)
    : fault('link.cut', { peer, reason: 'it sent a malformed packet length' });
}

function tooLarge(peer: string, bytes: number, cap: number): Fault {
  return fault('link.mqtt-too-large', { peer, bytes, cap });
}

function peerOf(socket: Socket): string {
  const stream: object = streamOf(socket);
  if (!('remoteAddress' in stream) || !('remotePort' in stream)) return 'the broker';
  const { remoteAddress, remotePort } = stream;
  return typeof remoteAddress === 'string' ? `${remoteAddress}:${remotePort}` : 'the broker';
}

function words(message: string): string {
  return message.replace(/[^\x20-\x7e]/g, '?').slice(0, 120);
}
