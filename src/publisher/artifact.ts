/**
 * The OCI artifact of one signed state (FORMATS: OCI artifact): layer 0 the envelope, then roots,
 * the documents, the blobs, each digest once. Envelope, documents and what is new of the blobs, when
 * small, also stand in their descriptors, which saves a device a request each
 * (docs/decisions/0002-embedded-layers.md); nothing may depend on that.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { MEDIA } from '#state/media-types.ts';
import { pointText } from '#state/point.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { MARGO_LINE } from '#wire/margo-statement.ts';
import { describe, type OciDescriptor, readManifest, writeManifest } from '#wire/oci.ts';
import { bytesContent, type Content } from './content.ts';

export interface Artifact {
  readonly manifest: Uint8Array;
  readonly manifestDigest: Digest;
  /** config and layers, each once, in the order they are pushed */
  readonly contents: readonly Content[];
}

/** What a statement brings beside itself. */
export interface Parts {
  readonly documents: Content | null;
  readonly contents: ReadonlyMap<Digest, Content>;
  /** every root from version 2 on, ascending (`rootLayers`) */
  readonly roots?: readonly Uint8Array[];
  /** what devices have from the statement before; without it, no blob is embedded */
  readonly before?: ReadonlySet<Digest>;
}

/** bytes of a layer that is embedded in its descriptor */
const EMBEDDED_MAX = 16 * 1024;
/** bytes of all roots that are embedded: the newest, which devices lack */
const ROOTS_EMBEDDED_MAX = 128 * 1024;
/** bytes of all blobs that are embedded, the small ones first */
const BLOBS_EMBEDDED_MAX = 8 * 1024;
const EMPTY_CONFIG = new TextEncoder().encode('{}');

export function makeArtifact(
  state: DesiredState,
  envelope: Envelope,
  parts: Parts,
): Result<Artifact> {
  const signed = bytesContent(writeEnvelope(envelope));
  if (signed.size > LIMITS.envelopeBytes) {
    const what = 'the envelope';
    return refuse('publish.too-large', { what, size: signed.size, most: LIMITS.envelopeBytes });
  }
  const config = bytesContent(EMPTY_CONFIG);
  const roots = (parts.roots ?? []).map(bytesContent);
  const layers: OciDescriptor[] = [layerOf(MEDIA.envelope, signed), ...rootDescriptors(roots)];
  const documents = state.channel === MARGO_LINE ? MARGO_MEDIA.bundle : MEDIA.documents;
  if (parts.documents) layers.push(layerOf(documents, parts.documents));
  const contents = [config, signed, ...roots, ...(parts.documents ? [parts.documents] : [])];
  const known = new Set(layers.map(({ digest }) => digest));
  const along = newAndSmall(state, parts);
  for (const { digest, mediaType, size } of state.blobs) {
    if (known.has(digest)) continue;
    known.add(digest);
    const content = parts.contents.get(digest);
    const data = content && along.has(digest) ? embedded(content) : null;
    layers.push({ mediaType, digest, size, data, annotations: {} });
    if (content && digest !== config.digest) contents.push(content);
  }
  if (layers.length > LIMITS.layersMax) {
    const what = 'the number of roots, documents and blobs together';
    return refuse('publish.too-large', { what, size: layers.length, most: LIMITS.layersMax });
  }
  const manifest = writeManifest({
    artifactType: MEDIA.artifact,
    config: describe(MEDIA.ociEmpty, EMPTY_CONFIG, { inline: true }),
    layers,
    annotations: {
      'org.opencontainers.image.title': `${state.channel} ${pointText(state.point)}`,
      'org.holdfast.state-digest': state.point.digest,
    },
  });
  const read = readManifest(manifest); // what no device would read is not published
  if (!read.ok) return read;
  return ok({ manifest, manifestDigest: bytesContent(manifest).digest, contents });
}

function rootDescriptors(roots: readonly Content[]): readonly OciDescriptor[] {
  let left = ROOTS_EMBEDDED_MAX;
  return roots
    .toReversed()
    .map((root): OciDescriptor => {
      left -= root.size;
      const layer = layerOf(MEDIA.root, root);
      return left >= 0 ? layer : { ...layer, data: null };
    })
    .toReversed();
}

/** A change of a few small files needs no further request; a device further behind asks for the rest. */
function newAndSmall({ blobs }: DesiredState, { before }: Parts): ReadonlySet<Digest> {
  const added = before ? blobs.filter(({ digest }) => !before.has(digest)) : [];
  const sizes = new Map(added.map(({ digest, size }) => [digest, size]));
  let left = BLOBS_EMBEDDED_MAX;
  const small = [...sizes]
    .sort(([, a], [, b]) => a - b)
    .filter(([, size]) => {
      left -= size;
      return left >= 0;
    });
  return new Set(small.map(([digest]) => digest));
}

function layerOf(mediaType: string, content: Content): OciDescriptor {
  const { digest, size } = content;
  return { mediaType, digest, size, data: embedded(content), annotations: {} };
}

function embedded({ size, chunks }: Content): Uint8Array | null {
  if (size > EMBEDDED_MAX) return null;
  const parts: Uint8Array[] = [];
  for (const chunk of chunks()) {
    if (!chunk.ok) return null;
    parts.push(chunk.value);
  }
  return new Uint8Array(Buffer.concat(parts));
}
