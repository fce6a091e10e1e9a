/**
 * An image layout in one tar file (`oci-archive:`): written as a stream, read by offsets, so that a
 * bundle may be larger than memory. Only plain files and directories are looked at.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { FileReader, Files, FileWriter } from '#platform/files.ts';
import { hexOf } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import {
  BLOCK,
  PAX_BYTES_MAX,
  readHeader,
  readPax,
  SIZE_MAX,
  writeHeader,
} from '#wire/tar-header.ts';
import type { Artifact } from './artifact.ts';
import { bytesContent, type Content, readerChunks } from './content.ts';
import { layoutFile, layoutIndex } from './layout.ts';
import { splitLast } from './place.ts';
import type { LayoutFiles } from './shelf.ts';

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
/** headers looked at: all blobs of a state and the few files around them */
const ENTRIES_MAX = LIMITS.layersMax * LIMITS.layoutManifestsMax;

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
  const entries = readEntries(reader.value, path);
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

interface ArchiveEntry {
  readonly offset: number;
  readonly size: number;
}

function readEntries(reader: FileReader, path: string): Result<ReadonlyMap<string, ArchiveEntry>> {
  const bad = (reason: string) => refuse('publish.bundle', { bundle: path, reason });
  const entries = new Map<string, ArchiveEntry>();
  let offset = 0;
  for (let count = 0; offset + BLOCK <= reader.size; count += 1) {
    if (count > ENTRIES_MAX) return bad(`it has more than ${ENTRIES_MAX} entries`);
    const block = reader.read(offset, BLOCK);
    if (!block.ok) return block;
    if (block.value.every((byte) => byte === 0)) return ok(entries);
    const header = readHeader(block.value, true);
    if ('reason' in header) return bad(header.reason);
    const { type, size } = header;
    offset += BLOCK;
    if (offset + size > reader.size) return bad('it is cut');
    const name = header.path.replace(/^\.\//, '');
    if (type === '0' || type === '\0') {
      if (entries.has(name)) return bad(`it has ${JSON.stringify(name)} twice`);
      entries.set(name, { offset, size });
    } else if (type === 'x' || type === 'g') {
      const why = whyRenaming(reader, offset, size);
      if (why !== null) return bad(why);
    } else if (type !== '5') return bad('it has entries that are no files');
    offset += Math.ceil(size / BLOCK) * BLOCK;
  }
  return bad('its end is missing');
}

/** Times and owners beside an entry change nothing; a name in there would. */
function whyRenaming(reader: FileReader, offset: number, size: number): string | null {
  if (size > PAX_BYTES_MAX) return 'an extended header is too long';
  const records = reader.read(offset, size);
  if (!records.ok) return records.fault.message;
  const extended = readPax(records.value);
  if ('reason' in extended) return extended.reason;
  return extended.path === null ? null : 'an extended header renames an entry';
}

function openReader(files: Files, path: string): Result<FileReader> {
  const { directory, name } = splitLast(path);
  const folder = files.open(directory, { follow: true });
  if (!folder.ok) return folder;
  const reader = folder.value.openFile(name);
  folder.value.close();
  return reader;
}
