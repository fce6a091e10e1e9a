/** A signed state on a shelf, verified against the fleet's root: what a publisher builds upon. */
import { ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { comparePoints } from '#state/point.ts';
import type { Authority } from '#trust/authorship.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { type OciDescriptor, type OciManifest, readManifest } from '#wire/oci.ts';
import type { Shelf, ShelfManifest } from './shelf.ts';

export interface Head {
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly manifest: OciManifest;
  readonly manifestBytes: Uint8Array;
  readonly manifestDigest: Digest;
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
export async function readHead(shelf: Shelf, authority: Authority): Promise<Result<Head | null>> {
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
  authority: Authority,
): Promise<Result<Head>> {
  const { channel } = authority;
  const unverified = (reason: string) =>
    refuse('publish.head-unverified', { channel, source: shelf.name, reason });
  const artifact = await readArtifact(shelf, found);
  if (!artifact.ok) return refused(artifact.fault);
  if (!artifact.value) return unverified('it is no Holdfast artifact');
  const { manifest, envelope, roots } = artifact.value;
  const verdict = verifyAuthorship({ envelope, roots }, authority);
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
  });
}

async function readRoots(
  shelf: Shelf,
  layers: readonly OciDescriptor[],
): Promise<Result<readonly Uint8Array[]>> {
  const roots: Uint8Array[] = [];
  for (const layer of layers.filter(({ mediaType }) => mediaType === MEDIA.root)) {
    if (roots.length >= LIMITS.rootStepsMax) break;
    const root = await shelf.read(layer, LIMITS.rootBytes);
    if (!root.ok) return root;
    roots.push(root.value);
  }
  return ok(roots);
}
