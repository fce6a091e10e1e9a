/** The link on the real platform, watched: for tests against real and hostile brokers. */
import { type LinkPlatform, type MqttLink, type MqttLinkEvent, mqttLink } from '#link/mqtt.ts';
import type { BrokerConfig } from '#link/mqtt-broker.ts';
import type { PeerTime } from '#link/peer.ts';
import { parseCertificates } from '#platform/node/certificates.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { mqttClient } from '#platform/node/mqtt.ts';
import { systemRandom } from '#platform/node/random.ts';
import { systemSockets } from '#platform/node/sockets.ts';
import { nodeTunnels } from '#platform/node/tunnel.ts';
import type { Socket } from '#platform/tls.ts';
import { eventually } from './eventually.ts';

export const FLEET = '00112233445566778899aabbccddeeff';
export const ROOT = `holdfast/v1/${FLEET}`;
export const CLIENT_ID = 'holdfast-0011223344556677-press-7';

export interface WatchedLink {
  readonly link: MqttLink;
  readonly events: MqttLinkEvent[];
  /** Waits until the link is up for the nth time. */
  up(times?: number): Promise<void>;
  /** Waits for a fault as the last one. */
  fault(code: string): Promise<void>;
  /** Breaks the TCP connection without a word, as a pulled cable does. */
  breakNow(): void;
  /** TCP connections made so far */
  connections(): number;
}

export function realPlatform(onSocket: (socket: Socket) => void = () => {}): LinkPlatform {
  const sockets = systemSockets();
  return {
    clock: systemClock(),
    random: systemRandom(),
    files: systemFiles(),
    log: { write: () => {} },
    tunnels: nodeTunnels(),
    certificates: parseCertificates,
    mqtt: mqttClient(() => Bun.gc(true)),
    sockets: {
      ...sockets,
      async connect(to, timeoutMs) {
        const socket = await sockets.connect(to, timeoutMs);
        if (socket.ok) onSocket(socket.value);
        return socket;
      },
    },
  };
}

export function brokerAt(url: string, more: Partial<BrokerConfig> = {}): BrokerConfig {
  const rest = { auth: null, tls: null, proxy: null, insecure: false } as const;
  return { url, protocol: 'auto', ...rest, ...more };
}

export function watchedLink(
  broker: BrokerConfig,
  time: () => PeerTime = () => ({ floorMs: 0, wallPlausible: true }),
): WatchedLink {
  const made: Socket[] = [];
  const platform = realPlatform((socket) => made.push(socket));
  const link = mqttLink(platform, {
    broker,
    topicRoot: ROOT,
    fleet: FLEET,
    deviceId: 'press-7',
    channels: ['stable'],
    agentVersion: '0.1.0',
    time,
  });
  const events: MqttLinkEvent[] = [];
  link.listen((event) => events.push(event));
  const ups = (): number => events.filter(({ kind }) => kind === 'up').length;
  return {
    link,
    events,
    async up(times = 1) {
      await eventually(`the link is up ${times} times`, () => ups() >= times);
    },
    async fault(code) {
      await eventually(`the last fault is ${code}`, () => link.state().lastFault?.code === code);
    },
    breakNow: () => made.at(-1)?.close(),
    connections: () => made.length,
  };
}
