/**
 * Time statements for everyone beside the states: the tag `time` of a repository, and manifests of
 * that type in a bundle. One layer, DSSE JSON; checks 1–4 on the way. Bytes found, not believed.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { readManifest } from '#wire/oci.ts';
import type { ReadLayer } from './artifact.ts';
import { readSmallBlob } from './read-blob.ts';

/** No channel of a fleet with a role `time` may have this name: it would be the same tag. */
const TIME_TAG = 'time';

/** Exact bytes of the envelope; null: the repository has none. */
export async function taggedTime(
  registry: Pick<Registry, 'name' | 'getManifest' | 'blob'>,
  signal: AbortSignal,
): Promise<Result<Uint8Array | null>> {
  const what = `${registry.name}:${TIME_TAG}`;
  const manifest = await registry.getManifest(TIME_TAG, signal);
  if (!manifest.ok) return manifest;
  if (manifest.value === null) return ok(null);
  return readTime(manifest.value.bytes, what, (layer, name) =>
    readSmallBlob(registry.blob, { ...layer, what: name }, signal),
  );
}

/** @param bytes  of a manifest whose digest is already checked; null: it is of another type */
export async function readTime(
  bytes: Uint8Array,
  what: string,
  read: ReadLayer,
): Promise<Result<Uint8Array | null>> {
  const manifest = readManifest(bytes);
  if (!manifest.ok) return manifest;
  const { artifactType, config, layers } = manifest.value;
  // Check 3
  if (artifactType !== MEDIA.time) return ok(null);
  const bad = (reason: string): Result<null> => refuse('source.artifact', { what, reason });
  if (config.mediaType !== MEDIA.ociEmpty) return bad('its config is not empty');
  const [layer, ...more] = layers;
  if (layer?.mediaType !== MEDIA.time || more.length > 0) return bad('its layer is no time');
  // Check 2
  if (layer.size > 2 * LIMITS.timeBytes) return bad(`a time statement of ${layer.size} bytes`);
  return layer.data === null ? read(layer, `the time statement of ${what}`) : ok(layer.data);
}
