/**
 * Tells the fleet that a channel has moved: an unsigned hint with the digests, so that a device
 * fetches by digest at once. Not retained: a device that connects later polls. A push carries the
 * whole state in the hint, for devices that reach only the broker, and is retained for those that
 * are not there; each of them judges what it holds like anything that was fetched.
 */
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import { type TopicName, topicOf } from '#link/topics.ts';
import type { Platform } from '#platform/platform.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { pointText } from '#state/point.ts';
import { deviceOfChannel } from '#state/values.ts';
import { type Nudge, writeNudge } from '#wire/nudge.ts';
import { connectBroker, topicRootOf } from './broker.ts';
import type { Fleet } from './fleet.ts';
import type { SignedState } from './signed.ts';

const TOO_LARGE = 'publish.push-too-large';
/** bytes of a payload; the rest of the message is its topic */
const MESSAGE_MAX = LIMITS.mqttMessageBytes - 1_024;

export interface Nudged {
  /** the message held the state */
  readonly carried: boolean;
  /** why it did not, although it should have */
  readonly tooLarge: Fault | null;
}

export interface NudgeHow {
  readonly push: boolean;
  readonly roots?: boolean;
  readonly time?: Envelope | null;
}

/**
 * @param how.push  carry envelope, roots and contents, where one message holds them
 * @param how.roots  carry the roots at least: a head whose number has not changed wakes nobody
 * @param how.time  a signed time statement for everyone, along with it
 */
export async function nudge(
  platform: Platform,
  fleet: Fleet,
  head: SignedState,
  how: NudgeHow = { push: false },
): Promise<Result<Nudged>> {
  const broker = fleet.config.mqtt;
  if (!broker) return refuse('publish.no-broker', {});
  const root = topicRootOf(fleet);
  if (!root.ok) return root;
  const topic = topicOf(root.value, topicFor(head.state.channel));
  if (!topic.ok) return topic;
  const { time = null } = how;
  const pushed = how.push ? await pushMessage(fleet, head, time) : null;
  const tooLarge = pushed?.ok === false && pushed.fault.code === TOO_LARGE ? pushed.fault : null;
  if (pushed?.ok === false && !tooLarge) return pushed;
  const hint = { ...hintOf(head), roots: how.roots ? rootsThatFit(fleet) : [], time };
  const payload = pushed?.ok ? pushed.value : writeNudge(hint);
  const id = Buffer.from(platform.random.bytes(8)).toString('hex');
  const connection = await connectBroker(platform, fleet, { clientId: `holdfast-publish-${id}` });
  if (!connection.ok) return connection;
  const carried = pushed?.ok === true;
  const sent = await connection.value.publish(topic.value, payload, carried);
  await connection.value.end();
  return sent.ok ? ok({ carried, tooLarge }) : sent;
}

/** What is for one device goes to it alone. */
function topicFor(channel: string): TopicName {
  const device = deviceOfChannel(channel);
  return device === null ? { kind: 'channel-nudge', channel } : { kind: 'device-nudge', device };
}

function hintOf({ state, manifestDigest }: SignedState): Nudge {
  const { epoch, sequence, digest } = state.point;
  return {
    channel: state.channel,
    epoch,
    sequence,
    stateDigest: digest,
    manifestDigest,
    urgent: state.policy.urgent,
    envelope: null,
    roots: [],
    contents: [],
  };
}

/** All of it or nothing: a device that lacks one content could not go on without a registry. */
async function pushMessage(
  fleet: Fleet,
  head: SignedState,
  time: Envelope | null,
): Promise<Result<Uint8Array>> {
  const { state, envelope, shelf } = head;
  const wanted = new Map(
    [...(state.documents ? [state.documents] : []), ...state.blobs].map((one) => [one.digest, one]),
  );
  const size = [...wanted.values()].reduce((sum, one) => sum + one.size, 0);
  if (size > MESSAGE_MAX) return tooLargeToPush(state, size);
  const contents: Uint8Array[] = [];
  for (const { digest, size: bytes } of wanted.values()) {
    const content = await shelf.read({ digest, size: bytes, data: null }, MESSAGE_MAX);
    if (!content.ok) return content;
    contents.push(content.value);
  }
  const carried = { envelope, roots: rootsThatFit(fleet), contents, time };
  const message = writeNudge({ ...hintOf(head), ...carried });
  return message.length <= MESSAGE_MAX ? ok(message) : tooLargeToPush(state, message.length);
}

/** The newest, which devices lack: one that lacks more takes them from a registry or bundle. */
function rootsThatFit({ chain }: Fleet): readonly Envelope[] {
  let left = MESSAGE_MAX / 2;
  const newest = chain.slice(1).slice(-LIMITS.rootStepsMax).toReversed();
  const beyond = newest.findIndex(({ bytes }) => {
    left -= bytes.length; // JSON, so longer than what is sent
    return left < 0;
  });
  const fit = beyond < 0 ? newest : newest.slice(0, beyond);
  return fit.toReversed().map(({ envelope }) => envelope);
}

function tooLargeToPush({ channel, point }: SignedState['state'], size: number): Result<never> {
  const what = `${channel} ${pointText(point)}`;
  return refuse(TOO_LARGE, { what, size, most: MESSAGE_MAX });
}
