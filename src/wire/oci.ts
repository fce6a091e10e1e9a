/**
 * OCI image manifests and indexes, strictly (checks 3–5, rows C01–C07, C17, C21). A body is either
 * a manifest or an index, never both; digests are SHA-256 in lower case; a layer lies in this
 * repository, never at a URL of its own. Annotations are for people and decide nothing.
 * A descriptor's `data` may carry the content itself; it is then verified like any other.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { quote } from './quote.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from './strict-json.ts';
import { decodeBase64, encodeBase64, encodeText, hasControl } from './text.ts';

export type Annotations = Readonly<Record<string, string>>;

export interface OciDescriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
  /** the content itself, digest and size already checked */
  readonly data: Uint8Array | null;
  readonly annotations: Annotations;
}

export interface OciManifest {
  /** empty when there is none */
  readonly artifactType: string;
  readonly config: OciDescriptor;
  readonly layers: readonly OciDescriptor[];
  readonly annotations: Annotations;
}

const MEDIA_TYPE_MAX = 255;

/** An image manifest of at most LIMITS.manifestBytes and LIMITS.layersMax layers, each digest once. */
export function readManifest(bytes: Uint8Array): Result<OciManifest> {
  const what = 'manifest';
  const value = readDocument(bytes, what, LIMITS.manifestBytes);
  if (!value.ok) return value;
  const { mediaType, artifactType = '', config, layers, annotations } = value.value;
  // Check 3
  if ('manifests' in value.value) return bad(what, '"manifests" stands beside "layers"');
  if (mediaType !== MEDIA.ociManifest) return wrongType(what, mediaType, MEDIA.ociManifest);
  if ('subject' in value.value) return bad(what, 'a subject is not supported');
  if (typeof artifactType !== 'string' || artifactType.length > MEDIA_TYPE_MAX) {
    return bad(what, 'artifactType is no media type');
  }
  const readConfig = readDescriptor(what, 'config', config);
  if (!readConfig.ok) return readConfig;
  const readLayers = readDescriptors(what, 'layers', layers);
  if (!readLayers.ok) return readLayers;
  if (new Set(readLayers.value.map(({ digest }) => digest)).size < readLayers.value.length) {
    return bad(what, 'a layer stands twice');
  }
  const notes = readAnnotations(what, annotations);
  if (!notes.ok) return notes;
  return ok({
    artifactType,
    config: readConfig.value,
    layers: readLayers.value,
    annotations: notes.value,
  });
}

/** The entries of an image index; in a layout's index.json the media type may be missing. */
export function readIndex(bytes: Uint8Array): Result<readonly OciDescriptor[]> {
  const what = 'index';
  const value = readDocument(bytes, what, LIMITS.indexBytes);
  if (!value.ok) return value;
  const { mediaType = MEDIA.ociIndex, manifests } = value.value;
  // Check 3
  if ('layers' in value.value || 'config' in value.value) {
    return bad(what, '"layers" or "config" stands beside "manifests"');
  }
  if (mediaType !== MEDIA.ociIndex) return wrongType(what, mediaType, MEDIA.ociIndex);
  return readDescriptors(what, 'manifests', manifests);
}

/** The same manifest always gives the same bytes. */
export function writeManifest(manifest: OciManifest): Uint8Array {
  return encodeText(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      ...(manifest.artifactType === '' ? {} : { artifactType: manifest.artifactType }),
      config: descriptorJson(manifest.config),
      layers: manifest.layers.map(descriptorJson),
      ...annotationsJson(manifest.annotations),
    }),
  );
}

export function writeIndex(manifests: readonly OciDescriptor[]): Uint8Array {
  return encodeText(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociIndex,
      manifests: manifests.map(descriptorJson),
    }),
  );
}

/** A descriptor of these bytes; `data` stays out of it unless `inline`. */
export function describe(
  mediaType: string,
  bytes: Uint8Array,
  options: { inline?: boolean; annotations?: Annotations } = {},
): OciDescriptor {
  return {
    mediaType,
    digest: sha256(bytes),
    size: bytes.length,
    data: options.inline === true ? bytes : null,
    annotations: options.annotations ?? {},
  };
}

function readDocument(bytes: Uint8Array, what: string, cap: number): Result<JsonObject> {
  if (bytes.length > cap) return bad(what, `${bytes.length} bytes; at most ${cap}`);
  const value = readStrictJson(bytes, what);
  if (!value.ok) return value;
  if (!isJsonObject(value.value)) return bad(what, 'it is no JSON object');
  if (value.value.schemaVersion !== 2) return bad(what, 'schemaVersion is not 2');
  return ok(value.value);
}

function readDescriptors(
  what: string,
  field: string,
  value: Json | undefined,
): Result<readonly OciDescriptor[]> {
  if (!Array.isArray(value)) return bad(what, `${field} is missing or no array`);
  const items = value as readonly Json[];
  if (items.length > LIMITS.layersMax) {
    return bad(what, `${items.length} ${field}; at most ${LIMITS.layersMax}`);
  }
  const read: OciDescriptor[] = [];
  for (const [index, item] of items.entries()) {
    const descriptor = readDescriptor(what, `${field}[${index}]`, item);
    if (!descriptor.ok) return descriptor;
    read.push(descriptor.value);
  }
  return ok(read);
}

function readDescriptor(
  what: string,
  field: string,
  value: Json | undefined,
): Result<OciDescriptor> {
  if (!isJsonObject(value)) return bad(what, `${field} is missing or no object`);
  const { mediaType, digest, size, data, annotations } = value;
  if (typeof mediaType !== 'string' || mediaType.length > MEDIA_TYPE_MAX || hasControl(mediaType)) {
    return bad(what, `${field}.mediaType is no media type`);
  }
  const known = typeof digest === 'string' ? parseDigest(digest) : null;
  if (known === null) {
    const found = typeof digest === 'string' ? quote(digest) : 'nothing';
    return bad(what, `${field}.digest is ${found}, not sha256: and 64 lowercase hex digits`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0 || Object.is(size, -0)) {
    return bad(what, `${field}.size is no whole number of bytes`);
  }
  if (size > LIMITS.blobBytes) return bad(what, `${field}.size is above ${LIMITS.blobBytes} bytes`);
  if ('urls' in value) return bad(what, `${field} lies at another URL, which is not supported`);
  const notes = readAnnotations(what, annotations);
  if (!notes.ok) return notes;
  const inline = readData(data, known, size);
  if (typeof inline === 'string') return bad(what, `${field}.data is ${inline}`);
  return ok({ mediaType, digest: known, size, data: inline, annotations: notes.value });
}

/** Check 4: verified like a fetched one. */
function readData(
  data: Json | undefined,
  digest: Digest,
  size: number,
): Uint8Array | null | string {
  if (data === undefined) return null;
  const bytes = typeof data === 'string' ? decodeBase64(data) : null;
  if (bytes === null) return 'not standard padded base64';
  if (bytes.length === size && sha256(bytes) === digest) return bytes;
  return 'not of the size and digest beside it';
}

function readAnnotations(what: string, value: Json | undefined): Result<Annotations> {
  const read: Record<string, string> = Object.create(null);
  if (value === undefined || value === null) return ok(read);
  if (!isJsonObject(value)) return bad(what, 'annotations is no object');
  const entries = Object.entries(value);
  if (entries.length > LIMITS.annotationsMax) {
    return bad(what, `${entries.length} annotations; at most ${LIMITS.annotationsMax}`);
  }
  for (const [key, text] of entries) {
    if (typeof text !== 'string') return bad(what, `annotation ${quote(key)} is no text`);
    read[key] = text;
  }
  return ok(read);
}

function descriptorJson(descriptor: OciDescriptor): Record<string, unknown> {
  const { mediaType, digest, size, data, annotations } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(data === null ? {} : { data: encodeBase64(data) }),
    ...annotationsJson(annotations),
  };
}

function annotationsJson(annotations: Annotations): { annotations?: Annotations } {
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

function wrongType(what: string, found: Json | undefined, expected: string): Refused {
  const shown = typeof found === 'string' ? quote(found) : 'none';
  return refuse('format.media-type', { what, found: shown, expected });
}

function bad(what: string, reason: string): Refused {
  return refuse('format.oci', { what, reason });
}
