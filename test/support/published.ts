/** A state as it is published: manifest and blobs, ready for a layout or a registry. Nothing in it is signed. */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { describe, type OciDescriptor, writeIndex, writeManifest } from '#wire/oci.ts';
import { writeTar } from '#wire/tar.ts';

export interface Published {
  readonly manifest: Uint8Array;
  readonly digest: Digest;
  readonly envelope: Uint8Array;
  readonly roots: readonly Uint8Array[];
  readonly documents: Uint8Array;
  /** everything but the manifest, by digest */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

export interface PublishOptions {
  /** what makes this state another one */
  readonly mark?: string;
  readonly roots?: number;
  readonly files?: readonly Uint8Array[];
  /** envelope and documents beside their descriptors */
  readonly inline?: boolean;
}

const EMPTY = Buffer.from('{}');

export function publishState(options: PublishOptions = {}): Published {
  const { mark = 'a', roots = 0, files = [], inline = false } = options;
  const envelope = Buffer.from(`{"payloadType":"x","payload":"","signatures":[],"mark":"${mark}"}`);
  const documents = Buffer.from(`documents of ${mark}`);
  const chain = Array.from({ length: roots }, (_, index) =>
    Buffer.from(`{"root":${index + 2},"mark":"${mark}"}`),
  );
  const layers = [
    describe(MEDIA.envelope, envelope, { inline }),
    ...chain.map((root) => describe(MEDIA.root, root)),
    describe(MEDIA.documents, documents, { inline }),
    ...files.map((file) => describe(MEDIA.file, file)),
  ];
  const manifest = manifestOf(layers);
  const blobs = new Map(
    [EMPTY, envelope, ...chain, documents, ...files].map((blob) => [sha256(blob), blob]),
  );
  return { manifest, digest: sha256(manifest), envelope, roots: chain, documents, blobs };
}

export function manifestOf(
  layers: readonly OciDescriptor[],
  changes: { artifactType?: string; configType?: string } = {},
): Uint8Array {
  return writeManifest({
    artifactType: changes.artifactType ?? MEDIA.artifact,
    config: describe(changes.configType ?? MEDIA.ociEmpty, EMPTY),
    layers,
    annotations: {},
  });
}

/** Writes an image layout; `names` are the tags that the index gives. */
export function writeLayout(
  directory: string,
  states: readonly { state: Published; name?: string }[],
): void {
  const blobs = join(directory, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (bytes: Uint8Array): void => writeFileSync(join(blobs, hexOf(sha256(bytes))), bytes);
  for (const { state } of states)
    for (const bytes of [state.manifest, ...state.blobs.values()]) put(bytes);
  const entries = states.map(({ state, name }) =>
    describe(MEDIA.ociManifest, state.manifest, {
      annotations: name === undefined ? {} : { 'org.opencontainers.image.ref.name': name },
    }),
  );
  writeFileSync(join(directory, 'index.json'), writeIndex(entries));
  writeFileSync(join(directory, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** The layout in a directory as one tar. */
export function layoutTar(directory: string): Uint8Array {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
  return writeTar(
    paths.map((path) => {
      const isDirectory = statSync(join(directory, path)).isDirectory();
      return isDirectory
        ? { path, mode: 0o755, kind: 'directory' as const }
        : { path, mode: 0o644, kind: 'file' as const, bytes: readFileSync(join(directory, path)) };
    }),
  );
}
