/**
 * What the registry asks of a manifest before it keeps it: one of the known media types, strict
 * JSON that agrees with it, and every part it names already in the repository. Bytes are kept and
 * served exactly as they came. Attack rows C01, C02, C06.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { type Digest, parseDigest } from '#state/digest.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from '#wire/strict-json.ts';

export interface CheckedManifest {
  readonly mediaType: string;
  readonly blobs: readonly Digest[];
  readonly manifests: readonly Digest[];
  readonly subject: Digest | null;
  /** as a referrer is listed: its own, else the media type of its config */
  readonly artifactType: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const IMAGES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const INDEXES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
const PARTS_MAX = 10_000;

/** @param contentType  of the request, or null when only the document says what it is */
export function checkManifest(
  bytes: Uint8Array,
  contentType: string | null,
): Result<CheckedManifest> {
  const json = readStrictJson(bytes, 'manifest');
  if (!json.ok) return json;
  const document = json.value;
  if (!isJsonObject(document)) return no('it is no object');
  const own = document.mediaType;
  if (own !== undefined && typeof own !== 'string') return no('mediaType is no text');
  const mediaType = contentType ?? own;
  if (mediaType === undefined) return no('neither it nor the request says what it is');
  if (own !== undefined && own !== mediaType) {
    return no(`it says ${own}, the request ${mediaType}`);
  }
  const image = IMAGES.includes(mediaType);
  if (!image && !INDEXES.includes(mediaType)) return no(`${mediaType} is not kept here`);
  if ((document.manifests !== undefined) === image || (document.layers !== undefined) !== image) {
    return no(image ? 'an image has layers, no manifests' : 'an index has manifests, no layers');
  }
  return partsOf(document, mediaType, image);
}

function partsOf(document: JsonObject, mediaType: string, image: boolean): Result<CheckedManifest> {
  const config = image ? digestsOf([document.config]) : ok([]);
  const parts = digestsOf(image ? document.layers : document.manifests);
  const subjects = document.subject === undefined ? ok([]) : digestsOf([document.subject]);
  if (!config.ok) return config;
  if (!parts.ok) return parts;
  if (!subjects.ok) return subjects;
  const configType = isJsonObject(document.config) ? document.config.mediaType : undefined;
  const artifactType = document.artifactType ?? configType;
  return ok({
    mediaType,
    blobs: image ? [...config.value, ...parts.value] : [],
    manifests: image ? [] : parts.value,
    subject: subjects.value[0] ?? null,
    artifactType: typeof artifactType === 'string' ? artifactType : '',
    annotations: annotationsOf(document.annotations),
  });
}

function annotationsOf(json: Json | undefined): Readonly<Record<string, string>> {
  const texts = Object.entries(isJsonObject(json) ? json : {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  );
  return Object.fromEntries(texts);
}

function digestsOf(descriptors: Json | undefined | (Json | undefined)[]): Result<Digest[]> {
  if (!Array.isArray(descriptors)) return no('a list of descriptors is missing');
  if (descriptors.length > PARTS_MAX) return no(`it names more than ${PARTS_MAX} parts`);
  const digests: Digest[] = [];
  for (const descriptor of descriptors) {
    const text = isJsonObject(descriptor) ? descriptor.digest : undefined;
    const digest = typeof text === 'string' ? parseDigest(text) : null;
    if (!digest) return no('a descriptor has no SHA-256 digest');
    digests.push(digest);
  }
  return ok(digests);
}

function no(reason: string) {
  return refuse('hub.manifest', { reason });
}
