/**
 * Checks 8–10: who signed. A keyid only says which key to try first; what is counted is distinct
 * public keys. Verifications are bounded per envelope, so an envelope full of junk costs what a
 * good one costs (ATTACKS S21).
 */
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import type { Role, Root, RootKey } from '#state/root.ts';
import { pae } from './dsse.ts';
import { isStrictPoint, keyidOf, rawFromSpki, verifyEd25519 } from './ed25519.ts';
import { instantText } from './time.ts';

export interface Count {
  /** distinct public keys that may count */
  readonly keys: number;
  /** computed keyids of the distinct valid keys that signed, at most `threshold` of them */
  readonly signers: readonly string[];
  /** why keys of the role could not count: for the message of a refusal */
  readonly unusable: readonly string[];
  readonly verifications: number;
}

interface Candidate {
  readonly hint: string;
  readonly keyid: string;
  readonly raw: Uint8Array;
}

// Checks 8, 9 and 10
export function countSigners(envelope: Envelope, root: Root, role: Role, floorMs: number): Count {
  const { candidates, unusable } = usableKeys(root, role, floorMs);
  const message = pae(envelope.payloadType, envelope.payload);
  const signers = new Set<string>();
  let verifications = 0;
  for (const { candidate, sig } of pairs(envelope, candidates)) {
    // Check 10: an unset threshold is satisfied by nobody (verify.ts refuses it), so try nothing
    if (signers.size >= role.threshold || verifications >= LIMITS.verificationsMax) break;
    if (signers.has(candidate.keyid)) continue;
    verifications += 1;
    if (verifyEd25519(candidate.raw, message, sig)) signers.add(candidate.keyid); // Check 9
  }
  return { keys: candidates.length, signers: [...signers], unusable, verifications };
}

/**
 * Check 8: the role's keys, each public key once whatever keyids name it; without those that are
 * expired, of a scheme this version does not verify (kept in the root, never counted), or no
 * Ed25519 key at all (ATTACKS P13).
 */
function usableKeys(
  root: Root,
  role: Role,
  floorMs: number,
): { candidates: readonly Candidate[]; unusable: readonly string[] } {
  const candidates = new Map<string, Candidate>();
  const unusable: string[] = [];
  for (const key of root.keys.filter(({ keyid }) => role.keyids.includes(keyid))) {
    const keyid = keyidOf(key.publicKey);
    const reason = whyUnusable(key, floorMs);
    const raw = rawFromSpki(key.publicKey);
    if (reason !== null || raw === null) unusable.push(`${keyid.slice(0, 8)} ${reason}`);
    else if (!candidates.has(keyid)) candidates.set(keyid, { hint: key.keyid, keyid, raw });
  }
  return { candidates: [...candidates.values()], unusable };
}

/** Null: the key may count. */
export function whyUnusable(key: RootKey, floorMs: number): string | null {
  if (key.scheme !== 'ed25519') return `has the scheme ${key.scheme}, which does not count`;
  const raw = rawFromSpki(key.publicKey);
  if (!raw) return 'is no Ed25519 public key';
  if (!isStrictPoint(raw)) return 'is a weak Ed25519 key';
  if (key.notAfter !== 0 && key.notAfter < floorMs) return `expired ${instantText(key.notAfter)}`;
  return null;
}

/** Hinted pairs first, then every other one: a wrong or missing keyid only costs verifications. */
function* pairs(
  envelope: Envelope,
  candidates: readonly Candidate[],
): Iterable<{ candidate: Candidate; sig: Uint8Array }> {
  for (const hinted of [true, false]) {
    for (const { keyid, sig } of envelope.signatures) {
      for (const candidate of candidates) {
        const named = keyid === candidate.hint || keyid === candidate.keyid;
        if (named === hinted) yield { candidate, sig };
      }
    }
  }
}
