/** The root document of a fleet, decoded: who may sign what, and each channel's epoch. */
import type { Fleet } from './names.ts';

export interface Root {
  readonly fleet: Fleet;
  readonly version: bigint;
  /** Unix ms; 0 = unset */
  readonly issuedAt: number;
  readonly notAfter: number;
  readonly keys: readonly RootKey[];
  readonly roles: readonly Role[];
  readonly channels: readonly RootChannel[];
  readonly timeReset: { readonly notBefore: number } | null;
  readonly demo: boolean;
  readonly critical: readonly string[];
  /** null: it says nothing of TLS, so what is configured counts alone */
  readonly tls: TlsTrust | null;
}

/** The CAs of every TLS connection: registries, token services, broker. */
export interface TlsTrust {
  readonly anchors: readonly TlsAnchor[];
  /** they count instead of `tls.ca` or the system's, not beside them */
  readonly replacesConfigured: boolean;
}

export interface TlsAnchor {
  /** DER */
  readonly certificate: Uint8Array;
  /** Unix ms; 0 = as long as the certificate itself */
  readonly notAfter: number;
  readonly comment: string;
}

/** How a key signs; a key has one. The second: Ed25519 over BLAKE2b-512, as minisign does. */
export type Scheme = 'ed25519' | 'ed25519-blake2b512' | 'ecdsa-p256-sha256' | 'unknown';

export interface RootKey {
  /** lowercase hex SHA-256 of the SPKI DER; a hint only (check 8) */
  readonly keyid: string;
  readonly scheme: Scheme;
  /** SPKI DER */
  readonly publicKey: Uint8Array;
  /** Unix ms; 0 = unset */
  readonly notAfter: number;
  readonly comment: string;
}

export interface Role {
  readonly name: string;
  readonly threshold: number;
  readonly keyids: readonly string[];
}

export interface RootChannel {
  readonly name: string;
  readonly role: string;
  readonly epoch: bigint;
}

/** An exact name wins over `device.*`; null: signed by no one. */
export function channelOf(root: Root, name: string): RootChannel | null {
  const exact = root.channels.find((channel) => channel.name === name);
  if (exact) return exact;
  if (!name.startsWith('device.')) return null;
  return root.channels.find((channel) => channel.name === 'device.*') ?? null;
}
