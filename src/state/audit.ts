/**
 * The audit journal: what this device accepted, refused, applied and undid, and what its operator
 * did, each entry bound to the one before it by hash. Bytes and chain: wire/audit.ts.
 */
import { type Digest, digestFromBytes } from './digest.ts';
import type { Fleet } from './names.ts';
import type { Freshness, StatusPoint, TimeGrade, Via } from './status.ts';

const AUDIT_KINDS = [
  'accepted',
  'refused',
  'applied',
  'undone',
  'rejected',
  'rollback',
  'rolled-back',
  'apply-asked',
  'rollback-asked',
  'paused',
  'resumed',
  'stopped',
  'root-replaced',
  'identity-made',
  'store-rebuilt',
  'enrolled',
  'credential-renewed',
  'forgotten',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** Whose act it was: the keys of the fleet, who holds control.sock, or the device on its own. */
const AUDIT_ACTORS = ['owner', 'operator', 'agent'] as const;
export type AuditActor = (typeof AUDIT_ACTORS)[number];

export interface AuditEntry {
  /** from 1, without holes */
  readonly number: bigint;
  /** hash of the entry before it; of the first one `NO_ENTRY` */
  readonly previous: Digest;
  readonly boot: bigint;
  /** ms since the machine started */
  readonly monotonicMs: number;
  /** Unix ms by the wall clock; `grade` says what it is worth */
  readonly at: number;
  readonly grade: TimeGrade;
  /** of a later version, maybe one that is not in AUDIT_KINDS */
  readonly kind: string;
  readonly actor: string;
  readonly channel: string;
  readonly point: StatusPoint | null;
  readonly via: Via | null;
  /** a fault code, or empty */
  readonly code: string;
  readonly message: string;
  /** SHA-256 of the evidence kept with the statement */
  readonly details: Digest | null;
}

/** An entry before it has its place in the chain. */
export type NewAuditEntry = Omit<AuditEntry, 'number' | 'previous'>;

/** How many entries there were up to a place in the chain, and the hash of the last of them. */
export interface AuditMark {
  readonly count: bigint;
  readonly hash: Digest;
}

/** Where the journal begins and ends now: what is above `folded` is kept entry by entry. */
export interface AuditSpan {
  readonly folded: AuditMark;
  readonly head: AuditMark;
}

/** The entries between two marks, as their exact bytes, oldest first. */
export interface Journal extends AuditSpan {
  readonly entries: readonly Uint8Array[];
}

/** Why a statement was accepted, and what it was to do. */
export interface AuditEvidence {
  /** SHA-256 of the Envelope message: the signatures are part of it */
  readonly statement: Digest;
  /** the root envelope that it was judged by, exact bytes */
  readonly root: Uint8Array;
  readonly freshness: Freshness;
  readonly checks: readonly AuditCheck[];
  /** the plan, one line a step */
  readonly steps: readonly string[];
  readonly documents: readonly { readonly id: string; readonly digest: Digest }[];
}

export interface AuditCheck {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  readonly compared: string;
}

/** What `audit export` writes: the journal, and the evidence of one change. */
export interface AuditFile {
  readonly fleet: Fleet;
  readonly deviceId: string;
  /** SPKI DER */
  readonly deviceKey: Uint8Array;
  readonly journal: Journal;
  readonly change: AuditChange | null;
}

export interface AuditChange {
  readonly channel: string;
  readonly point: StatusPoint;
  /** the Envelope message */
  readonly statement: Uint8Array;
  /** the AuditEvidence message */
  readonly evidence: Uint8Array;
}

/** Stands where no entry was before. */
const NO_ENTRY: Digest = zeroDigest();
export const EMPTY_MARK: AuditMark = { count: 0n, hash: NO_ENTRY };

function zeroDigest(): Digest {
  const digest = digestFromBytes(new Uint8Array(32));
  if (!digest) throw new Error('32 bytes are a digest');
  return digest;
}
