/**
 * Keys that sign HTTP messages, and the certificates they are known by (RFC 9421 section 3.3; the older
 * dialects of Margo). ECDSA signatures are r and s beside each other, never DER.
 */
import type { Result } from '#errors/fault.ts';

/** PEM texts. */
export interface MessageKeyPair {
  readonly certificate: string;
  readonly key: string;
}

export interface MessageKeys {
  /**
   * A new P-256 key with a certificate that it has signed itself: whoever takes it knows it by its
   * fingerprint, so it has no end.
   * @param name  common name
   * @param notBefore  Unix ms
   */
  make(name: string, notBefore: number): MessageKeyPair;
  /** `margo.signing-key` when the two do not belong together, or the key is none that signs here. */
  signer(of: MessageKeyPair): Result<MessageSigner>;
  /** Null: no certificate, or its key is none that signs here. */
  verifier(certificate: Uint8Array): MessageVerifier | null;
}

export type MessageAlgorithm =
  | 'ecdsa-p256-sha256'
  | 'ecdsa-p384-sha384'
  | 'rsa-v1_5-sha256'
  /** Margo's name; RFC 9421 has PSS with SHA-512 alone */
  | 'rsa-pss-sha256';

export interface MessageSigner {
  readonly algorithm: MessageAlgorithm;
  /** hex SHA-256 of the SubjectPublicKeyInfo */
  readonly keyid: string;
  /** DER */
  readonly certificate: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
}

export interface MessageVerifier {
  /** the first one is meant where a message names none */
  readonly algorithms: readonly MessageAlgorithm[];
  verify(algorithm: MessageAlgorithm, message: Uint8Array, signature: Uint8Array): boolean;
}
