/**
 * Whose keys the signatures of a refused envelope claim to be, for the message alone: a person sees
 * that a key was revoked, or that a state is another fleet's. A keyid is a hint that anybody can write
 * (check 8): nothing is decided by it, and only one of the right form is repeated.
 */
import type { Envelope } from '#state/envelope.ts';
import type { Role, Root } from '#state/root.ts';

/** of signatures that a message tells about */
const TOLD_MAX = 3;

export function strangers({ signatures }: Envelope, root: Root, role: Role): readonly string[] {
  const claimed = new Set(signatures.map(({ keyid }) => keyid));
  return [...claimed]
    .filter((keyid) => /^[0-9a-f]{8,64}$/.test(keyid) && !role.keyids.includes(keyid))
    .slice(0, TOLD_MAX)
    .map((keyid) => {
      const short = keyid.slice(0, 8);
      return root.keys.some((key) => key.keyid === keyid)
        ? `key ${short} is of another role`
        : `key ${short} is unknown to root ${root.version}: revoked, or of another fleet`;
    });
}
