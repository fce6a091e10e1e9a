/**
 * A channel in an OCI registry: its tag names the head, lasting tags its numbers; a nudge may name
 * the manifest by digest.
 * From the manifest on, everything is fetched by digest.
 */
import { ok } from '#errors/fault.ts';
import type { Registry } from '#link/registry.ts';
import { type HeadOptions, readArtifact, readHead } from './artifact.ts';
import { readSmallBlob } from './read-blob.ts';
import type { Source, Wanted } from './source.ts';

export function ociRegistry(
  registry: Registry,
  channel: string,
  options: HeadOptions = {},
): Source {
  return {
    name: registry.name,
    via: 'registry',
    peek: (signal) => registry.headManifest(channel, signal),
    head: async (wanted, signal) => {
      const reference = referenceOf(channel, wanted);
      const manifest = await registry.getManifest(reference, signal);
      if (!manifest.ok) return manifest;
      if (manifest.value === null) return ok(null);
      const { bytes, digest } = manifest.value;
      const artifact = readArtifact(bytes, `${registry.name}:${reference}`);
      if (!artifact.ok) return artifact;
      return readHead(
        artifact.value,
        digest,
        (layer, what) => readSmallBlob(registry.blob, { ...layer, what }, signal),
        options,
      );
    },
    blob: registry.blob,
  };
}

function referenceOf(channel: string, wanted: Wanted): string {
  if (wanted === null) return channel;
  return typeof wanted === 'string' ? wanted : `${channel}_${wanted.epoch}_${wanted.sequence}`;
}
