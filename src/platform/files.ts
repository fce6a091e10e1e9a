/**
 * Files, by directory handles. Under a target root every operation goes through a handle that was
 * opened component by component with O_NOFOLLOW (check 17): a name given to a handle is one
 * component, never a path. Nothing is durable before `sync`; a rename counts after the directory's.
 * Errors are `platform.*` faults with errno: `platform.no-space`, `platform.read-only`, `platform.io`,
 * `platform.denied`, `platform.not-a-file`, `platform.link` (a symlink in the way), `platform.exists`,
 * `platform.missing`.
 */
import type { Result } from '#errors/fault.ts';

export interface Files {
  /**
   * A directory by absolute path.
   * @param options.create  make missing components with this mode
   * @param options.follow  the path is the owner's (configuration): links in it are followed.
   *                        Default false: each component O_DIRECTORY | O_NOFOLLOW, else `platform.link`.
   * @param options.untouched  with `follow`: files read below it keep their access times, where the
   *                        system lets this process say so: nothing is written to somebody's stick
   */
  open(
    path: string,
    options?: { create?: number; follow?: boolean; untouched?: boolean },
  ): Result<Directory>;
  /** A regular file of the owner's, by path, links followed, at most `cap` bytes. */
  readFile(path: string, cap: number): Result<Uint8Array>;
  /** The canonical path of an existing prefix plus the rest, links resolved. */
  realPath(path: string): Result<string>;
}

export interface Directory {
  /** for messages; not to be opened again */
  readonly path: string;
  close(): void;
  /** fsync of the directory itself. */
  sync(): Result<void>;
  /** @param create  make it with this mode when missing */
  directory(name: string, options?: { create?: number }): Result<Directory>;
  /** lstat; null when there is nothing. */
  stat(name: string): Result<Entry | null>;
  /**
   * @param options.max  ends there, in any order: a directory of strangers may be endless; one that
   *                     takes more room than a KiB for each of them is `platform.too-large`, unread
   */
  list(options?: { max?: number }): Result<readonly string[]>;
  /** Whole content of a regular file; `platform.too-large` past `cap`. */
  read(name: string, cap: number): Result<Uint8Array>;
  /** O_CREAT | O_EXCL | O_NOFOLLOW. */
  create(name: string, mode: number): Result<FileWriter>;
  /** O_APPEND on a regular file, made when missing; position is its size. */
  append(name: string, mode: number): Result<FileWriter>;
  openFile(name: string): Result<FileReader>;
  /** create + write + fsync + close. The rename or `sync` is the caller's. */
  write(name: string, bytes: Uint8Array, mode: number): Result<void>;
  symlink(name: string, pointsTo: string): Result<void>;
  readLink(name: string): Result<string>;
  /** Within this directory, or into another on the same file system. Replaces what is there. */
  rename(from: string, to: string, into?: Directory): Result<void>;
  unlink(name: string): Result<void>;
  removeDirectory(name: string): Result<void>;
  /** A tree, depth first, links removed and never followed. Nothing there: ok. */
  removeTree(name: string): Result<void>;
  /** of a regular file or directory, never through a link */
  chmod(name: string, mode: number): Result<void>;
  chown(name: string, uid: number, gid: number): Result<void>;
  /** Cuts a regular file to nothing, in place: only for logs that a program holds open (O_APPEND). */
  truncate(name: string): Result<void>;
  /** fsync of one entry (file or directory) */
  syncEntry(name: string): Result<void>;
  freeSpace(): Result<{ readonly bytes: number; readonly inodes: number }>;
  /** device number: to see mount points */
  device(): Result<number>;
}

export interface FileWriter {
  /** bytes in the file after all writes so far */
  readonly size: number;
  write(bytes: Uint8Array): Result<void>;
  chmod(mode: number): Result<void>;
  chown(uid: number, gid: number): Result<void>;
  sync(): Result<void>;
  close(): void;
}

export interface FileReader {
  readonly size: number;
  /** Up to `count` bytes from `offset`; empty at the end. */
  read(offset: number, count: number): Result<Uint8Array>;
  close(): void;
}

export interface Entry {
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly size: number;
  /** permission bits with setuid, setgid, sticky */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
  readonly device: number;
}
