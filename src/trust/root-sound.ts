/**
 * Whether a root document holds together: what only all of it shows, beside the form of each field,
 * which wire/root.ts has checked. Roles of no channel, and keys of unknown schemes, are kept and
 * never count.
 */
import { channelOf, type Root } from '#state/root.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { keyidOf } from './ed25519.ts';
import { keysWithTwoSchemes, whyUnusable } from './threshold.ts';

export const ROOT_ROLE = 'root';

/** Check 7. Null: sound. */
export function whyUnsound(root: Root): string | null {
  if (!root.roles.some(({ name }) => name === ROOT_ROLE)) return 'it has no role root';
  for (const { name, threshold, keyids } of root.roles) {
    if (threshold < 1) return `role ${name} has no threshold`;
    const unknown = keyids.find((keyid) => !root.keys.some((key) => key.keyid === keyid));
    if (unknown !== undefined) return `role ${name} names a key that the root lacks`;
  }
  for (const { name, role } of root.channels) {
    if (!root.roles.some((known) => known.name === role)) {
      return `channel ${name} names a role that the root lacks`;
    }
    // Keys that answer at any time, unattended, must never be able to sign a state.
    if (role === TIME_ROLE) return `channel ${name} is signed by the role ${TIME_ROLE}`;
  }
  const [doubtful] = keysWithTwoSchemes(root.keys);
  if (doubtful !== undefined) return `key ${doubtful.slice(0, 8)} has two schemes`;
  // A device that followed it could not make one connection more.
  if (root.tls?.replacesConfigured && root.tls.anchors.length === 0) {
    return 'its TLS anchors replace the configured ones, and there are none';
  }
  // A key that says Ed25519 must be one: the owner should hear of it now, not from a threshold.
  for (const key of root.keys) {
    const reason = key.scheme === 'unknown' ? null : whyUnusable(key, 0);
    if (reason !== null) return `key ${keyidOf(key.publicKey).slice(0, 8)} ${reason}`;
  }
  return null;
}

/**
 * Check 7: epochs only grow, or what ended with one could be shown again. By the name that a channel
 * has in either root: `device.*` may become a name of its own, and the other way round.
 */
export function whyBackwards(held: Root, next: Root): string | null {
  for (const { name } of [...held.channels, ...next.channels]) {
    const before = channelOf(held, name);
    const after = channelOf(next, name);
    if (before && after && after.epoch < before.epoch) {
      return `the epoch of channel ${name} goes back from ${before.epoch} to ${after.epoch}`;
    }
  }
  return null;
}
