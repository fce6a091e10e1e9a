/**
 * Enrolment: how a device comes to a credential of its own, and what it and a hub tell each other
 * (docs/formats.md, Enrolment). Bytes are in wire/enrolment.ts.
 */
import { type Digest, hexOf, sha256 } from './digest.ts';

/** How a device shows who it is: by a client certificate, or by a secret sent along (Basic). */
export type CredentialKind = 'certificate' | 'token';

export type EnrolmentPurpose = 'enrol' | 'renew';

/** What a device asks of a hub, signed by the device key. */
export interface EnrolmentRequest {
  readonly purpose: EnrolmentPurpose;
  /** of the hub's CA certificate: the request is good at this hub alone */
  readonly hub: Digest;
  /** of the hub, used once */
  readonly nonce: Uint8Array;
  /** SPKI DER */
  readonly deviceKey: Uint8Array;
  readonly deviceId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly kind: CredentialKind;
  /** PKCS#10 DER; empty for a token */
  readonly csr: Uint8Array;
  /** of a one-time token; empty: an operator decides */
  readonly token: string;
  readonly agentVersion: string;
}

/** A device waits for an operator, or has its credential. */
export type EnrolmentAnswer = { readonly kind: 'pending' } | IssuedAnswer;

export interface IssuedAnswer {
  readonly kind: 'issued';
  readonly deviceId: string;
  readonly credential: CredentialKind;
  /** PEM, leaf first; empty for a token */
  readonly certificate: string;
  /** empty for a certificate */
  readonly secret: string;
  /** Unix ms */
  readonly issuedAt: number;
  readonly notAfter: number;
  /** PEM: the CAs of the hub */
  readonly authorities: string;
  /** the fleet's root document as it is; empty: the hub has none to give */
  readonly root: Uint8Array;
  /** where this hub's states are; empty: it does not say */
  readonly registry: string;
  readonly mqtt: string;
  readonly channel: string;
}

/** A one-time token as it is handed to a technician. */
export interface EnrolmentToken {
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
  /** the hub is whoever's CA certificate has this digest */
  readonly hub: Digest;
  /** the root document that this token vouches for; null: none */
  readonly root: Digest | null;
  readonly url: string;
}

/** What the status says of the credential in use. */
export interface Credential {
  readonly kind: CredentialKind;
  /** Unix ms */
  readonly notAfter: number;
  /** of the certificate (DER), or of the token */
  readonly fingerprint: Digest;
}

/** characters of a request's label, key or value */
export const LABEL_MAX = 128;
export const LABELS_MAX = 64;

/** 96 bits of a key's digest: nobody finds another key with the same. */
const GROUPS = 6;

/** `3f2a 91bc 77d0 12aa 5e0c 0911`: for eyes. */
export function fingerprintGroups(spkiDer: Uint8Array): string {
  const hex = hexOf(sha256(spkiDer));
  return Array.from({ length: GROUPS }, (_, group) => hex.slice(group * 4, group * 4 + 4)).join(
    ' ',
  );
}

const CONSONANTS = 'bdfghjklmnprstvz';
const VOWELS = 'aiou';

/**
 * The same bits to be read out on the telephone: `lusab-babad-…`, five letters for 16 bits.
 * @see "A Proposal for Proquints: Identifiers that are Readable, Spellable, and Pronounceable"
 */
export function fingerprintWords(spkiDer: Uint8Array): string {
  const hex = hexOf(sha256(spkiDer));
  const words = Array.from({ length: GROUPS }, (_, group) =>
    proquint(Number.parseInt(hex.slice(group * 4, group * 4 + 4), 16)),
  );
  return words.join('-');
}

function proquint(bits: number): string {
  return [
    CONSONANTS[(bits >> 12) & 15],
    VOWELS[(bits >> 10) & 3],
    CONSONANTS[(bits >> 6) & 15],
    VOWELS[(bits >> 4) & 3],
    CONSONANTS[bits & 15],
  ].join('');
}

/** Whether a person's text is this key's fingerprint: groups, words, or the whole digest in hex. */
export function isFingerprintOf(text: string, spkiDer: Uint8Array): boolean {
  const plain = text.trim().toLowerCase().replaceAll(/[\s:]/g, '');
  const groups = fingerprintGroups(spkiDer).replaceAll(' ', '');
  const whole = hexOf(sha256(spkiDer));
  return [groups, whole, `sha256${whole}`, fingerprintWords(spkiDer)].includes(plain);
}
