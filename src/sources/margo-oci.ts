/**
 * The OCI form of Margo's desired state as the manifest API would say it (MARGO.md section 11; M76): the
 * tag is asked for its digest, from there on everything is by digest, and what came is written down as a
 * state manifest, whose bundle is the layer. So version, documents, acceptance and status are judged by
 * the one path that every manifest takes. A tag that stands still says nothing: neither do we.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { ManifestAnswer, MargoLink } from '#link/margo.ts';
import type { Registry } from '#link/registry.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { writeMargoManifest } from '#wire/margo-manifest.ts';
import { type MargoOci, readMargoOci, readMargoOciLayer } from '#wire/margo-oci.ts';
import { readSmallBlob } from './read-blob.ts';

export interface MargoOciInput {
  readonly repository: Pick<Registry, 'name' | 'headManifest' | 'getManifest' | 'blob'>;
  /** latest, by the proposal */
  readonly tag: string;
  readonly inflate: Pick<Inflate, 'gunzip'>;
}

/** What was fetched last: the documents of the manifest that was handed on. */
interface Held {
  readonly layer: Digest;
  readonly bytes: Uint8Array;
}

/** bytes around the documents of an archive: a header and padding each */
const TAR_OVERHEAD = 4 * 1024 * 1024;
const MIB = 1024 * 1024;

export function margoOci(
  input: MargoOciInput,
): Pick<MargoLink, 'manifest' | 'bundle' | 'document'> {
  let held: Held | null = null;
  return {
    async manifest(etag, signal) {
      const looked = await look(input, etag, signal);
      if (!looked.ok || looked.value.kind === 'unchanged') return looked;
      held = looked.value.held;
      return looked;
    },
    async bundle(digest) {
      return ok(held?.layer === digest ? held.bytes : null);
    },
    document: async () => ok(null),
  };
}

type Looked =
  | Extract<ManifestAnswer, { kind: 'unchanged' }>
  | (Extract<ManifestAnswer, { kind: 'manifest' }> & { readonly held: Held | null });

async function look(
  input: MargoOciInput,
  etag: string | null,
  signal: AbortSignal,
): Promise<Result<Looked>> {
  const { repository, tag } = input;
  if (etag !== null) {
    const now = await repository.headManifest(tag, signal);
    if (!now.ok) return now;
    if (now.value !== null && `"${now.value}"` === etag) return ok({ kind: 'unchanged' });
  }
  const manifest = await repository.getManifest(tag, signal);
  if (!manifest.ok) return manifest;
  if (manifest.value === null) {
    const reason = `there is no tag ${tag} at ${repository.name}`;
    return refuse('margo.oci', { pointer: '', reason });
  }
  const { bytes, digest } = manifest.value;
  const read = readMargoOci(bytes);
  if (!read.ok) return read;
  return said(input, read.value, { etag: `"${digest}"`, signal });
}

async function said(
  { repository, inflate }: MargoOciInput,
  { version, layer, blobs }: MargoOci,
  { etag, signal }: { readonly etag: string; readonly signal: AbortSignal },
): Promise<Result<Looked>> {
  const packed = layer.data
    ? ok(layer.data)
    : await readSmallBlob(repository.blob, { ...layer, what: 'the documents' }, signal);
  if (!packed.ok) return packed;
  const ratio = MIB + packed.value.length * LIMITS.unpackRatioMax;
  const cap = Math.min(LIMITS.documentsBytes + TAR_OVERHEAD, ratio);
  const documents = readMargoOciLayer(inflate.gunzip([ok(packed.value)], cap));
  if (!documents.ok) return documents;
  const { digest, size } = layer;
  const bytes = writeMargoManifest({
    version,
    bundle: documents.value.length > 0 ? { digest, size } : null,
    deployments: documents.value.map((one) => ({ ...one, size: one.bytes.length })),
    ...{ blobs, prefix: '/api/v1/' },
  });
  return ok({ kind: 'manifest', bytes, etag, held: { layer: digest, bytes: packed.value } });
}
