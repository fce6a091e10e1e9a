/**
 * What the hub's registry holds on a channel, as the Margo manager may say it: only a statement that the
 * keys of the fleet have signed, and never one below the highest that was served. Under Margo's
 * `authority: tls` devices believe the manager, so the manager must not believe a tag.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Inflate } from '#platform/inflate.ts';
import type { BlobRef, DesiredState } from '#state/desired-state.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { verifyAuthorship } from '#trust/authorship.ts';
import { openRoot } from '#trust/root-chain.ts';
import { viewTime } from '#trust/time.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { readDocuments } from '#wire/documents.ts';
import { readMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoFacts } from '#wire/margo-document.ts';
import { MARGO_LINE } from '#wire/margo-statement.ts';
import { type OciDescriptor, readManifest } from '#wire/oci.ts';
import type { Disk } from './disk.ts';
import type { ServedFloor } from './margo-served.ts';
import type { SignedManifest } from './margo-signed.ts';

/** bytes around the documents of a bundle */
const TAR_OVERHEAD = 4 * 1024 * 1024;

export interface MargoDocument {
  readonly id: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
  /** `metadata.deviceId` as written; null: it has none (older dialects) */
  readonly deviceId: string | null;
  /** those of our own profiles that it names */
  readonly blobs: readonly BlobRef[];
}

export interface Published {
  readonly state: DesiredState;
  /** of Margo's dialect; those of our own cannot be said in Margo's words */
  readonly documents: readonly MargoDocument[];
  /** the statement is a Margo manifest itself; null: one of ours */
  readonly signed: SignedManifest | null;
}

export interface PublishedInput {
  readonly disk: Pick<Disk, 'tag' | 'manifest' | 'openBlob'>;
  readonly clock: Pick<Clock, 'wallMs'>;
  readonly inflate: Pick<Inflate, 'gunzip'>;
  /** plant/state */
  readonly repository: string;
  readonly channel: string;
  /** the owner's root file */
  readonly root: Uint8Array;
  /** by the fleet of that root */
  floor(fleet: string): Result<ServedFloor>;
}

export interface PublishedReader {
  /** what is published are Margo manifests, signed for all clients at once */
  readonly shared: boolean;
  /** Null: nothing was published yet. A fault: what is there must not be served. */
  read(): Result<Published | null>;
  close(): void;
}

/** Reads again only when the tag has moved. */
export function publishedReader(input: PublishedInput): Result<PublishedReader> {
  const root = openRoot(input.root);
  if (!root.ok) return root;
  const floor = input.floor(root.value.fleet);
  if (!floor.ok) return floor;
  let known: { readonly digest: Digest; readonly result: Result<Published> } | null = null;
  return ok({
    shared: input.channel === MARGO_LINE,
    close: () => floor.value.close(),
    read() {
      const tag = input.disk.tag(input.repository, input.channel);
      if (!tag.ok) return tag;
      if (tag.value === null) return ok(null);
      if (known?.digest !== tag.value) {
        known = { digest: tag.value, result: readPublished(input, tag.value) };
      }
      const { result } = known;
      // A disk that failed is asked again.
      if (!result.ok && result.fault.code.startsWith('platform.')) known = null;
      if (!result.ok) return result;
      const served = floor.value.raise(result.value.state.point);
      return served.ok ? result : served;
    },
  });
}

function readPublished(input: PublishedInput, digest: Digest): Result<Published> {
  const stored = input.disk.manifest(input.repository, digest);
  if (!stored.ok) return stored;
  const what = `${input.repository}:${input.channel}`;
  if (!stored.value) return refuse('source.missing', { what, source: 'the registry of this hub' });
  const manifest = readManifest(stored.value.bytes);
  if (!manifest.ok) return manifest;
  const [first, ...rest] = manifest.value.layers;
  if (first?.mediaType !== MEDIA.envelope) {
    return refuse('source.artifact', { what, reason: 'layer 0 is no envelope' });
  }
  const envelope = layer(input.disk, first, LIMITS.envelopeBytes);
  if (!envelope.ok) return envelope;
  const roots: Uint8Array[] = [];
  for (const descriptor of rest.filter(({ mediaType }) => mediaType === MEDIA.root)) {
    const root = layer(input.disk, descriptor, LIMITS.rootBytes);
    if (!root.ok) return root;
    roots.push(root.value);
  }
  const root = openRoot(input.root);
  if (!root.ok) return root;
  const time = viewTime({ floorMs: 0, wallMs: input.clock.wallMs() });
  const judged = verifyAuthorship(
    { envelope: envelope.value, roots },
    { root: root.value, channel: input.channel, time, clock: 'lenient', allowDemo: true },
  );
  if (judged.kind !== 'authored') return { ok: false, fault: judged.fault };
  const { state } = judged;
  const named = state.documents?.digest;
  const documents = rest.find(({ digest }) => digest === named) ?? null;
  const found = documents ? layer(input.disk, documents, LIMITS.documentsBytes) : ok(null);
  if (!found.ok) return found;
  if (state.channel !== MARGO_LINE) return documentsOf(state, found.value, null);
  const signed = judged.envelope.payload;
  const bundle = found.value;
  return documentsOf(state, bundle && unpacked(input, state, bundle), {
    ...{ envelope: envelope.value, manifest: signed, bundle, roots },
  });
}

type Contents = Result<ReadonlyMap<Digest, Uint8Array>>;

function unpacked({ inflate }: PublishedInput, state: DesiredState, bundle: Uint8Array): Contents {
  const wanted = new Set(state.deployments.map(({ digest }) => digest));
  const cap = LIMITS.documentsBytes + TAR_OVERHEAD;
  return readMargoBundle(inflate.gunzip([ok(bundle)], cap), wanted);
}

function documentsOf(
  state: DesiredState,
  layer: Uint8Array | Contents | null,
  signed: SignedManifest | null,
): Result<Published> {
  if (!layer) return ok({ state, documents: [], signed });
  const read = layer instanceof Uint8Array ? readDocuments(layer) : layer;
  if (!read.ok) return read;
  const blobs = new Map(state.blobs.map((blob) => [blob.name, blob]));
  const documents: MargoDocument[] = [];
  for (const { id, digest, mediaType } of state.deployments) {
    const bytes = read.value.get(digest);
    if (mediaType !== MEDIA.margoDeployment) continue;
    if (!bytes) return refuse('plan.document-missing', { deployment: id, digest });
    const deployment = readDeployment(bytes, mediaType, { id, file: `${id}.yaml` });
    if (!deployment.ok) return deployment;
    const needs = blobNames(deployment.value).flatMap((name) => blobs.get(name) ?? []);
    const facts = readMargoFacts(bytes, `${id}.yaml`);
    if (!facts.ok) return facts;
    documents.push({ id, digest, bytes, deviceId: facts.value.deviceId, blobs: needs });
  }
  return ok({ state, documents, signed });
}

function layer(
  disk: Pick<Disk, 'openBlob'>,
  { digest, size, data, mediaType }: OciDescriptor,
  cap: number,
): Result<Uint8Array> {
  if (data) return ok(data);
  if (size > cap) return refuse('source.too-large', { what: mediaType, cap });
  const file = disk.openBlob(digest);
  if (!file.ok) return file;
  const bytes = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const read = file.value.read(filled, size - filled);
    if (read.ok && read.value.length > 0) bytes.set(read.value, filled);
    if (!read.ok) {
      file.value.close();
      return read;
    }
    if (read.value.length === 0) break;
    filled += read.value.length;
  }
  file.value.close();
  const got = sha256(bytes);
  if (got === digest) return ok(bytes);
  return refuse('source.digest-mismatch', { what: mediaType, wanted: digest, got });
}
