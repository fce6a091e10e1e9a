/**
 * Removes a tree below a descriptor: links are removed and never followed, mount points are never
 * entered (attack row D21), and neither the stack nor the handles grow with the tree's depth: what
 * lies deeper than DEPTH is moved up to the top of the tree and removed from there.
 */
import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { errnoOf, errnoRefused } from './errno.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = constants;
const O_PATH = 0o10000000;
const DEPTH = 24;
const ATTEMPTS_MAX = 5;

interface Walk {
  readonly path: string;
  readonly mount: string;
  readonly top: number;
  /** directories moved up to the top, still to be removed */
  readonly moved: Buffer[];
  count: number;
}

/**
 * Nothing there: ok. Somebody else who removes the same tree at the same time is no error.
 * @param parent  descriptor of the directory that holds `name`; @param path  for messages
 */
export function removeTree(parent: number, name: string, path: string): Result<void> {
  const at = below(parent, Buffer.from(name));
  for (let attempts = 0; ; attempts++) {
    try {
      return unlinked(at) ? ok() : removeAt(at, mountOf(parent), path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || attempts === ATTEMPTS_MAX) {
        return errnoRefused(error, 'remove', path);
      }
    }
  }
}

function removeAt(at: Buffer, mount: string, path: string): Result<void> {
  const top = openToClear(at);
  try {
    const walk: Walk = { path, mount, top, moved: [], count: 0 };
    let done = clear(top, walk, 0);
    for (let next = walk.moved.pop(); done.ok && next; next = walk.moved.pop()) {
      done = removeDirectory(top, next, walk, 0);
    }
    if (!done.ok) return done;
  } finally {
    closeSync(top);
  }
  rmdirSync(at);
  return ok();
}

function clear(fd: number, walk: Walk, depth: number): Result<void> {
  if (mountOf(fd) !== walk.mount) return mounted(walk);
  for (const name of readdirSync(`/proc/self/fd/${fd}`, { encoding: 'buffer' })) {
    if (unlinked(below(fd, name))) continue;
    const done =
      depth < DEPTH ? removeDirectory(fd, name, walk, depth + 1) : moveUp(fd, name, walk);
    if (!done.ok) return done;
  }
  return ok();
}

function removeDirectory(fd: number, name: Buffer, walk: Walk, depth: number): Result<void> {
  const at = below(fd, name);
  const inner = openToClear(at);
  try {
    const done = clear(inner, walk, depth);
    if (!done.ok) return done;
  } finally {
    closeSync(inner);
  }
  rmdirSync(at);
  return ok();
}

function moveUp(fd: number, name: Buffer, walk: Walk): Result<void> {
  const from = below(fd, name);
  for (;;) {
    const to = Buffer.from(`.moved-up-${walk.count++}`);
    try {
      renameSync(from, below(walk.top, to));
      walk.moved.push(to);
      return ok();
    } catch (error) {
      // The name was taken by something of the tree's own.
      if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(errnoOf(error))) throw error;
    }
  }
}

/** True when it is gone; false when it is a directory. Unlink first: one call for every file. */
function unlinked(at: Buffer): boolean {
  try {
    unlinkSync(at);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT') return true;
    if (errno === 'EISDIR' || (errno === 'EPERM' && isDirectory(at))) return false;
    throw error;
  }
}

/** Some file systems answer EPERM to unlink of a directory, as POSIX says. */
function isDirectory(at: Buffer): boolean {
  const fd = openSync(at, O_PATH | O_NOFOLLOW);
  try {
    return fstatSync(fd).isDirectory();
  } finally {
    closeSync(fd);
  }
}

/** Opens a directory so that its entries can be removed, whatever its mode was. */
function openToClear(at: Buffer): number {
  try {
    const fd = openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (process.geteuid?.() !== 0) fchmodSync(fd, 0o700);
    return fd;
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error;
  }
  const place = openSync(at, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  try {
    chmodSync(`/proc/self/fd/${place}`, 0o700);
    return openSync(`/proc/self/fd/${place}`, O_RDONLY | O_DIRECTORY);
  } finally {
    closeSync(place);
  }
}

/** The mount a descriptor lies on: a bind mount has its parent's device number, but not this id. */
function mountOf(fd: number): string {
  return /^mnt_id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? '';
}

function mounted(walk: Walk): Refused {
  return refuse('platform.mount', { operation: 'remove', path: walk.path });
}

/** Names that are no UTF-8 must be removable too: bytes, not text. */
function below(fd: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]);
}
