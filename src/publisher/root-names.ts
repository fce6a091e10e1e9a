/**
 * Keys of a root by the names that people gave them. The name of a key is its comment, where that is
 * a name and no other key has it; else the first digits of its keyid.
 */
import { isId } from '#state/names.ts';
import type { Root, RootKey } from '#state/root.ts';
import { keyidOf } from '#trust/ed25519.ts';

const KEYID_DIGITS = 16;

/** In the order of the root; each name once. */
export function keysByName(root: Pick<Root, 'keys'>): ReadonlyMap<string, RootKey> {
  const times = new Map<string, number>();
  for (const { comment } of root.keys) times.set(comment, (times.get(comment) ?? 0) + 1);
  return new Map(
    root.keys.map((key) => {
      const known = isId(key.comment) && times.get(key.comment) === 1;
      return [known ? key.comment : keyidOf(key.publicKey).slice(0, KEYID_DIGITS), key];
    }),
  );
}

/** As `keyNames` has it for each keyid of a role; a keyid that no key has is shown as it is. */
export function keyNames(root: Pick<Root, 'keys'>): (keyid: string) => string {
  const names = new Map([...keysByName(root)].map(([name, { keyid }]) => [keyid, name]));
  return (keyid) => names.get(keyid) ?? keyid.slice(0, KEYID_DIGITS);
}
