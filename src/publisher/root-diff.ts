/** What changes from one root to the next, as lines that the people who sign it can judge. */
import type { Root, RootKey } from '#state/root.ts';
import { type AnchorChange, anchorChanges } from './root-anchors-lint.ts';
import { keyNames, keysByName } from './root-names.ts';
import { instantOrNever } from './root-time.ts';

export interface Change {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly what: 'key' | 'role' | 'channel' | 'expiry' | 'time' | 'demo' | AnchorChange['what'];
  /** of the key, role, channel or CA; empty for the root itself */
  readonly name: string;
  readonly detail: string;
}

const FINGERPRINT_DIGITS = 16;

export function changesBetween(before: Root, after: Root): readonly Change[] {
  return [
    ...ofRoot(before, after),
    ...ofKeys(before, after),
    ...ofRoles(before, after),
    ...ofChannels(before, after),
    ...anchorChanges(before, after),
  ];
}

function ofRoot(before: Root, after: Root): readonly Change[] {
  const changes: Change[] = [];
  if (before.notAfter !== after.notAfter) {
    const detail = `${instantOrNever(before.notAfter)} → ${instantOrNever(after.notAfter)}`;
    changes.push({ kind: 'changed', what: 'expiry', name: '', detail });
  }
  if (after.timeReset) {
    const detail = `each device's time floor becomes ${instantOrNever(after.timeReset.notBefore)}, once`;
    changes.push({ kind: 'changed', what: 'time', name: '', detail });
  }
  if (before.demo !== after.demo) {
    const detail = after.demo ? 'agents refuse it unless trust.allowDemo' : 'a demo no longer';
    changes.push({ kind: 'changed', what: 'demo', name: '', detail });
  }
  return changes;
}

/** By public key: a key that only changed its name is the same key. */
function ofKeys(before: Root, after: Root): readonly Change[] {
  const changes: Change[] = [];
  const former = new Map(before.keys.map((key) => [key.keyid, key]));
  for (const [name, key] of keysByName(after)) {
    const was = former.get(key.keyid);
    if (!was) changes.push({ kind: 'added', what: 'key', name, detail: keyText(key, after) });
    else if (was.notAfter !== key.notAfter) {
      const detail = `ends ${instantOrNever(was.notAfter)} → ${instantOrNever(key.notAfter)}`;
      changes.push({ kind: 'changed', what: 'key', name, detail });
    }
  }
  const kept = new Set(after.keys.map(({ keyid }) => keyid));
  for (const [name, key] of keysByName(before)) {
    if (kept.has(key.keyid)) continue;
    changes.push({ kind: 'removed', what: 'key', name, detail: keyText(key, before) });
  }
  return changes;
}

function keyText({ keyid, scheme, notAfter }: RootKey, root: Root): string {
  const roles = root.roles.filter(({ keyids }) => keyids.includes(keyid)).map(({ name }) => name);
  const end = notAfter === 0 ? '' : `, ends ${instantOrNever(notAfter)}`;
  const where = roles.length === 0 ? 'in no role' : `in ${roles.join(', ')}`;
  return `${scheme} ${keyid.slice(0, FINGERPRINT_DIGITS)}, ${where}${end}`;
}

function ofRoles(before: Root, after: Root): readonly Change[] {
  const changes: Change[] = [];
  const nameBefore = keyNames(before);
  const nameAfter = keyNames(after);
  for (const role of after.roles) {
    const { name, threshold, keyids } = role;
    const was = before.roles.find((one) => one.name === name);
    if (!was) {
      const detail = `${threshold} of ${keyids.map(nameAfter).join(', ')}`;
      changes.push({ kind: 'added', what: 'role', name, detail });
      continue;
    }
    const gained = keyids.filter((id) => !was.keyids.includes(id)).map((id) => `+${nameAfter(id)}`);
    const lost = was.keyids.filter((id) => !keyids.includes(id)).map((id) => `-${nameBefore(id)}`);
    const [m, n] = [`${was.threshold} of ${was.keyids.length}`, `${threshold} of ${keyids.length}`];
    if (gained.length + lost.length === 0 && was.threshold === threshold) continue;
    const detail = [`${m} → ${n}`, ...gained, ...lost].join(' ');
    changes.push({ kind: 'changed', what: 'role', name, detail });
  }
  for (const { name, threshold, keyids } of before.roles) {
    if (after.roles.some((one) => one.name === name)) continue;
    const detail = `${threshold} of ${keyids.map(nameBefore).join(', ')}`;
    changes.push({ kind: 'removed', what: 'role', name, detail });
  }
  return changes;
}

function ofChannels(before: Root, after: Root): readonly Change[] {
  const changes: Change[] = [];
  for (const { name, role, epoch } of after.channels) {
    const was = before.channels.find((one) => one.name === name);
    if (!was) {
      const detail = `signed by ${role}, epoch ${epoch}`;
      changes.push({ kind: 'added', what: 'channel', name, detail });
      continue;
    }
    const parts = [
      ...(was.role === role ? [] : [`signed by ${was.role} → ${role}`]),
      ...(was.epoch === epoch ? [] : [`epoch ${was.epoch} → ${epoch}: its numbers start again`]),
    ];
    if (parts.length === 0) continue;
    changes.push({ kind: 'changed', what: 'channel', name, detail: parts.join(', ') });
  }
  for (const { name, role, epoch } of before.channels) {
    if (after.channels.some((one) => one.name === name)) continue;
    const detail = `was signed by ${role}, epoch ${epoch}`;
    changes.push({ kind: 'removed', what: 'channel', name, detail });
  }
  return changes;
}

/** `+ key root-2  ed25519 0123…, in root` */
export function changeText({ kind, what, name, detail }: Change): string {
  const sign = { added: '+', removed: '-', changed: '~' }[kind];
  return `${sign} ${what}${name === '' ? '' : ` ${name}`}: ${detail}`;
}
