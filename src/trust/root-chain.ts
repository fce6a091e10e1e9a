/**
 * Check 7: the root of trust. The first root is the owner's file, never fetched. This version
 * follows root version 1 only: a later root that the held one's keys really signed means that keys
 * may have been revoked, so the statement beside it is refused (ATTACKS R19) rather than judged by
 * a root that its owner has left. Offered bytes that the held root did not sign change nothing.
 *
 * Invariants: of an offered root nothing past the envelope is parsed before its signatures count;
 * a root that is returned has a usable root role and channels that name existing roles.
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { readRoot } from '#wire/root.ts';
import { judgeCritical } from './critical.ts';
import { keyidOf } from './ed25519.ts';
import { openEnvelope } from './open-envelope.ts';
import { type Outcome, passed, stop } from './outcome.ts';
import { countSigners, keysWithTwoSchemes, whyUnusable } from './threshold.ts';

const ROOT_ROLE = 'root';
const EXPECTED = { type: PAYLOAD.root, bytesMax: LIMITS.rootBytes, what: 'the root document' };

/** The owner's root file: self-signed by its own root role. */
export function openRoot(envelopeBytes: Uint8Array): Result<Root> {
  const envelope = openEnvelope(envelopeBytes, EXPECTED);
  if (envelope.kind !== 'passed') return refused(envelope.fault);
  const read = readRoot(envelope.value.payload);
  if (!read.ok) return read;
  const root = read.value;
  const critical = judgeCritical(root.critical, 'root');
  if (critical.kind !== 'passed') return refused(critical.fault);
  const reason = whyInvalid(root);
  if (reason !== null) return refuse('trust.root-invalid', { reason });
  const signed = signedBy(root, envelope.value);
  if (signed.kind !== 'passed') return refused(signed.fault);
  if (root.version > 1n) return refuse('trust.root-unsupported', { version: root.version });
  if (root.timeReset) return refuse('trust.time-reset-unsupported', { version: root.version });
  return ok(root);
}

/** Check 7: what the roots offered beside a statement mean for the root held. */
export function walkRoots(held: Root, offered: readonly (Uint8Array | Envelope)[]): Outcome<Root> {
  const at = `root ${held.version} held`;
  for (const bytes of offered.slice(0, LIMITS.rootStepsMax)) {
    const envelope = openEnvelope(bytes, EXPECTED);
    if (envelope.kind !== 'passed') return passed(held, `${at}; offered: ${envelope.fault.code}`);
    const signed = signedBy(held, envelope.value);
    if (signed.kind !== 'passed') return passed(held, `${at}; offered: ${signed.fault.code}`);
    const read = readRoot(envelope.value.payload);
    if (!read.ok) return passed(held, `${at}; offered: ${read.fault.code}`);
    if (read.value.version > held.version) {
      return read.value.timeReset
        ? stop('trust.time-reset-unsupported', { version: read.value.version })
        : stop('trust.root-unsupported', { version: read.value.version });
    }
  }
  return passed(held, at);
}

/**
 * Null: sound. wire/root.ts has checked the form of each field; this is what only all of it shows.
 * Roles of no channel, and keys of unknown schemes, are kept and never count.
 */
function whyInvalid(root: Root): string | null {
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
  }
  const [doubtful] = keysWithTwoSchemes(root.keys);
  if (doubtful !== undefined) return `key ${doubtful.slice(0, 8)} has two schemes`;
  // A key that says Ed25519 must be one: the owner should hear of it now, not from a threshold.
  for (const key of root.keys) {
    const reason = key.scheme === 'unknown' ? null : whyUnusable(key, 0);
    if (reason !== null) return `key ${keyidOf(key.publicKey).slice(0, 8)} ${reason}`;
  }
  return null;
}

function signedBy(root: Root, envelope: Envelope): Outcome<undefined> {
  const role = root.roles.find(({ name }) => name === ROOT_ROLE);
  if (!role || role.threshold < 1) return stop('trust.threshold-missing', { role: ROOT_ROLE });
  const { signers, unusable } = countSigners(envelope, root, role, 0);
  const { threshold } = role;
  return signers.length >= threshold
    ? passed(undefined, `${signers.length} of ${threshold}`)
    : stop('trust.root-signature', {
        got: signers.length,
        threshold,
        unusable: unusable.map((why) => `; ${why}`).join(''),
      });
}
