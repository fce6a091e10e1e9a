/**
 * What a device may do at the broker: speak under `ROOT/d/OWN-ID/` (but not nudge itself), hear
 * `ROOT/c/…`, `ROOT/d/OWN-ID/…` and `ROOT/time`, and be connected under its own client id, so that none can throw
 * another out. A topic root is whatever the fleet configured, so a topic is judged by its first level
 * that is `c` or `d`.
 */
import type { Identity } from './access.ts';

/** levels below `d/ID/` that others write and the device hears */
const FOR_DEVICES = ['nudge', 'command'];

export function mayConnect(who: Identity, clientId: string): boolean {
  if (who.kind === 'operator') return true;
  // `doctor` connects beside the agent, under a random name for one connection.
  if (/^holdfast-doctor-[0-9a-f]{12}$/.test(clientId)) return true;
  return /^holdfast-[0-9a-f]{16}-(.+)$/.exec(clientId)?.[1] === who.id;
}

export function mayPublish(who: Identity, topic: string): boolean {
  if (who.kind === 'operator') return true;
  const below = belowRoot(topic);
  if (!below) return false;
  const [place, id, ...rest] = below;
  const own = place === 'd' && id === who.id && rest.length > 0;
  // A device asks what time it is; what it hears there is the authority's.
  const answers = rest[0] === 'time' && rest[1] !== 'ask';
  return own && !answers && !FOR_DEVICES.includes(rest[0] ?? '');
}

export function maySubscribe(who: Identity, filter: string): boolean {
  if (who.kind === 'operator') return true;
  const below = belowRoot(filter);
  // what the authority says for everyone
  if (!below) return /^[^+#]+\/time$/.test(filter);
  const [place, id, ...rest] = below;
  return place === 'c' ? below.length > 1 : id === who.id && rest.length > 0;
}

/** From `c` or `d` on; null: there is none, or a wildcard stands before it. */
function belowRoot(topic: string): readonly string[] | null {
  const levels = topic.split('/');
  const at = levels.findIndex((level) => level === 'c' || level === 'd');
  if (at < 1 || levels.slice(0, at).some((level) => /[+#]/.test(level))) return null;
  return levels.slice(at);
}
