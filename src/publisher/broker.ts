/** The broker of fleet.yaml, for those at the desk: one connection, and where its topics begin. */
import { type Result, refuse } from '#errors/fault.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { versions } from '#link/mqtt-version.ts';
import { checkTopicRoot, defaultTopicRoot } from '#link/topics.ts';
import type { MqttConnection } from '#platform/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import type { Fleet } from './fleet.ts';

const KEEPALIVE_S = 30;
const TRIES = 2;

export function topicRootOf(fleet: Fleet): Result<string> {
  return checkTopicRoot(fleet.config.mqtt?.topicRoot ?? defaultTopicRoot(fleet.root.fleet));
}

/** `auto` tries MQTT 5, then 3.1.1 where the broker refuses it for its version or just hangs up. */
export async function connectBroker(
  platform: Platform,
  fleet: Fleet,
  session: {
    readonly clientId: string;
    onMessage?(topic: string, payload: Uint8Array): void;
    onClosed?(why: Result<void>): void;
  },
): Promise<Result<MqttConnection>> {
  const broker = fleet.config.mqtt;
  if (!broker) return refuse('publish.no-broker', {});
  const tried = versions(broker.protocol);
  let opened: Result<MqttConnection> = refuse('publish.no-broker', {});
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    opened = await openBroker(platform, broker, fleet.time, {
      clientId: session.clientId,
      version: tried.current(),
      keepaliveSeconds: KEEPALIVE_S,
      sessionExpirySeconds: 0,
      trust: fleet.root.tls,
      onMessage: (topic, payload) => session.onMessage?.(topic, payload),
      onClosed: (why) => session.onClosed?.(why),
    });
    if (opened.ok) return opened;
    const before = tried.current();
    tried.failed(opened.fault);
    if (tried.current() === before) return opened;
  }
  return opened;
}
