/**
 * MQTT topic names (FORMATS: MQTT). Built only from names that state/names.ts allows, so that no
 * wildcard, NUL or separator gets into one; parsed only in the exact form that is built here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Fleet, isDeviceId, isId } from '#state/names.ts';

/** bytes of a topic root; MQTT allows 65,535 for a whole topic */
const ROOT_BYTES_MAX = 512;

/** What a topic below the topic root is about. */
export type TopicName =
  | { readonly kind: 'channel-nudge'; readonly channel: string }
  | { readonly kind: 'device-nudge'; readonly device: string }
  | { readonly kind: 'status'; readonly device: string }
  | { readonly kind: 'presence'; readonly device: string }
  /** time statements: for everyone, for one device, and where it asks */
  | { readonly kind: 'time' }
  | { readonly kind: 'device-time'; readonly device: string }
  | { readonly kind: 'device-time-ask'; readonly device: string };

export function defaultTopicRoot(fleet: Fleet): string {
  return `holdfast/v1/${fleet}`;
}

/**
 * A topic root as somebody wrote it in a configuration.
 * @see MQTT 5.0 section 4.7: wildcards and NUL are no topic; a first `$` is the broker's own
 */
export function checkTopicRoot(root: string): Result<string> {
  const reason = wrongRoot(root);
  return reason === null ? ok(root) : refuse('link.mqtt-topic', { topic: shown(root), reason });
}

function wrongRoot(root: string): string | null {
  if (root === '') return 'it is empty';
  if (new TextEncoder().encode(root).length > ROOT_BYTES_MAX) {
    return `it is longer than ${ROOT_BYTES_MAX} bytes`;
  }
  if (/[+#]/.test(root)) return 'a wildcard (+ or #) stands in it';
  if (!root.isWellFormed() || /\p{Cc}/u.test(root)) return 'a control character stands in it';
  if (root.startsWith('$')) return 'names that start with $ belong to the broker';
  if (root.split('/').includes('')) return 'a / stands at an end, or two side by side';
  return null;
}

/** Refuses names that are no ids: they would make another topic than was meant. */
export function topicOf(root: string, name: TopicName): Result<string> {
  if (name.kind === 'time') return ok(`${root}/time`);
  if (name.kind === 'channel-nudge') {
    return isId(name.channel)
      ? ok(`${root}/c/${name.channel}/nudge`)
      : refuse('link.mqtt-topic', { topic: shown(name.channel), reason: 'it is no channel id' });
  }
  if (!isDeviceId(name.device)) {
    return refuse('link.mqtt-topic', { topic: shown(name.device), reason: 'it is no device id' });
  }
  const leaf = LEAVES[name.kind];
  return ok(`${root}/d/${name.device}/${leaf}`);
}

const LEAVES = {
  'device-nudge': 'nudge',
  'device-time': 'time',
  'device-time-ask': 'time/ask',
  status: 'status',
  presence: 'presence',
} as const;

/** Null for everything else that a broker may send, however long (attack row M03). */
export function parseTopic(root: string, topic: string): TopicName | null {
  if (!topic.startsWith(`${root}/`)) return null;
  const rest = topic.slice(root.length + 1);
  if (rest === 'time') return { kind: 'time' };
  const [space, id, leaf, ask, more] = rest.split('/', 5);
  if (id === undefined || leaf === undefined || more !== undefined) return null;
  if (ask !== undefined) {
    const asks = space === 'd' && leaf === 'time' && ask === 'ask' && isDeviceId(id);
    return asks ? { kind: 'device-time-ask', device: id } : null;
  }
  if (space === 'c' && leaf === 'nudge' && isId(id)) return { kind: 'channel-nudge', channel: id };
  if (space !== 'd' || !isDeviceId(id)) return null;
  if (leaf === 'nudge') return { kind: 'device-nudge', device: id };
  if (leaf === 'time') return { kind: 'device-time', device: id };
  return leaf === 'status' || leaf === 'presence' ? { kind: leaf, device: id } : null;
}

function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
