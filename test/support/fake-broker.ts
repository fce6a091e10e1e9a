/**
 * A broker behind platform/mqtt.ts, for tests of logic: each connection is answered as the test says,
 * then its messages and its end are in the test's hand.
 */
import { type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import {
  type LinkPlatform,
  type MqttLinkEvent,
  type MqttLinkOptions,
  mqttLink,
} from '#link/mqtt.ts';
import type { BrokerConfig } from '#link/mqtt-broker.ts';
import type { Clock } from '#platform/clock.ts';
import type { MqttConnection, MqttOptions } from '#platform/mqtt.ts';
import { manualClock } from './manual-clock.ts';
import { seededRandom } from './seeded-random.ts';

export interface FakeSession {
  readonly options: MqttOptions;
  readonly published: { topic: string; payload: Uint8Array; retain: boolean }[];
  subscribed: readonly string[];
  /** how it ended, from the client's side */
  ended: 'end' | 'destroy' | null;
  /** monotonic ms of its CONNECT */
  readonly at: number;
  message(topic: string, payload: Uint8Array, retained?: boolean): void;
  close(why?: Fault): void;
}

export interface FakeBroker {
  readonly platform: LinkPlatform;
  readonly sessions: FakeSession[];
  /** the newest */
  session(): FakeSession;
  /** answers to CONNECT, SUBSCRIBE and PUBLISH; `never`: no answer comes */
  connect: (options: MqttOptions) => Fault | null;
  subscribe: () => Fault | null | 'never';
  publish: (topic: string) => Fault | null | 'never';
  readonly files: Map<string, string>;
  readonly log: string[];
}

export function fakeBroker(clock: Clock, seed = 1): FakeBroker {
  const sessions: FakeSession[] = [];
  const files = new Map<string, string>();
  const log: string[] = [];
  const broker: FakeBroker = {
    platform: {
      clock,
      random: seededRandom(seed),
      log: { write: (_level, event) => void log.push(event) },
      files: {
        open: () => assertUnused(),
        realPath: () => assertUnused(),
        readFile: (path) => {
          const text = files.get(path);
          return text === undefined
            ? refused(fault('link.unreachable', { peer: path, reason: 'no such file' }))
            : ok(new TextEncoder().encode(text));
        },
      },
      sockets: {
        connect: () => Promise.resolve(ok({ stream: null, close: () => {} })),
        secure: (socket) => Promise.resolve(ok(socket)),
      },
      tunnels: {
        listen: () => assertUnused(),
        throughProxy: (socket) => Promise.resolve(ok(socket)),
        webSocket: (socket) => Promise.resolve(ok(socket)),
      },
      certificates: () => ok([]),
      mqtt: {
        connect: (options) => {
          const why = broker.connect(options);
          sessions.push(sessionOf(options, clock.monotonicMs()));
          if (why) return Promise.resolve(refused(why));
          return Promise.resolve(ok(connectionOf(broker, broker.session())));
        },
      },
    },
    sessions,
    session: () => {
      const newest = sessions.at(-1);
      if (!newest) throw new Error('no connection was made');
      return newest;
    },
    connect: () => null,
    subscribe: () => null,
    publish: () => null,
    files,
    log,
  };
  return broker;
}

function sessionOf(options: MqttOptions, at: number): FakeSession {
  return {
    options,
    published: [],
    subscribed: [],
    ended: null,
    at,
    message: (topic, payload, retained = false) => options.onMessage(topic, payload, retained),
    close: (why) => options.onClosed(why ? refused(why) : ok(undefined)),
  };
}

function connectionOf(broker: FakeBroker, session: FakeSession): MqttConnection {
  return {
    sessionPresent: false,
    subscribe: (topics) => {
      session.subscribed = topics;
      return answer(broker.subscribe());
    },
    publish: (topic, payload, retain) => {
      session.published.push({ topic, payload, retain });
      return answer(broker.publish(topic));
    },
    end: () => {
      session.ended = 'end';
      session.close();
      return Promise.resolve();
    },
    destroy: () => {
      session.ended = 'destroy';
      session.close();
    },
  };
}

function answer(why: Fault | null | 'never'): Promise<Result<void>> {
  if (why === 'never') return new Promise(() => {});
  return Promise.resolve(why ? refused(why) : ok(undefined));
}

function assertUnused(): never {
  throw new Error('this part of the platform is not used by the link');
}

export const FAKE = {
  fleet: '00112233445566778899aabbccddeeff',
  root: 'holdfast/v1/plant',
  peer: 'broker:8883',
} as const;

const BROKER: BrokerConfig = {
  url: 'mqtts://broker',
  protocol: 'auto',
  auth: null,
  tls: null,
  proxy: null,
  insecure: false,
};

/** A link to it, not yet started, and what it tells. */
export function fakeLink(
  broker: Partial<BrokerConfig> = {},
  options: Partial<MqttLinkOptions> = {},
) {
  const clock = manualClock();
  const fake = fakeBroker(clock);
  const link = mqttLink(fake.platform, {
    broker: { ...BROKER, ...broker },
    topicRoot: FAKE.root,
    fleet: FAKE.fleet,
    deviceId: 'press-7',
    channels: ['stable', 'device.press-7'],
    agentVersion: '0.1.0',
    time: () => ({ floorMs: 0, wallPlausible: true }),
    ...options,
  });
  const events: MqttLinkEvent[] = [];
  link.listen((event) => events.push(event));
  return { clock, fake, link, events, kinds: () => events.map(({ kind }) => kind) };
}
