/** The signed statement of one channel, decoded. `wire/desired-state.ts` makes it from payload bytes. */
import type { Digest } from './digest.ts';
import type { Fleet } from './names.ts';
import type { Point } from './point.ts';
import type { Policy } from './policy.ts';

export interface DesiredState {
  readonly fleet: Fleet;
  readonly channel: string;
  /** epoch, sequence and the SHA-256 of the payload */
  readonly point: Point;
  readonly previousDigest: Digest | null;
  readonly promotedFrom: Digest | null;
  /** Unix ms; 0 = unset */
  readonly issuedAt: number;
  readonly notAfter: number;
  readonly rootVersion: bigint;
  /** SemVer, or empty */
  readonly minAgentVersion: string;
  readonly critical: readonly string[];
  readonly audience: Audience;
  readonly policy: Policy;
  readonly deployments: readonly DeploymentRef[];
  readonly blobs: readonly BlobRef[];
  /** the documents layer; null when there are no deployments */
  readonly documents: { readonly digest: Digest; readonly size: number } | null;
}

export type Audience =
  | { readonly kind: 'everyone' }
  | { readonly kind: 'devices'; readonly ids: readonly string[] }
  | { readonly kind: 'selector'; readonly allOf: readonly LabelMatch[] };

export interface LabelMatch {
  readonly key: string;
  readonly values: readonly string[];
}

/** A deployment document named by the statement. */
export interface DeploymentRef {
  readonly id: string;
  readonly digest: Digest;
  readonly size: number;
  readonly mediaType: string;
}

/** A blob named by the statement; documents refer to it by `name`. */
export interface BlobRef {
  readonly name: string;
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** bytes when unpacked; equals `size` for plain files */
  readonly unpackedSize: number;
}
