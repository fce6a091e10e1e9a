/**
 * The OCI form of Margo's desired state, bytes ↔ state (MARGO.md section 11; M76). An image manifest of
 * Margo's artifact type whose one layer is a packed tar of ApplicationDeployment documents; an annotation
 * carries the version, without which nothing would tell an old state from a new one. `data` beside a layer
 * is checked by wire/oci.ts. Every doubt refuses the whole, with the JSON pointer of the member.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { BlobRef } from '#state/desired-state.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { isMargoId, readMargoBlobs, VERSION_MAX } from './margo-manifest.ts';
import { describe, type OciDescriptor, readManifest, writeManifest } from './oci.ts';
import { quote } from './quote.ts';
import { readStrictJson } from './strict-json.ts';
import { readTar } from './tar.ts';
import { encodeText } from './text.ts';
import { openYaml } from './yaml-document.ts';

export interface MargoOci {
  /** 1 … 2^64 - 1; only grows */
  readonly version: bigint;
  /** content by digest, which documents of our own profiles name; others ignore it */
  readonly blobs: readonly BlobRef[];
  /** a packed tar of documents */
  readonly layer: OciDescriptor;
}

export interface MargoOciDocument {
  /** as the document itself says: nothing else names it */
  readonly id: string;
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

export const MARGO_OCI_VERSION = 'org.margo.ApplicationDeployment.version';
const MARGO_OCI_ARTIFACT = 'application/vnd.org.margo.config.v1+json';
/** The first one is written; the others stand in the same proposal. */
export const MARGO_OCI_LAYERS = [
  'application/vnd.margo.manifests.layer.v1+tar+gzip',
  'application/vnd.org.margo.manifests.layer.v1+gzip',
  'application/vnd.org.margo.manifests.layer.v1+tar+gzip',
] as const;
/** a member of ours, as JSON: what a state manifest has under x-holdfast-extensions */
const BLOBS = 'org.holdfast.blobs';
const EMPTY_CONFIG = encodeText('{}');
/** bytes of a layer that stands in the manifest as well */
const EMBEDDED_MAX = 128 * 1024;

/** @param bytes  of an image manifest whose digest is checked; at most LIMITS.manifestBytes */
export function readMargoOci(bytes: Uint8Array): Result<MargoOci> {
  const manifest = readManifest(bytes);
  if (!manifest.ok) return no('', manifest.fault.message);
  const { artifactType, layers, annotations } = manifest.value;
  if (artifactType !== MARGO_OCI_ARTIFACT) {
    return no('/artifactType', `expected ${MARGO_OCI_ARTIFACT}`);
  }
  const [layer, ...others] = layers;
  if (!layer || others.length > 0) return no('/layers', 'expected one layer');
  if (!MARGO_OCI_LAYERS.some((type) => type === layer.mediaType)) {
    return no('/layers/0/mediaType', `expected ${MARGO_OCI_LAYERS[0]}`);
  }
  if (layer.size > LIMITS.documentsBytes) {
    return no('/layers/0/size', `above ${LIMITS.documentsBytes} bytes`);
  }
  const text = annotations[MARGO_OCI_VERSION] ?? '';
  const version = /^[1-9][0-9]{0,19}$/.test(text) ? BigInt(text) : 0n;
  if (version < 1n || version > VERSION_MAX) {
    return no(`/annotations/${MARGO_OCI_VERSION}`, 'expected digits, from 1 to 2^64 - 1');
  }
  const blobs = readBlobs(annotations[BLOBS]);
  return blobs.ok ? ok({ version, layer, blobs: blobs.value }) : blobs;
}

function readBlobs(text: string | undefined): Result<readonly BlobRef[]> {
  if (text === undefined) return ok([]);
  const json = readStrictJson(encodeText(text), BLOBS);
  const read = json.ok ? readMargoBlobs({ blobs: json.value }) : json;
  return read.ok ? read : no(`/annotations/${BLOBS}`, read.fault.message);
}

/**
 * The documents of a layer, each id once.
 * @param tar  unpacked; ends with a fault where unpacking does
 */
export function readMargoOciLayer(
  tar: Iterable<Result<Uint8Array>>,
): Result<readonly MargoOciDocument[]> {
  const files = readFiles(tar);
  if (!files.ok) return files;
  const documents: MargoOciDocument[] = [];
  const seen = new Set<string>();
  for (const { name, bytes } of files.value) {
    const document = openYaml(bytes, name);
    if (!document.ok) return document;
    const { value } = document.value;
    const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : null;
    if (typeof id !== 'string' || !isMargoId(id)) return document.value.refuse(['id'], 'a UUID');
    if (seen.has(id.toLowerCase())) return no('/layers/0', `${quote(id)} stands twice`);
    seen.add(id.toLowerCase());
    documents.push({ id, digest: sha256(bytes), bytes });
  }
  return ok(documents);
}

interface OpenFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  filled: number;
}

function readFiles(tar: Iterable<Result<Uint8Array>>): Result<readonly OpenFile[]> {
  const files: OpenFile[] = [];
  const caps = { entries: 2 * LIMITS.deploymentsMax, bytes: LIMITS.documentsBytes };
  for (const item of readTar(tar, caps)) {
    if (!item.ok) return item;
    const open = files.at(-1);
    if (item.value.kind === 'data') {
      open?.bytes.set(item.value.bytes, open.filled);
      if (open) open.filled += item.value.bytes.length;
      continue;
    }
    if (item.value.kind === 'directory') continue;
    const name = item.value.path.join('/');
    if (!/\.ya?ml$/i.test(name)) return no('/layers/0', `${quote(name)} is no YAML file`);
    if (item.value.size > LIMITS.documentBytes) {
      return no('/layers/0', `${quote(name)} is above ${LIMITS.documentBytes} bytes`);
    }
    if (files.length >= LIMITS.deploymentsMax) {
      return no('/layers/0', `more than ${LIMITS.deploymentsMax} documents`);
    }
    files.push({ name, bytes: new Uint8Array(item.value.size), filled: 0 });
  }
  return ok(files);
}

/** @param packed  a gzip of a tar (wire/margo-bundle.ts writes one) */
export function writeMargoOci(
  version: bigint,
  packed: Uint8Array,
  blobs: readonly BlobRef[] = [],
): Uint8Array {
  return writeManifest({
    artifactType: MARGO_OCI_ARTIFACT,
    config: describe(MEDIA.ociEmpty, EMPTY_CONFIG, { inline: true }),
    layers: [describe(MARGO_OCI_LAYERS[0], packed, { inline: packed.length <= EMBEDDED_MAX })],
    annotations: {
      [MARGO_OCI_VERSION]: `${version}`,
      ...(blobs.length > 0 && { [BLOBS]: JSON.stringify(blobs) }),
    },
  });
}

function no(pointer: string, reason: string): Refused {
  return refuse('margo.oci', { pointer, reason });
}
