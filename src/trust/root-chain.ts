/**
 * Check 7: the root of trust. The first root is the owner's file, never fetched. From there the
 * chain is walked one version at a time: version N + 1 is signed by the thresholds of N and of N + 1
 * (ATTACKS R07, R08), of the same fleet, with epochs that do not go back. Whether the last one is in
 * force is judged with the statement (authorship.ts): expired roots on the way are walked through,
 * so the ends of root keys do not count here, only the end of the last root does.
 *
 * Invariants: of an offered root nothing past the envelope is parsed before the held root's keys have
 * signed it; the walk is lazy, so that a caller makes each step durable before it asks for the next,
 * and a root that failed is never handed out (CVE-2020-15163, ATTACKS R11).
 * @see https://theupdateframework.github.io/specification/latest/#update-root
 */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root } from '#state/root.ts';
import { readRoot } from '#wire/root.ts';
import { judgeCritical } from './critical.ts';
import { openEnvelope } from './open-envelope.ts';
import { attack, type Outcome, passed, type Stop, stop, stopWith } from './outcome.ts';
import { ROOT_ROLE, whyBackwards, whyUnsound } from './root-sound.ts';
import { type Count, countSigners } from './threshold.ts';

const EXPECTED = { type: PAYLOAD.root, bytesMax: LIMITS.rootBytes, what: 'the root document' };
/** envelopes looked at in one offer: those of older versions may stand before the next one */
const OFFERED_MAX = LIMITS.layersMax;
/** verifications of one walk that led nowhere: about 0.6 s of a slow processor */
const WASTED_MAX = 4 * LIMITS.verificationsMax;

export interface HeldRoot {
  readonly root: Root;
  /** of its payload, which tells two roots of one version apart; null: not known */
  readonly digest: Digest | null;
}

export type OfferedRoot = Uint8Array | Envelope;

/** The owner's root file, of any version: self-signed by its own root role. */
export function openRoot(envelopeBytes: Uint8Array): Result<Root> {
  const held = openHeldRoot(envelopeBytes);
  return held.ok ? ok(held.value.root) : held;
}

/** As `openRoot`, with what a walk needs beside the root. */
export function openHeldRoot(envelopeBytes: Uint8Array): Result<HeldRoot> {
  const envelope = openEnvelope(envelopeBytes, EXPECTED);
  if (envelope.kind !== 'passed') return refused(envelope.fault);
  const read = readRoot(envelope.value.payload);
  if (!read.ok) return read;
  const root = read.value;
  const sound = judgeSound(root);
  if (sound.kind !== 'passed') return refused(sound.fault);
  const { signers, threshold, unusable } = signersOf(root, envelope.value);
  return signers.length >= threshold
    ? ok({ root, digest: sha256(envelope.value.payload) })
    : refuse('trust.root-signature', { got: signers.length, threshold, unusable });
}

/** Version N + 1, when it follows N in every respect. */
export function nextRoot(held: Root, offered: OfferedRoot): Result<Root> {
  const envelope = openEnvelope(offered, EXPECTED);
  if (envelope.kind !== 'passed') return refused(envelope.fault);
  const known = judgeByHeld(held, envelope.value);
  if (known.outcome.kind !== 'passed') return refused(known.outcome.fault);
  const next = judgeNext(held, known.outcome.value, envelope.value);
  return next.kind === 'passed' ? ok(next.value) : refused(next.fault);
}

export type RootStep =
  /** the root held from now on */
  | {
      readonly kind: 'next';
      readonly held: HeldRoot;
      readonly offered: OfferedRoot;
      readonly compared: string;
    }
  /** not followed; an attack may stand between steps, anything else ends the walk */
  | { readonly kind: 'refused'; readonly stop: Stop };

/**
 * From the held root as far as the offer goes, at most LIMITS.rootStepsMax. An offer may start with
 * versions that are older than the held one: their keys may be gone, so they are passed over unread.
 * @param offered  ascending
 */
export function* walkRoots(
  from: HeldRoot,
  offered: readonly OfferedRoot[],
): Generator<RootStep, void> {
  const opened = offered.slice(0, OFFERED_MAX).map((root) => openEnvelope(root, EXPECTED));
  let held = from;
  let steps = 0;
  let wasted = 0;
  let failed: Stop | null = null;
  for (let index = after(held, opened); index < opened.length; index += 1) {
    const [root, envelope] = [offered[index], opened[index]];
    if (!root || !envelope || steps >= LIMITS.rootStepsMax || wasted >= WASTED_MAX) break;
    const judged = envelope.kind === 'passed' ? judgeOffered(held, envelope.value) : null;
    wasted += judged?.wasted ?? 0;
    const { outcome } = judged ?? { outcome: envelope };
    if (outcome.kind !== 'passed') {
      if (outcome.attack) yield { kind: 'refused', stop: outcome };
      else failed ??= outcome;
      continue;
    }
    // what stood before a root of this chain was older
    failed = null;
    if (judged?.outcome.kind !== 'passed' || judged.outcome.value === null) continue;
    held = judged.outcome.value;
    steps += 1;
    yield { kind: 'next', held, offered: root, compared: outcome.compared };
  }
  if (failed) yield { kind: 'refused', stop: failed };
}

/** Where what is newer than the held root begins. */
function after(held: HeldRoot, opened: readonly Outcome<Envelope>[]): number {
  if (held.digest === null) return 0;
  const isHeld = (one: Outcome<Envelope>) =>
    one.kind === 'passed' && sha256(one.value.payload) === held.digest;
  return opened.findLastIndex(isHeld) + 1;
}

interface Judged<T> {
  readonly outcome: Outcome<T>;
  /** verifications made for nothing */
  readonly wasted: number;
}

/** The next root; null: the held one, or one before it. */
function judgeOffered(held: HeldRoot, envelope: Envelope): Judged<HeldRoot | null> {
  const known = judgeByHeld(held.root, envelope);
  if (known.outcome.kind !== 'passed') return { outcome: known.outcome, wasted: known.wasted };
  const root = known.outcome.value;
  const digest = sha256(envelope.payload);
  const { version } = held.root;
  if (root.version < version) return { outcome: passed(null, 'an older root'), wasted: 0 };
  if (root.version === version) {
    const other = held.digest !== null && held.digest !== digest;
    const twice = { version, offered: digest, held: held.digest ?? '' };
    const outcome = other ? attack('trust.root-equivocation', twice) : passed(null, 'held');
    return { outcome, wasted: 0 };
  }
  const next = judgeNext(held.root, root, envelope);
  const outcome = next.kind === 'passed' ? passed({ root, digest }, next.compared) : next;
  return { outcome, wasted: next.kind === 'passed' ? 0 : LIMITS.verificationsMax };
}

/** Nothing of the payload is parsed before enough of the held root's keys have signed it. */
function judgeByHeld(held: Root, envelope: Envelope): Judged<Root> {
  const { signers, threshold, unusable, verifications } = signersOf(held, envelope);
  if (signers.length < threshold) {
    const by = `root ${held.version}, which is held`;
    const got = signers.length;
    const outcome = stop('trust.root-threshold', { got, threshold, by, unusable });
    return { outcome, wasted: verifications };
  }
  const read = readRoot(envelope.payload);
  if (!read.ok) return { outcome: stopWith(read.fault), wasted: verifications };
  const { fleet } = read.value;
  if (fleet !== held.fleet) {
    const outcome = stop('trust.root-fleet', { offered: fleet, own: held.fleet });
    return { outcome, wasted: verifications };
  }
  const compared = `${signers.length} of ${threshold} keys of root ${held.version}`;
  return { outcome: passed(read.value, compared), wasted: 0 };
}

function judgeNext(held: Root, next: Root, envelope: Envelope): Outcome<Root> {
  const { version } = next;
  if (version !== held.version + 1n) {
    return stop('trust.root-gap', { offered: version, held: held.version });
  }
  const sound = judgeSound(next);
  if (sound.kind !== 'passed') return sound;
  const backwards = whyBackwards(held, next);
  if (backwards !== null) return stop('trust.root-invalid', { reason: backwards });
  const { signers, threshold, unusable } = signersOf(next, envelope);
  if (signers.length < threshold) {
    const by = `root ${version}, the new one`;
    return stop('trust.root-threshold', { got: signers.length, threshold, by, unusable });
  }
  const own = `${signers.length} of ${threshold} of its own`;
  return passed(next, `root ${version}: signed by the keys of root ${held.version}, by ${own}`);
}

function judgeSound(root: Root): Outcome<undefined> {
  const critical = judgeCritical(root.critical, 'root');
  if (critical.kind !== 'passed') return critical;
  const reason = whyUnsound(root);
  return reason === null ? critical : stop('trust.root-invalid', { reason });
}

interface RootSigners extends Omit<Count, 'unusable' | 'keys'> {
  /** of the role root; a missing or zero one is out of reach */
  readonly threshold: number;
  /** for messages */
  readonly unusable: string;
}

/** Distinct keys of the role root of `root` that signed, whatever their ends say. */
function signersOf(root: Root, envelope: Envelope): RootSigners {
  const role = root.roles.find(({ name }) => name === ROOT_ROLE);
  if (!role || role.threshold < 1) {
    return { signers: [], threshold: 1, unusable: '', verifications: 0 };
  }
  const { signers, unusable, verifications } = countSigners(envelope, root, role, 0);
  const reasons = unusable.map((why) => `; ${why}`).join('');
  return { signers, threshold: role.threshold, unusable: reasons, verifications };
}
