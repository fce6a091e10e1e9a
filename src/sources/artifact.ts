/**
 * A manifest of ours and the head it carries (FORMATS: OCI artifact): layer 0 the envelope, then the
 * root chain ascending, then at most one documents layer; what comes after is for whoever reads the
 * signed statement, so layers of unknown types are passed over. Shared by all sources of OCI content.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { type OciDescriptor, readManifest } from '#wire/oci.ts';
import type { Head } from './source.ts';

export interface Artifact {
  readonly envelope: OciDescriptor;
  /** at index i: version i + 2 */
  readonly roots: readonly OciDescriptor[];
  readonly documents: OciDescriptor | null;
  /** documents and blobs whose bytes stand in the manifest */
  readonly embedded: readonly Embedded[];
}

type Embedded = OciDescriptor & { readonly data: Uint8Array };

/** Reads one small layer, digest and size checked. */
export type ReadLayer = (layer: OciDescriptor, what: string) => Promise<Result<Uint8Array>>;

export interface HeadOptions {
  /**
   * The root held: older ones are not fetched, nor is this one while its bytes are the same ones.
   * Other bytes under its version may be an attack (trust.root-equivocation). Default: version 1
   */
  readonly heldRoot?: () => { readonly version: bigint; readonly digest: Digest };
}

/** The version of the first root layer: version 1 is never fetched. */
const FIRST_ROOT = 2;

/** @param bytes  of a manifest whose digest is already checked */
export function readArtifact(bytes: Uint8Array, what: string): Result<Artifact> {
  const manifest = readManifest(bytes);
  if (!manifest.ok) return manifest;
  const { artifactType, config, layers } = manifest.value;
  // Check 3
  if (artifactType !== MEDIA.artifact) {
    const got = artifactType === '' ? 'nothing' : JSON.stringify(artifactType);
    return refuse('source.media-type', { what, wanted: MEDIA.artifact, got });
  }
  const bad = (reason: string): Result<Artifact> => refuse('source.artifact', { what, reason });
  if (config.mediaType !== MEDIA.ociEmpty) return bad('its config is not empty');
  const [envelope, ...rest] = layers;
  if (envelope?.mediaType !== MEDIA.envelope) return bad('layer 0 is no envelope');
  const end = rest.findIndex(({ mediaType }) => mediaType !== MEDIA.root);
  const roots = end < 0 ? rest : rest.slice(0, end);
  const content = end < 0 ? [] : rest.slice(end);
  const strays = content.some(({ mediaType }) => isHeadType(mediaType));
  if (strays) return bad('an envelope or root stands behind the documents');
  const documents = content.filter(({ mediaType }) => mediaType === MEDIA.documents);
  if (documents.length > 1) return bad('it has two layers of documents');
  // Check 2: what is declared above the cap is not even asked for.
  const large =
    tooLarge(envelope, LIMITS.envelopeBytes) ??
    roots.map((root) => tooLarge(root, LIMITS.rootBytes)).find((size) => size !== null) ??
    tooLarge(documents[0], LIMITS.documentsBytes);
  if (large !== null && large !== undefined) return bad(large);
  const embedded = content.filter((layer): layer is Embedded => layer.data !== null);
  return ok({ envelope, roots, documents: documents[0] ?? null, embedded });
}

function isHeadType(mediaType: string): boolean {
  return mediaType === MEDIA.envelope || mediaType === MEDIA.root;
}

function tooLarge(layer: OciDescriptor | undefined, cap: number): string | null {
  if (layer === undefined || layer.size <= cap) return null;
  return `${layer.mediaType} of ${layer.size} bytes, above ${cap}`;
}

/** The envelope, the roots that are news (LIMITS.rootStepsMax above the held one), what is inline. */
export async function readHead(
  artifact: Artifact,
  manifestDigest: Digest,
  read: ReadLayer,
  options: HeadOptions,
): Promise<Result<Head>> {
  const envelope = await readOrInline(artifact.envelope, 'the envelope', read);
  if (!envelope.ok) return envelope;
  const roots: Uint8Array[] = [];
  for (const { layer, version } of newsOf(artifact.roots, options)) {
    const root = await readOrInline(layer, `root ${version}`, read);
    if (!root.ok) return root;
    roots.push(root.value);
  }
  const inline = new Map(artifact.embedded.map(({ digest, data }) => [digest, data]));
  return ok({ manifestDigest, envelope: envelope.value, roots, inline });
}

interface RootLayer {
  readonly layer: OciDescriptor;
  /** by its place: what the document says is judged by trust/ */
  readonly version: number;
}

function newsOf(roots: readonly OciDescriptor[], { heldRoot }: HeadOptions): readonly RootLayer[] {
  const held = heldRoot?.() ?? null;
  const version = held ? Number(held.version) : 1;
  const layers = roots.map((layer, index) => ({ layer, version: index + FIRST_ROOT }));
  const same = layers.filter(
    (root) => root.version === version && root.layer.digest !== held?.digest,
  );
  const above = layers.filter((root) => root.version > version);
  return [...same, ...above.slice(0, LIMITS.rootStepsMax)];
}

/** What the descriptor carries was checked by wire/oci.ts. */
function readOrInline(
  layer: OciDescriptor,
  what: string,
  read: ReadLayer,
): Promise<Result<Uint8Array>> {
  return layer.data === null ? read(layer, what) : Promise.resolve(ok(layer.data));
}
