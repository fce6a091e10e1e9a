/**
 * Tells the fleet that a channel has moved: an unsigned hint with the digests, so that a device
 * fetches by digest at once. Not retained: a device that connects later polls.
 */
import { type Result, refuse } from '#errors/fault.ts';
import { openBroker } from '#link/mqtt-broker.ts';
import { versions } from '#link/mqtt-version.ts';
import { checkTopicRoot, defaultTopicRoot, topicOf } from '#link/topics.ts';
import type { MqttConnection } from '#platform/mqtt.ts';
import type { Platform } from '#platform/platform.ts';
import { writeNudge } from '#wire/nudge.ts';
import type { Fleet } from './fleet.ts';
import type { Head } from './head.ts';

const KEEPALIVE_S = 30;
const TRIES = 2;

export async function nudge(
  platform: Platform,
  fleet: Fleet,
  { state, manifestDigest }: Pick<Head, 'state' | 'manifestDigest'>,
): Promise<Result<void>> {
  const broker = fleet.config.mqtt;
  if (!broker) return refuse('publish.no-broker', {});
  const root = checkTopicRoot(broker.topicRoot ?? defaultTopicRoot(fleet.root.fleet));
  if (!root.ok) return root;
  const topic = topicOf(root.value, { kind: 'channel-nudge', channel: state.channel });
  if (!topic.ok) return topic;
  const connection = await connect(platform, fleet);
  if (!connection.ok) return connection;
  const { epoch, sequence, digest } = state.point;
  const payload = writeNudge({
    channel: state.channel,
    epoch,
    sequence,
    stateDigest: digest,
    manifestDigest,
    urgent: state.policy.urgent,
    envelope: null,
    roots: [],
    contents: [],
  });
  const sent = await connection.value.publish(topic.value, payload, false);
  await connection.value.end();
  return sent;
}

/** `auto` tries MQTT 5, then 3.1.1 where the broker refuses it for its version or just hangs up. */
async function connect(platform: Platform, fleet: Fleet): Promise<Result<MqttConnection>> {
  const broker = fleet.config.mqtt;
  if (!broker) return refuse('publish.no-broker', {});
  const tried = versions(broker.protocol);
  const id = Buffer.from(platform.random.bytes(8)).toString('hex');
  let opened: Result<MqttConnection> = refuse('publish.no-broker', {});
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    opened = await openBroker(platform, broker, fleet.time, {
      clientId: `holdfast-publish-${id}`,
      version: tried.current(),
      keepaliveSeconds: KEEPALIVE_S,
      sessionExpirySeconds: 0,
      onMessage: () => undefined,
      onClosed: () => undefined,
    });
    if (opened.ok) return opened;
    const before = tried.current();
    tried.failed(opened.fault);
    if (tried.current() === before) return opened;
  }
  return opened;
}
