/**
 * Open files. Every open that reads carries O_NONBLOCK and is followed by fstat, so that a FIFO or
 * a device under a file's name is refused instead of waited for. A handle is closed once: a second
 * close would hit whatever the kernel put under that number meanwhile.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { assert, ok, type Result, refuse } from '#errors/fault.ts';
import type { FileReader, FileWriter } from '#platform/files.ts';
import { attempt, errnoRefused } from './errno.ts';

const { O_APPEND, O_CREAT, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } =
  constants;
/** The process's umask takes bits from a mode; a mode it touches is set again after creation. */
const UMASK = process.umask();

export function masked(mode: number): boolean {
  return (mode & UMASK) !== 0;
}

/** Linux: reading leaves the access time alone; for the owner of the file and root only. */
const O_NOATIME = constants.O_NOATIME;

/** @param at  what to open; @param path  what to call it in messages */
export function openReader(at: string, path: string, untouched = false): Result<FileReader> {
  const opened = openUntouched(at, path, { flags: O_RDONLY | O_NOFOLLOW, untouched });
  if (!opened.ok) return opened;
  const { fd, size } = opened.value;
  let open = true;
  return ok({
    size,
    read(offset, count) {
      assert(open, `read of ${path} after close`);
      return attempt('read', path, () => readRange(fd, offset, count, size));
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  });
}

/** Whole content; one read for a file that does not change meanwhile. */
export function readWhole(
  at: string,
  path: string,
  cap: number,
  { follow = false, untouched = false } = {},
): Result<Uint8Array> {
  const flags = O_RDONLY | (follow ? 0 : O_NOFOLLOW);
  const opened = openUntouched(at, path, { flags, untouched });
  if (!opened.ok) return opened;
  const { fd, size } = opened.value;
  try {
    if (size > cap) return refuse('platform.too-large', { path, size, cap });
    // Files of /proc and /sys say 0 and hold more.
    const bytes = readRange(fd, 0, size === 0 ? cap + 1 : size, size);
    if (bytes.length > cap) return refuse('platform.too-large', { path, size: bytes.length, cap });
    return ok(bytes);
  } catch (error) {
    return errnoRefused(error, 'read', path);
  } finally {
    closeSync(fd);
  }
}

export function createWriter(at: string, path: string, mode: number): Result<FileWriter> {
  return attempt('create', path, () => {
    const fd = openSync(at, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    return writerOf(fd, path, masked(mode) ? mode : null, 0);
  });
}

export function appendWriter(at: string, path: string, mode: number): Result<FileWriter> {
  const opened = openRegular(at, path, O_WRONLY | O_APPEND | O_NOFOLLOW);
  if (opened.ok)
    return attempt('open', path, () => writerOf(opened.value.fd, path, null, opened.value.size));
  if (opened.fault.code !== 'platform.missing') return opened;
  return attempt('create', path, () => {
    const fd = openSync(at, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    return writerOf(fd, path, masked(mode) ? mode : null, 0);
  });
}

/** Who may not say so reads all the same. */
function openUntouched(
  at: string,
  path: string,
  { flags, untouched }: { readonly flags: number; readonly untouched: boolean },
): ReturnType<typeof openRegular> {
  const opened = untouched ? openRegular(at, path, flags | O_NOATIME) : null;
  const refused = opened?.ok === false && opened.fault.code === 'platform.denied';
  return opened && !refused ? opened : openRegular(at, path, flags);
}

function openRegular(
  at: string,
  path: string,
  flags: number,
): Result<{ readonly fd: number; readonly size: number }> {
  let fd: number;
  try {
    fd = openSync(at, flags | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    return errnoRefused(error, 'open', path);
  }
  const stat = fstatSync(fd);
  if (stat.isFile()) return ok({ fd, size: stat.size });
  closeSync(fd);
  return refuse('platform.not-a-file', { operation: 'open', path });
}

/** Up to `count` bytes. Stops at the size known from opening: the end needs no call of its own. */
function readRange(fd: number, offset: number, count: number, size: number): Uint8Array {
  const known = size === 0 ? count : Math.min(count, Math.max(size - offset, 4_096));
  const bytes = new Uint8Array(known);
  let got = 0;
  while (got < known) {
    const read = readSync(fd, bytes, got, known - got, offset + got);
    got += read;
    if (read === 0 || offset + got === size) break;
  }
  return got === known ? bytes : bytes.subarray(0, got);
}

function writerOf(fd: number, path: string, exactMode: number | null, start: number): FileWriter {
  let open = true;
  let size = start;
  const call = (operation: string, run: () => void): Result<void> => {
    assert(open, `${operation} of ${path} after close`);
    return attempt(operation, path, run);
  };
  try {
    if (exactMode !== null) fchmodSync(fd, exactMode);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return {
    get size() {
      return size;
    },
    write: (bytes) =>
      call('write', () => {
        let done = 0;
        while (done < bytes.length) {
          const wrote = writeSync(fd, bytes, done, bytes.length - done);
          done += wrote;
          size += wrote;
        }
      }),
    chmod: (mode) => call('chmod', () => fchmodSync(fd, mode)),
    chown: (uid, gid) => call('chown', () => fchownSync(fd, uid, gid)),
    sync: () => call('fsync', () => fsyncSync(fd)),
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}
