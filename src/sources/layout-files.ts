/**
 * The files of an image layout, whether it is a directory or a tar. Below the path that the owner
 * named, no link is followed; a tar is read through its index of offsets (wire/tar-index.ts), never
 * unpacked. Handles are held only while something is read: a stick may be pulled at any time.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, FileReader, Files } from '#platform/files.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import { indexTar, type TarIndex } from '#wire/tar-index.ts';

export interface LayoutFiles {
  /** A file of the layout's top, whole. */
  read(name: 'index.json' | 'oci-layout', cap: number): Result<Uint8Array>;
  /** `platform.missing` when it is not there */
  open(digest: Digest): Result<FileReader>;
  close(): void;
}

/** @returns `source.layout` when the path is neither a directory nor a tar */
export function openLayout(
  files: Pick<Files, 'open' | 'realPath'>,
  path: string,
): Result<LayoutFiles> {
  const real = files.realPath(path);
  if (!real.ok) return real;
  const cut = real.value.lastIndexOf('/');
  const name = real.value.slice(cut + 1);
  if (name === '') return openDirectory(files, real.value);
  const parent = files.open(cut === 0 ? '/' : real.value.slice(0, cut), {
    follow: true,
    untouched: true,
  });
  if (!parent.ok) return parent;
  const opened = openIn(files, parent.value, name, real.value);
  parent.value.close();
  return opened;
}

function openIn(
  files: Pick<Files, 'open'>,
  parent: Directory,
  name: string,
  path: string,
): Result<LayoutFiles> {
  const entry = parent.stat(name);
  if (!entry.ok) return entry;
  if (entry.value === null) {
    return refuse('source.missing', { what: 'the bundle', source: path });
  }
  if (entry.value.kind === 'directory') return openDirectory(files, path);
  if (entry.value.kind !== 'file') {
    return refuse('source.layout', { path, reason: 'it is neither a directory nor a file' });
  }
  const archive = parent.openFile(name);
  return archive.ok ? openArchive(archive.value, path) : archive;
}

function openDirectory(files: Pick<Files, 'open'>, path: string): Result<LayoutFiles> {
  const top = files.open(path, { follow: true, untouched: true });
  if (!top.ok) return top;
  const held: FileReader[] = [];
  return ok({
    read: (name, cap) => top.value.read(name, cap),
    open: (digest) => {
      const reader = openBlob(top.value, digest);
      if (reader.ok) held.push(reader.value);
      return reader;
    },
    close: () => {
      for (const reader of held) reader.close();
      top.value.close();
    },
  });
}

function openBlob(top: Directory, digest: Digest): Result<FileReader> {
  const blobs = top.directory('blobs');
  if (!blobs.ok) return blobs;
  const named = blobs.value.directory('sha256');
  blobs.value.close();
  if (!named.ok) return named;
  const reader = named.value.openFile(hexOf(digest));
  named.value.close();
  return reader;
}

function openArchive(archive: FileReader, path: string): Result<LayoutFiles> {
  const index = indexTar(archive, (reason) => refuse('source.layout', { path, reason }));
  if (!index.ok) {
    archive.close();
    return index;
  }
  return ok({
    read: (name, cap) => {
      const member = openMember(archive, index.value, name);
      if (!member.ok) return member;
      if (member.value.size > cap) return refuse('source.too-large', { what: name, cap });
      return member.value.read(0, member.value.size);
    },
    open: (digest) => openMember(archive, index.value, `blobs/sha256/${hexOf(digest)}`),
    close: () => archive.close(),
  });
}

/** One file inside the archive, as if it were a file. */
function openMember(archive: FileReader, index: TarIndex, name: string): Result<FileReader> {
  const member = index.get(name);
  if (member === undefined) {
    return refuse('platform.missing', { operation: 'open', path: name });
  }
  return ok({
    size: member.size,
    read: (offset, count) => {
      const most = Math.max(0, Math.min(count, member.size - offset));
      return most === 0 ? ok(new Uint8Array()) : archive.read(member.offset + offset, most);
    },
    close: () => undefined,
  });
}
