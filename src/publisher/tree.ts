/**
 * A directory as one blob: tar and gzip without times, owners or odd modes, so that the same files
 * give the same digest on every workstation. What a device would refuse (links, devices, names that
 * clash on some file system) is refused here, before anything is signed.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Entry, Files } from '#platform/files.ts';
import type { Inflate } from '#platform/inflate.ts';
import { LIMITS } from '#state/limits.ts';
import { type TarEntry, writeTar } from '#wire/tar.ts';
import { type SeenPaths, seenPaths, treePath } from '#wire/tar-path.ts';

export interface Tree {
  readonly packed: Uint8Array;
  /** bytes of all files together */
  readonly unpackedSize: number;
}

/** bytes of a tree's files: they are packed in memory */
const TREE_BYTES_MAX = 1024 * 1024 * 1024;
const RATIO_FREE = 1024 * 1024;
const PROGRAM = 0o755;
const PLAIN = 0o644;

interface Walk {
  readonly top: string;
  readonly seen: SeenPaths;
  readonly entries: TarEntry[];
  size: number;
}

/** @param path  absolute, an existing directory */
export function packTree(
  platform: { readonly files: Files; readonly inflate: Inflate },
  path: string,
): Result<Tree> {
  const top = platform.files.open(path, { follow: true });
  if (!top.ok) return top;
  const walk: Walk = { top: path, seen: seenPaths(), entries: [], size: 0 };
  const walked = walkDirectory(walk, top.value, []);
  top.value.close();
  if (!walked.ok) return walked;
  const packed = platform.inflate.gzip(writeTar(walk.entries));
  const most = RATIO_FREE + packed.length * LIMITS.unpackRatioMax;
  if (walk.size > most) {
    const what = `${path}: the ratio of unpacked to packed bytes`;
    const size = Math.ceil(walk.size / packed.length);
    return refuse('publish.too-large', { what, size, most: LIMITS.unpackRatioMax });
  }
  return ok({ packed, unpackedSize: walk.size });
}

function walkDirectory(
  walk: Walk,
  directory: Directory,
  above: readonly string[],
): Result<undefined> {
  const names = directory.list();
  if (!names.ok) return names;
  for (const name of [...names.value].sort()) {
    const stat = directory.stat(name);
    if (!stat.ok) return stat;
    const added = addEntry(walk, directory, [...above, name], stat.value);
    if (!added.ok) return added;
  }
  return ok();
}

function addEntry(
  walk: Walk,
  directory: Directory,
  path: readonly string[],
  stat: Entry | null,
): Result<undefined> {
  const shown = path.join('/');
  const no = (reason: string) =>
    refuse('publish.tree-entry', { path: `${walk.top}/${shown}`, reason });
  if (stat?.kind !== 'file' && stat?.kind !== 'directory') {
    return no(stat?.kind === 'link' ? 'it is a symbolic link' : 'it is no plain file');
  }
  const named = treePath(shown);
  if ('reason' in named) return no(named.reason);
  const seen = walk.seen.add(path, stat.kind);
  if ('reason' in seen) return no(seen.reason);
  if (walk.entries.length >= LIMITS.treeEntriesMax) {
    return no(`a tree has at most ${LIMITS.treeEntriesMax} entries`);
  }
  const name = path.at(-1) ?? '';
  if (stat.kind === 'file') return addFile(walk, directory, name, { path: shown, stat });
  walk.entries.push({ path: shown, mode: PROGRAM, kind: 'directory' });
  const below = directory.directory(name);
  if (!below.ok) return below;
  try {
    return walkDirectory(walk, below.value, path);
  } finally {
    below.value.close();
  }
}

function addFile(
  walk: Walk,
  directory: Directory,
  name: string,
  file: { readonly path: string; readonly stat: Entry },
): Result<undefined> {
  const bytes = directory.read(name, TREE_BYTES_MAX - walk.size);
  if (!bytes.ok) return bytes;
  walk.size += bytes.value.length;
  // like git: a program or not; everything else of the mode is the workstation's
  const mode = (file.stat.mode & 0o100) !== 0 ? PROGRAM : PLAIN;
  walk.entries.push({ path: file.path, mode, kind: 'file', bytes: bytes.value });
  return ok();
}
