/**
 * The schemes that count, one row each: what a key of it is, which forms its signatures have, and
 * what verifies them. A scheme that is not here is kept in roots and never counts.
 */
import type { Scheme } from '#state/root.ts';
import { isStrictPoint, rawFromSpki, verifyEd25519 } from './ed25519.ts';
import {
  type Equation,
  type Reduce,
  reduceBlake2b512,
  reduceEd25519,
  reduceP256,
} from './formats/catalogue.ts';
import { isP256Point, pointFromSpki, verifyP256 } from './p256.ts';

export type KnownScheme = Exclude<Scheme, 'unknown'>;

export interface SchemeRules {
  /** the kind of key, for messages */
  readonly key: string;
  /** The key inside of an SPKI; null: no key of this scheme (ATTACKS P13). */
  rawFrom(spki: Uint8Array): Uint8Array | null;
  /** whether a signature by it could ever count */
  isUsable(raw: Uint8Array): boolean;
  readonly reduce: Reduce;
  verify(raw: Uint8Array, equation: Equation): boolean;
}

const ED25519 = {
  key: 'Ed25519',
  rawFrom: rawFromSpki,
  isUsable: isStrictPoint,
  verify: (raw, { message, signature }) => verifyEd25519(raw, message, signature), // Check 9
} as const satisfies Omit<SchemeRules, 'reduce'>;

export const SCHEMES: Readonly<Record<KnownScheme, SchemeRules>> = {
  ed25519: { ...ED25519, reduce: reduceEd25519 },
  'ed25519-blake2b512': { ...ED25519, reduce: reduceBlake2b512 },
  'ecdsa-p256-sha256': {
    key: 'P-256',
    rawFrom: pointFromSpki,
    isUsable: isP256Point,
    reduce: reduceP256,
    verify: (raw, { message, signature }) => verifyP256(raw, message, signature), // Check 9
  },
};

/** Null: unknown here. */
export function rulesOf(scheme: Scheme): SchemeRules | null {
  return scheme === 'unknown' ? null : SCHEMES[scheme];
}
