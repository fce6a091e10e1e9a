/**
 * An image layout in one tar file (`oci-archive:`): written as a stream, read by offsets
 * (wire/tar-index.ts), so that a bundle may be larger than memory.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { FileReader, Files, FileWriter } from '#platform/files.ts';
import { hexOf } from '#state/digest.ts';
import { BLOCK, SIZE_MAX, writeHeader } from '#wire/tar-header.ts';
import { indexTar } from '#wire/tar-index.ts';
import type { Artifact } from './artifact.ts';
import { bytesContent, type Content, readerChunks } from './content.ts';
import { layoutFile, layoutIndex } from './layout.ts';
import type { LayoutFiles } from './layout-files.ts';
import { splitLast } from './place.ts';

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

/** Under a working name beside it, fsynced, renamed: a bundle that is there is whole. */
export function writeArchive(
  files: Files,
  path: string,
  artifact: Artifact,
  tag: string,
): Result<void> {
  const { directory, name } = splitLast(path);
  const folder = files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  const working = `.${name}.writing`;
  try {
    const stale = folder.value.removeTree(working);
    if (!stale.ok) return stale;
    const file = folder.value.create(working, FILE_MODE);
    if (!file.ok) return file;
    const wrote = writeEntries(file.value, artifact, tag);
    file.value.close();
    if (!wrote.ok) return wrote;
    const renamed = folder.value.rename(working, name);
    return renamed.ok ? folder.value.sync() : renamed;
  } finally {
    folder.value.close();
  }
}

function writeEntries(file: FileWriter, artifact: Artifact, tag: string): Result<void> {
  const { manifest, contents } = artifact;
  const blobs = [...contents, bytesContent(manifest)].map(
    (content) => [`blobs/sha256/${hexOf(content.digest)}`, content] as const,
  );
  const entries: readonly (readonly [string, Content | null])[] = [
    ['oci-layout', bytesContent(layoutFile())],
    ['index.json', bytesContent(layoutIndex(artifact, tag))],
    ['blobs/', null],
    ['blobs/sha256/', null],
    ...blobs.sort(([a], [b]) => (a < b ? -1 : 1)),
  ];
  for (const [path, content] of entries) {
    const wrote = writeEntry(file, path, content);
    if (!wrote.ok) return wrote;
  }
  const end = file.write(new Uint8Array(2 * BLOCK));
  return end.ok ? file.sync() : end;
}

function writeEntry(file: FileWriter, path: string, content: Content | null): Result<void> {
  const size = content?.size ?? 0;
  if (size > SIZE_MAX) return refuse('publish.too-large', { what: path, size, most: SIZE_MAX });
  const [type, mode] = content ? (['0', FILE_MODE] as const) : (['5', FOLDER_MODE] as const);
  const head = file.write(writeHeader({ type, path, mode, size }));
  if (!head.ok || !content) return head;
  const start = file.size;
  for (const chunk of content.chunks()) {
    if (!chunk.ok) return chunk;
    const wrote = file.write(chunk.value);
    if (!wrote.ok) return wrote;
  }
  if (file.size - start !== size) return refuse('publish.changed-meanwhile', { path });
  return file.write(new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK));
}

/** Reads the headers once; blobs are then found by their offsets. */
export function openArchive(files: Files, path: string): Result<LayoutFiles> {
  const reader = openReader(files, path);
  if (!reader.ok) return reader;
  const bad = (reason: string) => refuse('publish.bundle', { bundle: path, reason });
  const entries = indexTar(reader.value, bad);
  reader.value.close();
  if (!entries.ok) return entries;
  const find = (name: string) => entries.value.get(name);
  const missing = (name: string) =>
    refuse('publish.bundle', { bundle: path, reason: `it has no ${name}` });
  return ok({
    read(name, cap) {
      const entry = find(name);
      if (!entry) return missing(name);
      if (entry.size > cap) {
        return refuse('publish.too-large', { what: name, size: entry.size, most: cap });
      }
      const opened = openReader(files, path);
      if (!opened.ok) return opened;
      const bytes = opened.value.read(entry.offset, entry.size);
      opened.value.close();
      return bytes;
    },
    *chunks(name, size) {
      const entry = find(name);
      if (!entry || entry.size !== size) return yield missing(name);
      const opened = openReader(files, path);
      if (!opened.ok) return yield opened;
      yield* readerChunks(opened.value, entry.offset, size);
    },
  });
}

function openReader(files: Files, path: string): Result<FileReader> {
  const { directory, name } = splitLast(path);
  const folder = files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  const reader = folder.value.openFile(name);
  folder.value.close();
  return reader;
}
