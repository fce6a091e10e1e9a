/**
 * Whether the places that the agent writes to are mounted so that it can: the part of `holdfast doctor`
 * that reads the kernel's table of mounts, and changes nothing to find out.
 * @see proc_pid_mountinfo(5)
 */
import { fault } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, wrong } from './finding.ts';

const TABLE = '/proc/self/mountinfo';
const TABLE_BYTES = 4 * 1024 * 1024;

export interface MountPoint {
  readonly path: string;
  readonly readOnly: boolean;
}

export function readOnlyPlaces(
  files: Files,
  { stateDir, runDir, channel }: Pick<AgentConfig, 'stateDir' | 'runDir' | 'channel'>,
): readonly Finding[] {
  const bytes = files.readFile(TABLE, TABLE_BYTES);
  if (!bytes.ok) return [];
  const table = readMountTable(Buffer.from(bytes.value).toString('utf8'));
  return [stateDir, runDir, ...channel.allow.roots].flatMap((path) => {
    const real = files.realPath(path);
    const mount = mountOf(table, real.ok ? real.value : path);
    if (!mount?.readOnly) return [];
    return [wrong('disk', fault('platform.read-only', { operation: 'write below', path }))];
  });
}

/** Pure. The last entry of a path is the one on top; blanks stand as \040. */
export function readMountTable(text: string): readonly MountPoint[] {
  return text.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const fields = left.split(' ');
    const [path, options] = [fields[4], fields[5]];
    if (path === undefined || options === undefined) return [];
    const ofFileSystem = right.split(' ')[2] ?? '';
    return [{ path: plain(path), readOnly: isReadOnly(options) || isReadOnly(ofFileSystem) }];
  });
}

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
