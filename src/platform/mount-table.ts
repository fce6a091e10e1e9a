/**
 * The kernel's table of mounts: what kind of file system holds a path, and whether it takes writes.
 * @see proc_pid_mountinfo(5)
 */
import type { Files } from './files.ts';

const TABLE = '/proc/self/mountinfo';
const TABLE_BYTES = 1024 * 1024;

export interface MountPoint {
  readonly path: string;
  /** of the file system, such as ext4 or tmpfs */
  readonly type: string;
  readonly readOnly: boolean;
}

/** Null: the kernel does not say. */
export function readMounts(files: Files): readonly MountPoint[] | null {
  const bytes = files.readFile(TABLE, TABLE_BYTES);
  return bytes.ok ? parseMountTable(Buffer.from(bytes.value).toString('utf8')) : null;
}

/** Pure. Lines that are none are left out; blanks stand as \040. */
export function parseMountTable(text: string): readonly MountPoint[] {
  return text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const fields = left.split(' ');
    const [path, options] = [fields[4], fields[5]];
    if (path === undefined || options === undefined) return [];
    const [type = '', , ofFileSystem = ''] = right.split(' ');
    return [{ path: plain(path), type, readOnly: isReadOnly(options) || isReadOnly(ofFileSystem) }];
  });
}

/**
 * A later mount over the same place hides the earlier one.
 * @param path  absolute, links resolved
 */
export function mountOf(table: readonly MountPoint[], path: string): MountPoint | null {
  let found: MountPoint | null = null;
  for (const mount of table) {
    const inside = mount.path === '/' || path === mount.path || path.startsWith(`${mount.path}/`);
    if (inside && (!found || mount.path.length >= found.path.length)) found = mount;
  }
  return found;
}

function isReadOnly(options: string): boolean {
  return options.split(',').includes('ro');
}

function plain(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
