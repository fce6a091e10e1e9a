/**
 * What is wrong with a root before anybody signs it, and what is worth a second look. Devices judge
 * once more (trust/root-chain.ts); here the people who made it are still at the desk.
 */
import type { Root, RootKey } from '#state/root.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import { ROOT_ROLE, whyBackwards, whyUnsound } from '#trust/root-sound.ts';
import { readRoot, writeRoot } from '#wire/root.ts';
import { whyAnchorsUnfit } from './root-anchors-lint.ts';
import type { Draft } from './root-draft.ts';
import type { RootChain } from './root-folder.ts';
import { keyNames } from './root-names.ts';
import { instantOrNever } from './root-time.ts';

const SOON_MS = 30 * 24 * 3_600_000;

/** Null: it can be signed. @param chain  that it follows */
export function whyUnfit(draft: Draft, chain: RootChain, nowMs: number): string | null {
  const before = newestOf(chain);
  if (draft.version !== before.version + 1n) {
    return `it is version ${draft.version}, and the newest root is version ${before.version}`;
  }
  const next = rootOf(draft, before, nowMs);
  const sound = wrongIn(writeRoot(next)) ?? whyUnsound(next);
  return (
    sound ??
    whyRolesUnfit(draft, nowMs) ??
    whyGoneBack(next, chain) ??
    whyTimesUnfit(draft, nowMs) ??
    whyAnchorsUnfit(draft, nowMs)
  );
}

/** The root that the draft stands for. */
export function rootOf(draft: Draft, before: Root, issuedAt: number): Root {
  return { ...before, ...draft, issuedAt, critical: [] };
}

export function newestOf(chain: RootChain): Root {
  return (chain.at(-1) ?? chain[0]).root;
}

function wrongIn(payload: Uint8Array): string | null {
  const read = readRoot(payload);
  return read.ok ? null : read.fault.message;
}

/** Not only from the last root: a channel that was taken away does not come back at an old epoch. */
function whyGoneBack(next: Root, chain: RootChain): string | null {
  for (const { root } of chain) {
    const backwards = whyBackwards(root, next);
    if (backwards !== null) return backwards;
  }
  return null;
}

/** A role that nobody can fill leaves its channels to nobody; the role root, the whole fleet. */
function whyRolesUnfit({ roles, keys }: Draft, nowMs: number): string | null {
  for (const { name, threshold, keyids } of roles) {
    const usable = keyids.filter((keyid) => isInForce(keys, keyid, nowMs)).length;
    if (usable < threshold) {
      return `role ${name} wants ${threshold} signatures and has ${usable} keys in force`;
    }
  }
  return null;
}

function isInForce(keys: readonly RootKey[], keyid: string, nowMs: number): boolean {
  const key = keys.find((one) => one.keyid === keyid);
  return key !== undefined && (key.notAfter === 0 || key.notAfter > nowMs);
}

function whyTimesUnfit({ notAfter, timeReset }: Draft, nowMs: number): string | null {
  if (notAfter !== 0 && notAfter <= nowMs) return `it ends ${instantOrNever(notAfter)}`;
  if (timeReset?.notBefore === 0) return 'its time reset has no time';
  return null;
}

/** Lines for people, none of which stops them. */
export function remarks(draft: Draft, before: Root, nowMs: number): readonly string[] {
  const nameOf = keyNames(draft);
  const used = new Set(draft.roles.flatMap(({ keyids }) => keyids));
  const idle = draft.keys.filter(({ keyid }) => !used.has(keyid)).map(({ keyid }) => nameOf(keyid));
  const { notAfter, timeReset } = draft;
  const rootKeys = new Set(draft.roles.find(({ name }) => name === ROOT_ROLE)?.keyids ?? []);
  const doubling = draft.roles
    .filter(({ name, keyids }) => name !== ROOT_ROLE && keyids.some((id) => rootKeys.has(id)))
    .map(({ name }) => name);
  const timeKeys = draft.roles.find(({ name }) => name === TIME_ROLE)?.keyids ?? [];
  const besideTime = draft.roles
    .filter(({ name, keyids }) => name !== TIME_ROLE && keyids.some((id) => timeKeys.includes(id)))
    .map(({ name }) => name);
  const lost = before.channels.filter(({ name }) => !draft.channels.some((c) => c.name === name));
  return [
    ...(idle.length > 0 ? [`in no role, so they sign nothing: ${idle.join(', ')}`] : []),
    ...(doubling.length > 0 && !draft.demo
      ? [`a root key also signs ${doubling.join(', ')}: it cannot be kept offline`]
      : []),
    ...(besideTime.length > 0
      ? [`a time key, which is online, also signs ${besideTime.join(', ')}`]
      : []),
    ...(notAfter !== 0 && notAfter - nowMs < SOON_MS
      ? [`it ends ${instantOrNever(notAfter)}: less than 30 days to renew it`]
      : []),
    ...(timeReset && Math.abs(timeReset.notBefore - nowMs) > SOON_MS
      ? [`the time reset is far from this machine's time, ${instantOrNever(nowMs)}`]
      : []),
    ...lost.map(
      ({ name }) => `channel ${name} goes: what devices run of it stays, signed by no one`,
    ),
  ];
}
