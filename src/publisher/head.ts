/** A signed state on a shelf, verified against the fleet's roots: what a publisher builds upon. */
import { assert, type Code, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { comparePoints } from '#state/point.ts';
import {
  type Authored,
  type Authority,
  type Unacceptable,
  verifyAuthorship,
} from '#trust/authorship.ts';
import { type OciDescriptor, type OciManifest, readManifest } from '#wire/oci.ts';
import type { FleetAuthority } from './fleet.ts';
import { judgeBeside } from './root-beside.ts';
import { VERSIONS_MAX } from './root-folder.ts';
import type { Shelf, ShelfManifest } from './shelf.ts';

export interface Head {
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly manifest: OciManifest;
  readonly manifestBytes: Uint8Array;
  readonly manifestDigest: Digest;
  /** the newest root whose keys it counts by: below the fleet's when too few of them are left in it */
  readonly under: bigint;
  /** all roots of the fleet folder are beside it, so that any device can walk to the newest */
  readonly whole: boolean;
}

/** It must be sent again: with the roots that it lacks, or signed by keys that count now. */
export function isOutdated({ under, whole }: Head, { root }: Pick<Authority, 'root'>): boolean {
  return !whole || under < root.version;
}

/** The envelope of an artifact with the roots beside it, nothing believed yet. */
export interface ArtifactParts {
  readonly manifest: OciManifest;
  readonly envelope: Uint8Array;
  readonly roots: readonly Uint8Array[];
}

/** Null: no artifact of ours there (another tool's manifest). Faults are the shelf's. */
export async function readArtifact(
  shelf: Shelf,
  { bytes }: ShelfManifest,
): Promise<Result<ArtifactParts | null>> {
  const manifest = readManifest(bytes);
  if (!manifest.ok) return manifest;
  const [first, ...rest] = manifest.value.layers;
  if (manifest.value.artifactType !== MEDIA.artifact || first?.mediaType !== MEDIA.envelope) {
    return ok(null);
  }
  const envelope = await shelf.read(first, LIMITS.envelopeBytes);
  if (!envelope.ok) return envelope;
  const roots = await readRoots(shelf, rest);
  if (!roots.ok) return roots;
  return ok({ manifest: manifest.value, envelope: envelope.value, roots: roots.value });
}

/** The highest state of the channel on the shelf; null when there is none of any kind. */
export async function readHead(
  shelf: Shelf,
  authority: FleetAuthority,
): Promise<Result<Head | null>> {
  const manifests = await shelf.manifests();
  if (!manifests.ok) return manifests;
  let best: Head | null = null;
  let failure: Result<never> | null = null;
  for (const found of manifests.value) {
    const head = await judge(shelf, found, authority);
    if (!head.ok) failure ??= head;
    else if (!best || comparePoints(head.value.state.point, best.state.point) > 0) {
      best = head.value;
    }
  }
  return best || !failure ? ok(best) : failure;
}

async function judge(
  shelf: Shelf,
  found: ShelfManifest,
  authority: FleetAuthority,
): Promise<Result<Head>> {
  const { channel } = authority;
  const unverified = (reason: string) =>
    refuse('publish.head-unverified', { channel, source: shelf.name, reason });
  const artifact = await readArtifact(shelf, found);
  if (!artifact.ok) return refused(artifact.fault);
  if (!artifact.value) return unverified('it is no Holdfast artifact');
  const { manifest, envelope, roots } = artifact.value;
  const whole = judgeBeside(roots, authority.chain, shelf.name);
  if (!whole.ok) return whole;
  const verdict = authoredUnder(envelope, authority);
  if (verdict.kind !== 'authored') {
    return unverified(`${verdict.fault.code}: ${verdict.fault.message}`);
  }
  const { state } = verdict;
  return ok({
    state,
    envelope: verdict.envelope,
    manifest,
    manifestBytes: found.bytes,
    manifestDigest: found.digest,
    under: verdict.root.version,
    whole: whole.value,
  });
}

const BY_OTHER_KEYS: ReadonlySet<Code> = new Set([
  'trust.threshold',
  'trust.threshold-missing',
  'trust.channel-unsigned',
]);

/**
 * By the newest root, else by the one before it, and so on: who signed under a former root did so
 * rightly then. What such a statement is worth now is the caller's to say (line.ts).
 */
function authoredUnder(envelope: Uint8Array, authority: FleetAuthority): Authored | Unacceptable {
  let newest: Unacceptable | null = null;
  for (const { root } of authority.chain.toReversed()) {
    // that a root has ended says nothing about who signed
    const held = { ...authority, root: { ...root, notAfter: 0 } };
    const verdict = verifyAuthorship({ envelope, roots: [] }, held);
    if (verdict.kind === 'authored') return verdict;
    newest ??= verdict;
    if (!BY_OTHER_KEYS.has(verdict.fault.code)) break;
  }
  assert(newest, 'a chain has at least one root');
  return newest;
}

async function readRoots(
  shelf: Shelf,
  layers: readonly OciDescriptor[],
): Promise<Result<readonly Uint8Array[]>> {
  const roots: Uint8Array[] = [];
  for (const layer of layers.filter(({ mediaType }) => mediaType === MEDIA.root)) {
    if (roots.length >= VERSIONS_MAX) break;
    const root = await shelf.read(layer, LIMITS.rootBytes);
    if (!root.ok) return root;
    roots.push(root.value);
  }
  return ok(roots);
}
