/**
 * Changes of a root, one function each, from draft to draft. What cannot be meant is refused here;
 * what only all of it shows, before it is signed (root-lint.ts).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isId } from '#state/names.ts';
import type { Role, Root, RootKey } from '#state/root.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { keyidOf } from '#trust/ed25519.ts';
import type { Fleet } from './fleet.ts';
import type { Draft } from './root-draft.ts';
import { keyNames, keysByName } from './root-names.ts';

/** The next version, saying the same. A time reset holds once, so it is not carried on. */
export function nextDraft(root: Root): Draft {
  const { notAfter, keys, roles, channels, demo, tls } = root;
  const version = root.version + 1n;
  return { version, notAfter, keys, roles, channels, timeReset: null, demo, tls };
}

/** Into each role; a key that is there already keeps its record, unless an end is given. */
export function addKey(
  draft: Draft,
  given: {
    readonly name: string;
    readonly spki: Uint8Array;
    readonly scheme: RootKey['scheme'];
    readonly notAfter: number | null;
    readonly roles: readonly string[];
  },
): Result<Draft> {
  const { name, spki, scheme, notAfter, roles } = given;
  if (!isId(name)) return no('name', `${JSON.stringify(name)}: use a-z, 0-9, "." and "-"`);
  const keyid = keyidOf(spki);
  const named = keysByName(draft).get(name);
  if (named && named.keyid !== keyid) return no('name', `another key has the name ${name}`);
  const known = draft.keys.find((key) => key.keyid === keyid);
  if (known && known.scheme !== scheme) {
    return no('key', `it is there as ${keyNames(draft)(keyid)}, with the scheme ${known.scheme}`);
  }
  const record: RootKey = known
    ? { ...known, notAfter: notAfter ?? known.notAfter }
    : { keyid, scheme, publicKey: spki, notAfter: notAfter ?? 0, comment: name };
  const keys = known
    ? draft.keys.map((key) => (key.keyid === keyid ? record : key))
    : [...draft.keys, record];
  return roles.reduce<Result<Draft>>(
    (so, role) => (so.ok ? withRole(so.value, role, (ids) => [...new Set([...ids, keyid])]) : so),
    ok({ ...draft, keys }),
  );
}

/** @param role  null: from all roles, and out of the root */
export function removeKey(draft: Draft, name: string, role: string | null): Result<Draft> {
  const key = keysByName(draft).get(name);
  if (!key) return no('name', `there is no key ${name}; it has ${namesOf(draft)}`);
  const without = (ids: readonly string[]) => ids.filter((id) => id !== key.keyid);
  if (role !== null) return withRole(draft, role, without);
  const roles = draft.roles
    .map((one) => ({ ...one, keyids: without(one.keyids) }))
    .filter(isNeeded);
  return ok({ ...draft, roles, keys: draft.keys.filter(({ keyid }) => keyid !== key.keyid) });
}

export function setThreshold(draft: Draft, role: string, threshold: number): Result<Draft> {
  const known = draft.roles.find(({ name }) => name === role);
  if (!known) return noRole(draft, role);
  const most = known.keyids.length;
  if (!Number.isInteger(threshold) || threshold < 1 || threshold > most) {
    return no('threshold', `role ${role} has ${most} keys, so it is 1 to ${most}`);
  }
  const roles = draft.roles.map((one) => (one.name === role ? { ...one, threshold } : one));
  return ok({ ...draft, roles });
}

/**
 * A role that is not there is made of the keys, with threshold 1.
 * @param given.epoch  see firstEpoch
 */
export function addChannel(
  draft: Draft,
  given: {
    readonly name: string;
    readonly role: string;
    readonly keys: readonly string[];
    readonly epoch: bigint;
  },
): Result<Draft> {
  const { name, role, keys, epoch } = given;
  if (!isId(name) && name !== 'device.*') {
    return no('name', `${JSON.stringify(name)} is neither a channel name nor device.*`);
  }
  if (draft.channels.some((channel) => channel.name === name)) {
    return no('name', `there is a channel ${name} already`);
  }
  const known = draft.roles.find((one) => one.name === role);
  if (!known && keys.length === 0) {
    return no('--key', `the role ${role} is new: name its keys`);
  }
  const byName = keysByName(draft);
  const unknown = keys.find((key) => !byName.has(key));
  if (unknown !== undefined) {
    return no('--key', `there is no key ${unknown}: \`root add-key\` first`);
  }
  const more = keys.flatMap((key) => byName.get(key)?.keyid ?? []);
  const keyids = [...new Set([...(known?.keyids ?? []), ...more])];
  const made: Role = { name: role, threshold: known?.threshold ?? 1, keyids };
  const roles = known
    ? draft.roles.map((one) => (one.name === role ? made : one))
    : [...draft.roles, made];
  return ok({ ...draft, roles, channels: [...draft.channels, { name, role, epoch }] });
}

/** For a new channel: above all that the chain ever gave its name, so what was signed then stays behind. */
export function firstEpoch({ chain }: Pick<Fleet, 'chain'>, name: string): bigint {
  const epochs = chain.flatMap(({ root }) =>
    root.channels.filter((channel) => channel.name === name).map(({ epoch }) => epoch),
  );
  return epochs.reduce((next, epoch) => (epoch >= next ? epoch + 1n : next), 1n);
}

/** Its role goes with it, where no other channel names it. */
export function removeChannel(draft: Draft, name: string): Result<Draft> {
  const gone = draft.channels.find((channel) => channel.name === name);
  if (!gone) return noChannel(draft, name);
  const channels = draft.channels.filter((channel) => channel !== gone);
  const used = channels.some(({ role }) => role === gone.role);
  const roles = used ? draft.roles : draft.roles.filter((role) => role.name !== gone.role);
  return ok({ ...draft, channels, roles });
}

export function bumpEpoch(draft: Draft, name: string): Result<Draft> {
  if (!draft.channels.some((channel) => channel.name === name)) return noChannel(draft, name);
  const channels = draft.channels.map((channel) =>
    channel.name === name ? { ...channel, epoch: channel.epoch + 1n } : channel,
  );
  return ok({ ...draft, channels });
}

/** @param notAfter  Unix ms; 0: never; of the root, or of one key */
export function setExpiry(draft: Draft, notAfter: number, key: string | null): Result<Draft> {
  if (key === null) return ok({ ...draft, notAfter });
  const record = keysByName(draft).get(key);
  if (!record) return no('--key', `there is no key ${key}; it has ${namesOf(draft)}`);
  const keys = draft.keys.map((one) => (one === record ? { ...one, notAfter } : one));
  return ok({ ...draft, keys });
}

export function resetTime(draft: Draft, notBefore: number): Result<Draft> {
  if (notBefore <= 0) return no('time', 'name a time that has come');
  return ok({ ...draft, timeReset: { notBefore } });
}

function withRole(
  draft: Draft,
  name: string,
  change: (keyids: readonly string[]) => readonly string[],
): Result<Draft> {
  const there = draft.roles.some((role) => role.name === name);
  // The one role that no channel brings: it comes with its first key.
  if (!there && name !== TIME_ROLE) return noRole(draft, name);
  const before = there ? draft.roles : [...draft.roles, { name, threshold: 1, keyids: [] }];
  const roles = before.map((role) =>
    role.name === name ? { ...role, keyids: change(role.keyids) } : role,
  );
  return ok({ ...draft, roles: roles.filter(isNeeded) });
}

/** … and goes with its last. */
function isNeeded({ name, keyids }: Role): boolean {
  return name !== TIME_ROLE || keyids.length > 0;
}

function namesOf(draft: Draft): string {
  return [...keysByName(draft).keys()].join(', ');
}

function noRole({ roles }: Draft, role: string): Result<never> {
  const known = roles.map(({ name }) => name).join(', ');
  return no('role', `there is no role ${role}; it has ${known}`);
}

function noChannel({ channels }: Draft, name: string): Result<never> {
  const known = channels.map((channel) => channel.name).join(', ');
  return no('channel', `there is no channel ${name}; it has ${known}`);
}

function no(option: string, reason: string): Result<never> {
  return refuse('publish.option', { option, reason });
}
