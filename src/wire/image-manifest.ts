/**
 * Manifests of container images and of packages of components, as other people's tools write them:
 * OCI's and Docker's types, an index told from an image by its type and its members alike, never
 * both. States of ours are read by oci.ts, which is stricter.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from './strict-json.ts';

export interface ImagePart {
  readonly mediaType: string;
  readonly digest: Digest;
  /** bytes */
  readonly size: number;
}

export interface ImageManifest {
  readonly kind: 'image';
  readonly artifactType: string;
  readonly config: ImagePart;
  readonly layers: readonly ImagePart[];
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ImageIndex {
  readonly kind: 'index';
  readonly manifests: readonly (ImagePart & { readonly platform: string; readonly name: string })[];
}

const IMAGE = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const INDEX = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
/** what `Accept` says */
export const IMAGE_TYPES: readonly string[] = [...IMAGE, ...INDEX];

const LAYERS_MAX = 512;
const MANIFESTS_MAX = 256;
const NAMES = ['io.containerd.image.name', 'org.opencontainers.image.ref.name'];

/** @param name  for messages */
export function readImageManifest(
  bytes: Uint8Array,
  name: string,
): Result<ImageManifest | ImageIndex> {
  const bad = (reason: string) => refuse('package.format', { name, reason });
  if (bytes.length > LIMITS.manifestBytes) return bad('its manifest is too long');
  const read = readStrictJson(bytes, name);
  if (!read.ok) return bad('its manifest is no JSON that every reader reads alike');
  const { value } = read;
  if (!isJsonObject(value) || value.schemaVersion !== 2) return bad('schemaVersion is not 2');
  const { mediaType, manifests, layers } = value;
  const isIndex = manifests !== undefined;
  if (isIndex === (layers !== undefined)) return bad('it is neither an image nor an index');
  const types = isIndex ? INDEX : IMAGE;
  if (mediaType !== undefined && !(typeof mediaType === 'string' && types.includes(mediaType))) {
    return bad('its mediaType is none of an image');
  }
  const made = isIndex ? indexOf(manifests) : imageOf(value);
  return made === null ? bad('a descriptor in its manifest is not well-formed') : ok(made);
}

function imageOf(value: JsonObject): ImageManifest | null {
  const { artifactType, config, layers, annotations } = value;
  const part = partOf(config);
  if (part === null || !Array.isArray(layers) || layers.length > LAYERS_MAX) return null;
  const read = (layers as readonly Json[]).map(partOf);
  if (read.some((layer) => layer === null)) return null;
  return {
    kind: 'image',
    artifactType: typeof artifactType === 'string' ? artifactType : part.mediaType,
    config: part,
    layers: read.flatMap((layer) => layer ?? []),
    annotations: textsOf(annotations),
  };
}

function indexOf(manifests: Json): ImageIndex | null {
  if (!Array.isArray(manifests) || manifests.length > MANIFESTS_MAX) return null;
  const read = (manifests as readonly Json[]).map((item) => {
    const part = partOf(item);
    if (part === null || !isJsonObject(item)) return null;
    const { platform, annotations } = item;
    const { os, architecture, variant } = isJsonObject(platform ?? null)
      ? (platform as JsonObject)
      : ({} as JsonObject);
    const notes = textsOf(annotations);
    const named = NAMES.map((key) => notes[key]).find((each) => each !== undefined) ?? '';
    const text = [os, architecture, variant].filter((each) => typeof each === 'string').join('/');
    return { ...part, platform: text, name: named };
  });
  if (read.some((item) => item === null)) return null;
  return { kind: 'index', manifests: read.flatMap((item) => item ?? []) };
}

function partOf(value: Json | undefined): ImagePart | null {
  if (!isJsonObject(value ?? null)) return null;
  const { mediaType, digest: text, size } = value as JsonObject;
  const digest = typeof text === 'string' ? parseDigest(text) : null;
  const counted = typeof size === 'number' && Number.isSafeInteger(size) && size >= 0;
  if (digest === null || !counted || size > LIMITS.blobBytes) return null;
  return { mediaType: typeof mediaType === 'string' ? mediaType : '', digest, size };
}

function textsOf(value: Json | undefined): Readonly<Record<string, string>> {
  const texts: Record<string, string> = Object.create(null);
  if (!isJsonObject(value ?? null)) return texts;
  for (const [key, text] of Object.entries(value as JsonObject).slice(0, LIMITS.annotationsMax)) {
    if (typeof text === 'string') texts[key] = text;
  }
  return texts;
}

/** The one that fits `linux/amd64`, `linux/arm64`, `linux/arm/v7`; null: none. */
export function forPlatform(
  { manifests }: ImageIndex,
  architecture: string,
): ImageIndex['manifests'][number] | null {
  const wanted = `linux/${architecture}`;
  const exact = manifests.find(({ platform }) => platform === wanted);
  const near = manifests.find(({ platform }) => platform.startsWith(`${wanted}/`));
  const [only, ...more] = manifests;
  const unnamed = only && more.length === 0 && only.platform === '' ? only : null;
  return exact ?? near ?? unnamed;
}

/** A package of a component: `type` as artifactType, one layer of `layerType`. */
export function packageLayer(
  bytes: Uint8Array,
  name: string,
  { type, layerType }: { readonly type: string; readonly layerType: string },
): Result<ImagePart> {
  const bad = (reason: string) => refuse('package.format', { name, reason });
  const manifest = readImageManifest(bytes, name);
  if (!manifest.ok) return manifest;
  if (manifest.value.kind !== 'image') return bad('it is an index, not a package');
  const { artifactType, config, layers } = manifest.value;
  if (artifactType !== type && config.mediaType !== type) {
    return bad(`its type is not ${type}`);
  }
  const found = layers.filter(({ mediaType }) => mediaType === layerType);
  const [layer] = found;
  if (!layer || found.length > 1) return bad(`it has not exactly one layer of type ${layerType}`);
  return ok(layer);
}
