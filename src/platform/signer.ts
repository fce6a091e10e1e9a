/** Private keys that sign. The seam where PKCS#11 and TPM keys will stand. */
import type { Result } from '#errors/fault.ts';

export interface Signer {
  /** SPKI DER */
  readonly publicKey: Uint8Array;
  /** pure Ed25519, 64 bytes */
  sign(message: Uint8Array): Promise<Result<Uint8Array>>;
}

export interface KeyFiles {
  /** A new Ed25519 key. Private: PKCS#8 PEM, PBES2 when there is a passphrase (FORMATS: Keys). */
  generate(passphrase: string | null): { readonly privatePem: string; readonly publicPem: string };
  /** `config.key` when the PEM is no Ed25519 key or the passphrase is wrong. */
  load(privatePem: string, passphrase: string | null): Result<Signer>;
  /** SPKI PEM to DER; `config.key` */
  publicDer(publicPem: string): Result<Uint8Array>;
  publicPem(der: Uint8Array): string;
}
