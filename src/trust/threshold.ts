/**
 * Checks 8–10: who signed. A keyid only says which key to try first; what is counted is distinct
 * public keys. Verifications are bounded per envelope, so an envelope full of junk costs what a
 * good one costs (ATTACKS S21).
 */
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import type { Role, Root, RootKey, Scheme } from '#state/root.ts';
import { keyidOf } from './ed25519.ts';
import {
  type Form,
  readForm,
  type SignedBytes,
  signedBytes,
  whyNoSignature,
} from './formats/catalogue.ts';
import { rulesOf, type SchemeRules } from './scheme.ts';
import { instantText } from './time.ts';

export interface Count {
  /** distinct public keys that may count */
  readonly keys: number;
  /** computed keyids of the distinct valid keys that signed, at most `threshold` of them */
  readonly signers: readonly string[];
  /** why keys of the role, or signatures, could not count: for the message of a refusal */
  readonly unusable: readonly string[];
  readonly verifications: number;
}

interface Candidate {
  readonly hint: string;
  readonly keyid: string;
  readonly raw: Uint8Array;
  readonly rules: SchemeRules;
}

interface Offered {
  readonly hint: string;
  readonly form: Form;
}

/** of signatures that a message tells about: an attacker chooses how many there are */
const REASONS_MAX = 3;

// Checks 8, 9 and 10
export function countSigners(envelope: Envelope, root: Root, role: Role, floorMs: number): Count {
  const { candidates, unusable } = usableKeys(root, role, floorMs);
  const signed = signedBytes(envelope.payloadType, envelope.payload);
  const offered = envelope.signatures.map(
    ({ keyid, sig }): Offered => ({ hint: keyid, form: readForm(sig) }),
  );
  const signers = new Set<string>();
  let left: number = LIMITS.verificationsMax;
  for (const { candidate, form } of pairs(offered, candidates)) {
    // Check 10: an unset threshold is satisfied by nobody (verify.ts refuses it), so try nothing
    if (signers.size >= role.threshold || left <= 0) break;
    if (signers.has(candidate.keyid)) continue;
    const tried = verifyForm(candidate, form, { signed, left });
    left -= tried.verifications;
    if (tried.good) signers.add(candidate.keyid);
  }
  const refused = offered.flatMap(({ form }) => whyNoSignature(form, signed.payloadType) ?? []);
  return {
    keys: candidates.length,
    signers: [...signers],
    unusable: [...unusable, ...new Set(refused.slice(0, REASONS_MAX))],
    verifications: LIMITS.verificationsMax - left,
  };
}

/** Check 9: every equation that the form stands for, as long as there are verifications left. */
function verifyForm(
  { raw, rules }: Candidate,
  form: Form,
  { signed, left }: { readonly signed: SignedBytes; readonly left: number },
): { readonly good: boolean; readonly verifications: number } {
  const equations = rules.reduce(form, raw, signed);
  let verifications = 0;
  for (const equation of equations ?? []) {
    if (verifications >= left) return { good: false, verifications };
    verifications += 1;
    if (!rules.verify(raw, equation)) return { good: false, verifications };
  }
  return { good: verifications > 0, verifications };
}

/**
 * Check 8: the role's keys, each public key once whatever keyids name it; without those that are
 * expired, that have two schemes, of a scheme this version does not verify (kept in the root, never
 * counted), or no key of their scheme at all (ATTACKS P13).
 */
function usableKeys(
  root: Root,
  role: Role,
  floorMs: number,
): { candidates: readonly Candidate[]; unusable: readonly string[] } {
  const candidates = new Map<string, Candidate>();
  const unusable: string[] = [];
  const doubtful = keysWithTwoSchemes(root.keys);
  for (const key of root.keys.filter(({ keyid }) => role.keyids.includes(keyid))) {
    const keyid = keyidOf(key.publicKey);
    const rules = rulesOf(key.scheme);
    const raw = rules?.rawFrom(key.publicKey) ?? null;
    const reason = doubtful.has(keyid) ? 'has two schemes' : whyUnusable(key, floorMs);
    if (reason !== null || !rules || !raw) unusable.push(`${keyid.slice(0, 8)} ${reason}`);
    else if (!candidates.has(keyid)) candidates.set(keyid, { hint: key.keyid, keyid, raw, rules });
  }
  return { candidates: [...candidates.values()], unusable };
}

/** Null: the key may count. */
export function whyUnusable(key: RootKey, floorMs: number): string | null {
  const rules = rulesOf(key.scheme);
  if (!rules) return `has the scheme ${key.scheme}, which does not count`;
  const raw = rules.rawFrom(key.publicKey);
  if (!raw) return `is no ${rules.key} public key`;
  if (!rules.isUsable(raw)) return `is a weak ${rules.key} key`;
  if (key.notAfter !== 0 && key.notAfter < floorMs) return `expired ${instantText(key.notAfter)}`;
  return null;
}

/** Computed keyids: a key that may sign in two ways could be made to say in one what it said in the other. */
export function keysWithTwoSchemes(keys: readonly RootKey[]): ReadonlySet<string> {
  const schemes = new Map<string, Scheme>();
  const two = new Set<string>();
  for (const { publicKey, scheme } of keys) {
    const keyid = keyidOf(publicKey);
    const known = schemes.get(keyid) ?? scheme;
    if (known !== scheme) two.add(keyid);
    schemes.set(keyid, known);
  }
  return two;
}

/** Hinted pairs first, then every other one: a wrong or missing keyid only costs verifications. */
function* pairs(
  offered: readonly Offered[],
  candidates: readonly Candidate[],
): Iterable<{ candidate: Candidate; form: Form }> {
  for (const hinted of [true, false]) {
    for (const { hint, form } of offered) {
      for (const candidate of candidates) {
        const named = hint === candidate.hint || hint === candidate.keyid;
        if (named === hinted) yield { candidate, form };
      }
    }
  }
}
