/**
 * A generation: one deployment at one digest on this device. Its digest covers the document, the
 * blobs it names and the resolved values (FORMATS: Words); equal digest means unchanged.
 */
import type { Deployment } from './deployment.ts';
import { type Digest, sha256 } from './digest.ts';
import type { SecretRef } from './values.ts';

export interface Generation {
  readonly id: string;
  readonly digest: Digest;
  /** of the document's exact bytes: what status reports */
  readonly documentDigest: Digest;
  readonly deployment: Deployment;
  /** by the name the document uses */
  readonly blobs: ReadonlyMap<string, GenerationBlob>;
  /** parameter name → resolved text */
  readonly values: ReadonlyMap<string, string>;
  /** parameter name → sealed value: opened when a program starts, and in nothing that is kept */
  readonly secrets?: ReadonlyMap<string, SecretRef>;
  /** the statement that its document stands in, where that is not the one it is in force of */
  readonly statement?: Digest;
}

export interface GenerationBlob {
  readonly digest: Digest;
  readonly size: number;
  readonly unpackedSize: number;
  readonly tree: boolean;
}

/** Length-prefixed parts, sorted by name, so that no two inputs share an encoding. */
export function generationDigest(
  documentDigest: Digest,
  blobs: ReadonlyMap<string, GenerationBlob>,
  values: ReadonlyMap<string, string>,
  secrets: ReadonlyMap<string, SecretRef> = new Map(),
): Digest {
  const parts = ['holdfast.generation.v1', documentDigest];
  for (const [name, blob] of [...blobs].sort(byKey)) parts.push('blob', name, blob.digest);
  for (const [name, value] of [...values].sort(byKey)) parts.push('value', name, value);
  // What the value is, by its keyed digest; where it stands may change while it stays the same.
  for (const [name, secret] of [...secrets].sort(byKey)) parts.push('secret', name, secret.tag);
  return sha256(Buffer.from(parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join('')));
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}
