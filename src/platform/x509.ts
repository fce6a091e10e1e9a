/**
 * Certificates that are made here: by the hub's own authority, and the request that a device makes
 * for its key. Judging those of others is platform/tls.ts. Keys are P-256: what every broker,
 * registry and TLS library of the field takes in a client certificate; private ones are PKCS#8 PEM.
 */
import type { Result } from '#errors/fault.ts';
import type { MessageKeys } from './message-keys.ts';

export interface X509 {
  /** A self-signed CA for servers and clients, with no CA below it. */
  makeAuthority(of: Named): Promise<CertifiedKey>;
  /**
   * A new key with a certificate for a TLS server.
   * @param of.names  DNS names and IP addresses; the first one is the subject
   * @returns `config.certificate` when the authority cannot be used
   */
  issueServer(
    authority: CertifiedKey,
    of: Validity & { readonly names: readonly string[] },
  ): Promise<Result<CertifiedKey>>;
  /**
   * A certificate for a TLS client. Of the request only its key counts, which must have signed it.
   * @returns PEM; `enroll.request` when the request cannot be used
   */
  issueClient(
    authority: CertifiedKey,
    of: Named & { readonly csr: Uint8Array },
  ): Promise<Result<string>>;
  /** A new key of this machine and a PKCS#10 request for it, DER. */
  makeRequest(name: string): { readonly keyPem: string; readonly csr: Uint8Array };
  /** The certificate is for the key of this PEM. */
  belongTogether(certificatePem: string, keyPem: string): boolean;
  /** keys that sign requests instead of connections */
  readonly messageKeys: MessageKeys;
}

/** Unix ms, whole seconds count. */
export interface Validity {
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface Named extends Validity {
  /** common name */
  readonly name: string;
}

/** PEM texts. */
export interface CertifiedKey {
  readonly certificate: string;
  readonly key: string;
}
