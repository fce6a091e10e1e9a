/** Sockets with or without TLS, as byte streams: for MQTT, for probes, and for TLS with a dead clock. */
import type { Result } from '#errors/fault.ts';
import type { TlsOptions } from './http.ts';

export interface Sockets {
  connect(to: Endpoint, timeoutMs: number): Promise<Result<Socket>>;
  /**
   * TLS over an open socket.
   * `verify: 'system'`: the runtime's own check; errors are `link.tls-untrusted` (the certificate) and
   * `link.tls` (anything else).
   * A function: the runtime checks nothing; the function decides on the peer's chain before any
   * application byte is sent or read (link/peer.ts).
   */
  secure(
    socket: Socket,
    options: TlsOptions & { serverName: string },
    verify: 'system' | ((chain: readonly PeerCertificate[]) => Result<void>),
    timeoutMs: number,
  ): Promise<Result<Socket>>;
}

export type Endpoint =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface Socket {
  /** a node:stream Duplex; opaque outside platform/ */
  readonly stream: unknown;
  /** With TLS: what the peer showed, leaf first; null when it cannot be read. */
  peerChain?(): readonly PeerCertificate[] | null;
  close(): void;
}

/** What link/peer.ts needs to judge a certificate with a dead clock. Leaf first. */
export interface PeerCertificate {
  /** DER */
  readonly raw: Uint8Array;
  readonly subject: string;
  readonly issuer: string;
  /** Unix ms */
  readonly notBefore: number;
  readonly notAfter: number;
  /** basic constraints: CA */
  readonly ca: boolean;
  /** basic constraints: how many CA certificates may stand below this one; null: no bound */
  readonly pathLength: number | null;
  /** key usage bits when the extension is there */
  readonly keyUsage: { readonly keyCertSign: boolean; readonly digitalSignature: boolean } | null;
  /** what an X.509-SVID is judged by beside these (platform/svid.ts) */
  readonly svid?: SvidFields;
  /** extended key usage OIDs when the extension is there */
  readonly extendedKeyUsage: readonly string[] | null;
  /** unknown critical extensions by OID */
  readonly unknownCritical: readonly string[];
  /** RFC 6125 match of a DNS name or IP address against the subject alternative names only */
  matches(name: string): boolean;
  /** this certificate's signature verifies under `issuer`'s key */
  signedBy(issuer: PeerCertificate): boolean;
}

export interface SvidFields {
  /** URIs among the subject alternative names */
  readonly uris: readonly string[];
  /** key usage: cRLSign */
  readonly signsLists: boolean;
  /** basic constraints: cA, whatever the key may be used for */
  readonly saysCa: boolean;
}

/** PEM (one or more certificates) to parsed ones: for anchors. */
export type ParseCertificates = (pem: string) => Result<readonly PeerCertificate[]>;
