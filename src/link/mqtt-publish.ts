/**
 * A few messages to a broker by a connection of their own: what the publisher's nudges need. No
 * session, no will, no retry: the caller is a command that a person or CI runs again.
 */
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { MqttConnection } from '#platform/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import { LIMITS } from '#state/limits.ts';
import { type BrokerConfig, type BrokerPlatform, brokerName, openBroker } from './mqtt-broker.ts';
import { type MqttVersion, versions } from './mqtt-version.ts';
import type { PeerTime } from './peer.ts';

/** ms for the broker to acknowledge all of them */
const ANSWER_MS = 30_000;
const KEEPALIVE_S = 60;

export interface OutgoingMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
}

/** Ok when the broker has acknowledged every one of them. */
export async function publishMessages(
  platform: BrokerPlatform & Pick<Platform, 'clock' | 'random'>,
  to: { readonly broker: BrokerConfig; readonly time: PeerTime },
  messages: readonly OutgoingMessage[],
): Promise<Result<void>> {
  for (const { topic, payload } of messages) {
    if (payload.length <= LIMITS.mqttMessageBytes) continue;
    const cap = LIMITS.mqttMessageBytes;
    return refuse('link.mqtt-outgoing-too-large', { topic, bytes: payload.length, cap });
  }
  const connection = await openSome(platform, to);
  if (!connection.ok) return connection;
  const late = Promise.withResolvers<Result<void>>();
  const peer = brokerName(to.broker);
  const cancel = platform.clock.after(ANSWER_MS, () => {
    late.resolve(refuse('link.timeout', { peer, ms: ANSWER_MS }));
  });
  const result = await Promise.race([publishAll(connection.value, messages), late.promise]);
  cancel();
  if (result.ok) await connection.value.end();
  else connection.value.destroy();
  return result;
}

async function publishAll(
  connection: MqttConnection,
  messages: readonly OutgoingMessage[],
): Promise<Result<void>> {
  const answers = await Promise.all(
    messages.map(({ topic, payload, retain }) => connection.publish(topic, payload, retain)),
  );
  return answers.find((answer) => !answer.ok) ?? ok();
}

/** The versions in their order, each once. */
async function openSome(
  platform: BrokerPlatform & Pick<Platform, 'random'>,
  to: { readonly broker: BrokerConfig; readonly time: PeerTime },
): Promise<Result<MqttConnection>> {
  const order = versions(to.broker.protocol);
  const first = await open(order.current());
  if (first.ok || !again(first.fault)) return first;
  return open(order.current());

  function again(why: Fault): boolean {
    const before = order.current();
    order.failed(why);
    return order.current() !== before;
  }
  function open(version: MqttVersion): Promise<Result<MqttConnection>> {
    return openBroker(platform, to.broker, to.time, {
      clientId: `holdfast-publish-${Buffer.from(platform.random.bytes(8)).toString('hex')}`,
      version,
      keepaliveSeconds: KEEPALIVE_S,
      sessionExpirySeconds: 0,
      onMessage: () => {},
      onClosed: () => {},
    });
  }
}
