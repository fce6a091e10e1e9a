/**
 * Writes the OCI image layout of one signed state: everything fsynced under a working name, then
 * one rename. So a folder that has its name is whole, and its number counts as used.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { hexOf, sha256Hasher } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { writeIndex } from '#wire/oci.ts';
import type { Artifact } from './artifact.ts';
import { bytesContent, type Content } from './content.ts';

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const WORKING = '.writing';
const WORKING_INDEX = '.index.json';
const LAYOUT = new TextEncoder().encode('{"imageLayoutVersion":"1.0.0"}');

/**
 * @param parent  absolute, made when missing
 * @param name  of the folder; `platform.exists` when it is there
 * @param tag  for people and for skopeo: `stable_1_57`
 */
export function writeLayout(
  files: Files,
  place: { readonly parent: string; readonly name: string },
  artifact: Artifact,
  tag: string,
): Result<void> {
  const parent = files.open(place.parent, { follow: true, create: FOLDER_MODE });
  if (!parent.ok) return parent;
  try {
    const there = parent.value.stat(place.name);
    if (!there.ok) return there;
    if (there.value) return refuse('platform.exists', existing(place));
    const wrote = writeWorking(parent.value, artifact, tag);
    if (!wrote.ok) return wrote;
    const renamed = parent.value.rename(WORKING, place.name);
    return renamed.ok ? parent.value.sync() : renamed;
  } finally {
    parent.value.close();
  }
}

/**
 * Another artifact of the same state in a layout that is there: what is new first, fsynced, then the
 * index by one rename. A cut leaves the former artifact whole.
 * @param place  absolute
 */
export function addToLayout(
  files: Files,
  place: string,
  artifact: Artifact,
  tag: string,
): Result<void> {
  const folder = files.open(place, { follow: true });
  if (!folder.ok) return folder;
  try {
    const added = below(folder.value, 'blobs', (kinds) =>
      below(kinds, 'sha256', (into) => addBlobs(into, artifact)),
    );
    if (!added.ok) return added;
    const swept = folder.value.removeTree(WORKING_INDEX);
    if (!swept.ok) return swept;
    const wrote = folder.value.write(WORKING_INDEX, layoutIndex(artifact, tag), FILE_MODE);
    if (!wrote.ok) return wrote;
    const renamed = folder.value.rename(WORKING_INDEX, 'index.json');
    return renamed.ok ? folder.value.sync() : renamed;
  } finally {
    folder.value.close();
  }
}

/** Those that are not there: under a working name first, so that what has its name is whole. */
function addBlobs(into: Directory, { manifest, contents }: Artifact): Result<void> {
  for (const content of [...contents, bytesContent(manifest)]) {
    const name = hexOf(content.digest);
    const there = into.stat(name);
    if (!there.ok) return there;
    if (there.value) continue;
    const swept = into.removeTree(WORKING);
    if (!swept.ok) return swept;
    const wrote = writeContent(into, content, WORKING);
    if (!wrote.ok) return wrote;
    const renamed = into.rename(WORKING, name);
    if (!renamed.ok) return renamed;
  }
  return ok(undefined);
}

/** The index beside the blobs: one manifest. */
export function layoutIndex({ manifest, manifestDigest }: Artifact, tag: string): Uint8Array {
  return writeIndex([
    {
      mediaType: MEDIA.ociManifest,
      digest: manifestDigest,
      size: manifest.length,
      data: null,
      annotations: { 'org.opencontainers.image.ref.name': tag },
    },
  ]);
}

export function layoutFile(): Uint8Array {
  return LAYOUT.slice();
}

function existing({ parent, name }: { readonly parent: string; readonly name: string }) {
  return { operation: 'create', path: `${parent}/${name}` };
}

/** What a cut left behind is removed first: it never had a name. */
function writeWorking(parent: Directory, artifact: Artifact, tag: string): Result<void> {
  const removed = parent.removeTree(WORKING);
  if (!removed.ok) return removed;
  const made = below(parent, WORKING, (folder) => {
    const blobs = below(folder, 'blobs', (kinds) =>
      below(kinds, 'sha256', (into) => writeBlobs(into, artifact)),
    );
    if (!blobs.ok) return blobs;
    const layout = folder.write('oci-layout', LAYOUT, FILE_MODE);
    if (!layout.ok) return layout;
    return folder.write('index.json', layoutIndex(artifact, tag), FILE_MODE);
  });
  return made;
}

/** Makes a directory, fills it, fsyncs it, closes it. */
function below(
  parent: Directory,
  name: string,
  fill: (directory: Directory) => Result<void>,
): Result<void> {
  const directory = parent.directory(name, { create: FOLDER_MODE });
  if (!directory.ok) return directory;
  try {
    const filled = fill(directory.value);
    return filled.ok ? directory.value.sync() : filled;
  } finally {
    directory.value.close();
  }
}

function writeBlobs(into: Directory, { manifest, contents }: Artifact): Result<void> {
  for (const content of [...contents, bytesContent(manifest)]) {
    const wrote = writeContent(into, content);
    if (!wrote.ok) return wrote;
  }
  return ok(undefined);
}

function writeContent(
  into: Directory,
  content: Content,
  name: string = hexOf(content.digest),
): Result<void> {
  const file = into.create(name, FILE_MODE);
  if (!file.ok) return file;
  const hasher = sha256Hasher();
  try {
    for (const chunk of content.chunks()) {
      if (!chunk.ok) return chunk;
      hasher.update(chunk.value);
      const wrote = file.value.write(chunk.value);
      if (!wrote.ok) return wrote;
    }
    // what was described is what lies here, whoever wrote to the file in between
    if (hasher.digest() !== content.digest) {
      return refuse('publish.changed-meanwhile', { path: `${into.path}/${name}` });
    }
    return file.value.sync();
  } finally {
    file.value.close();
  }
}
