/**
 * Directories by descriptor. `/proc/self/fd/N/name` is what openat(N, name) would be: the kernel
 * starts at the descriptor, so a directory that was moved or replaced by a link after it was opened
 * cannot lead elsewhere (check 17; attack rows D04, D05, D18). Names are one component, links are
 * never followed. Both runtimes open with O_CLOEXEC by themselves.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  opendirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statfsSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { assert, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Directory, Entry } from '#platform/files.ts';
import { attempt, errnoFault, errnoOf } from './errno.ts';
import { appendWriter, createWriter, masked, openReader, readWhole } from './file-handles.ts';
import { removeTree } from './remove-tree.ts';

const { O_DIRECTORY, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** Linux: names a place without opening it; node:fs has no constant for it */
const O_PATH = 0o10000000;
/** room that the longest name takes in a directory of any file system, on sticks too */
const NAME_BYTES = 1024;

/** An open descriptor, its path for messages, and how to name entries below it. */
interface Place {
  readonly path: string;
  /** files below it are read without a trace */
  readonly untouched: boolean;
  /** the descriptor; asserts that it is open */
  fd(): number;
  /** `/proc/self/fd/N/name` for a checked name */
  at(operation: string, name: string): Result<string>;
}

/** descriptors of the directories made here: rename needs the second one's */
const places = new WeakMap<Directory, Place>();

/** Takes over `fd`. */
export function directoryOf(fd: number, path: string, untouched = false): Directory {
  let open = true;
  const place: Place = {
    path,
    untouched,
    fd() {
      assert(open, `the directory ${path} was used after close`);
      return fd;
    },
    at: (operation, name) => entryAt(place, operation, name),
  };
  const directory: Directory = {
    path,
    close() {
      if (open) closeSync(fd);
      open = false;
    },
    sync: () => attempt('fsync', path, () => fsyncSync(place.fd())),
    list: (options) =>
      options?.max === undefined
        ? attempt('list', path, () => readdirSync(`/proc/self/fd/${place.fd()}`).sort())
        : listedUpTo(place, options.max),
    freeSpace: () => attempt('statfs', path, () => freeSpaceAt(place.fd())),
    device: () => attempt('stat', path, () => fstatSync(place.fd()).dev),
    ...entryCalls(place),
    ...fileCalls(place),
    ...placeCalls(place),
  };
  places.set(directory, place);
  return directory;
}

/**
 * Opens one component as a directory.
 * @param at  its place; @param path  its name in messages; @param flags  O_RDONLY or O_PATH
 */
export function openDirectory(at: string, path: string, flags: number): Result<number> {
  try {
    return ok(openSync(at, flags | O_DIRECTORY | O_NOFOLLOW));
  } catch (error) {
    // O_DIRECTORY | O_NOFOLLOW says ENOTDIR for a link too.
    if (errnoOf(error) === 'ENOTDIR' && isLink(at)) {
      return refuse('platform.link', { operation: 'open', path });
    }
    return refused(errnoFault(error, 'open', path));
  }
}

/** Makes one directory with exactly this mode; one that is there is left as it is. */
export function makeDirectory(at: string, path: string, mode: number): Result<void> {
  try {
    mkdirSync(at, mode);
  } catch (error) {
    return errnoOf(error) === 'EEXIST' ? ok() : refused(errnoFault(error, 'mkdir', path));
  }
  return masked(mode) ? onEntry(at, path, 'chmod', (self) => chmodSync(self, mode)) : ok();
}

export function joined(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

function entryAt(place: Place, operation: string, name: string): Result<string> {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    return refuse('platform.name', { operation, name: JSON.stringify(name.slice(0, 80)) });
  }
  return ok(`/proc/self/fd/${place.fd()}/${name}`);
}

/** One call on one entry. */
function onName<T>(
  place: Place,
  operation: string,
  name: string,
  call: (at: string, path: string) => T,
): Result<T> {
  const at = place.at(operation, name);
  if (!at.ok) return at;
  const path = joined(place.path, name);
  return attempt(operation, path, () => call(at.value, path));
}

/** The same for calls that already answer with a result. */
function through<T>(
  place: Place,
  operation: string,
  name: string,
  call: (at: string, path: string) => Result<T>,
): Result<T> {
  const at = place.at(operation, name);
  return at.ok ? call(at.value, joined(place.path, name)) : at;
}

function entryCalls(
  place: Place,
): Pick<Directory, 'stat' | 'unlink' | 'removeDirectory' | 'symlink' | 'readLink' | 'removeTree'> {
  return {
    stat: (name) => onName(place, 'stat', name, (at) => entryOf(at)),
    unlink: (name) => onName(place, 'unlink', name, (at) => unlinkSync(at)),
    removeDirectory: (name) => onName(place, 'rmdir', name, (at) => rmdirSync(at)),
    symlink: (name, pointsTo) => onName(place, 'symlink', name, (at) => symlinkSync(pointsTo, at)),
    readLink: (name) => onName(place, 'readlink', name, (at) => readlinkSync(at)),
    removeTree: (name) =>
      through(place, 'remove', name, (_at, path) => removeTree(place.fd(), name, path)),
  };
}

function fileCalls(
  place: Place,
): Pick<Directory, 'read' | 'create' | 'append' | 'openFile' | 'write'> {
  return {
    read: (name, cap) =>
      through(place, 'read', name, (at, path) => readWhole(at, path, cap, place)),
    create: (name, mode) =>
      through(place, 'create', name, (at, path) => createWriter(at, path, mode)),
    append: (name, mode) =>
      through(place, 'append', name, (at, path) => appendWriter(at, path, mode)),
    openFile: (name) =>
      through(place, 'open', name, (at, path) => openReader(at, path, place.untouched)),
    write: (name, bytes, mode) =>
      through(place, 'create', name, (at, path) => writeWhole(at, path, bytes, mode)),
  };
}

function placeCalls(
  place: Place,
): Pick<Directory, 'directory' | 'rename' | 'chmod' | 'chown' | 'syncEntry' | 'truncate'> {
  return {
    directory: (name, options) =>
      through(place, 'open', name, (at, path) =>
        subdirectory(at, path, { ...options, untouched: place.untouched }),
      ),
    rename(from, to, into) {
      const target = into === undefined ? place : places.get(into);
      assert(target !== undefined, 'rename into a directory of another platform');
      const end = target.at('rename', to);
      if (!end.ok) return end;
      const start = place.at('rename', from);
      if (!start.ok) return start;
      const message = `${joined(place.path, from)} -> ${joined(target.path, to)}`;
      return attempt('rename', message, () => renameSync(start.value, end.value));
    },
    chmod: (name, mode) =>
      through(place, 'chmod', name, (at, path) =>
        onEntry(at, path, 'chmod', (self) => chmodSync(self, mode)),
      ),
    chown: (name, uid, gid) =>
      through(place, 'chown', name, (at, path) =>
        onEntry(at, path, 'chown', (self) => chownSync(self, uid, gid)),
      ),
    syncEntry: (name) => onName(place, 'fsync', name, (at) => syncAt(at)),
    truncate: (name) => onName(place, 'truncate', name, (at) => truncateAt(at)),
  };
}

/** As they come, then sorted. A runtime may read the whole directory at once, so its size is a bound. */
function listedUpTo(place: Place, max: number): Result<readonly string[]> {
  const { path } = place;
  const size = attempt('stat', path, () => fstatSync(place.fd()).size);
  if (!size.ok) return size;
  const cap = max * NAME_BYTES;
  if (size.value > cap) return refuse('platform.too-large', { path, size: size.value, cap });
  return attempt('list', path, () => {
    const names: string[] = [];
    const entries = opendirSync(`/proc/self/fd/${place.fd()}`);
    try {
      while (names.length < max) {
        const entry = entries.readSync();
        if (entry === null) break;
        names.push(entry.name);
      }
    } finally {
      entries.closeSync();
    }
    return names.sort();
  });
}

function subdirectory(
  at: string,
  path: string,
  { create, untouched }: { readonly create?: number; readonly untouched: boolean },
): Result<Directory> {
  let opened = openDirectory(at, path, O_RDONLY);
  if (!opened.ok && opened.fault.code === 'platform.missing' && create !== undefined) {
    const made = makeDirectory(at, path, create);
    if (!made.ok) return made;
    opened = openDirectory(at, path, O_RDONLY);
  }
  return opened.ok ? ok(directoryOf(opened.value, path, untouched)) : opened;
}

function writeWhole(at: string, path: string, bytes: Uint8Array, mode: number): Result<void> {
  const writer = createWriter(at, path, mode);
  if (!writer.ok) return writer;
  const wrote = writer.value.write(bytes);
  const done = wrote.ok ? writer.value.sync() : wrote;
  writer.value.close();
  // Half a file under its final name would look whole to the next reader.
  if (!done.ok) attempt('unlink', path, () => unlinkSync(at));
  return done;
}

/** A call on a regular file or directory itself, whatever stands under its name a moment later. */
function onEntry(
  at: string,
  path: string,
  operation: string,
  call: (self: string) => void,
): Result<void> {
  return withHandle(at, path, operation, (fd) => {
    const stat = fstatSync(fd);
    if (stat.isSymbolicLink()) return refuse('platform.link', { operation, path });
    if (!stat.isFile() && !stat.isDirectory()) {
      return refuse('platform.not-a-file', { operation, path });
    }
    return attempt(operation, path, () => call(`/proc/self/fd/${fd}`));
  });
}

function withHandle(
  at: string,
  path: string,
  operation: string,
  call: (fd: number) => Result<void>,
): Result<void> {
  let fd: number;
  try {
    fd = openSync(at, O_PATH | O_NOFOLLOW);
  } catch (error) {
    return refused(errnoFault(error, operation, path));
  }
  try {
    return call(fd);
  } finally {
    closeSync(fd);
  }
}

function syncAt(at: string): void {
  const fd = openSync(at, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function truncateAt(at: string): void {
  const fd = openSync(at, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  try {
    ftruncateSync(fd, 0);
  } finally {
    closeSync(fd);
  }
}

function entryOf(at: string): Entry | null {
  const stat = lstatSync(at, { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return null;
  const kind = stat.isFile()
    ? 'file'
    : stat.isDirectory()
      ? 'directory'
      : stat.isSymbolicLink()
        ? 'link'
        : 'other';
  return {
    kind,
    size: Number(stat.size),
    mode: Number(stat.mode & 0o7777n),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    inode: stat.ino,
    device: Number(stat.dev),
  };
}

function isLink(at: string): boolean {
  try {
    return lstatSync(at, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
  } catch {
    return false;
  }
}

/** File systems without a table of inodes (btrfs) count 0 of them. */
function freeSpaceAt(fd: number): { readonly bytes: number; readonly inodes: number } {
  const { bavail, bsize, files, ffree } = statfsSync(`/proc/self/fd/${fd}`);
  return { bytes: bavail * bsize, inodes: files === 0 ? Number.MAX_SAFE_INTEGER : ffree };
}
