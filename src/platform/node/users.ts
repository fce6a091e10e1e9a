/** Users and groups from /etc/passwd and /etc/group: what a device has, with no name service. */
import { readFileSync } from 'node:fs';
import { ok, type Result, refuse } from '#errors/fault.ts';

const DECIMAL = /^(?:0|[1-9]\d{0,9})$/;

export interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

const SYSTEM: UserFiles = { passwd: '/etc/passwd', group: '/etc/group' };

/**
 * uid and gid of a user by name or decimal id. Without a group it is the user's own; a decimal id
 * that nobody has stands for itself, as in containers.
 */
export function findUser(
  user: string,
  group: string | null,
  files: UserFiles = SYSTEM,
): Result<{ readonly uid: number; readonly gid: number }> {
  const entry = findLine(files.passwd, user);
  const uid = entry === null ? decimal(user) : decimal(entry[2] ?? '');
  if (uid === null) return refuse('platform.no-user', { kind: 'user', name: shown(user) });
  const gid =
    group === null ? (entry === null ? uid : decimal(entry[3] ?? '')) : findGroup(group, files);
  if (gid === null) {
    return refuse('platform.no-user', { kind: 'group', name: shown(group ?? `of ${user}`) });
  }
  return ok({ uid, gid });
}

/** gid of a group by name or decimal id, or null. */
export function findGroup(group: string, files: UserFiles = SYSTEM): number | null {
  const entry = findLine(files.group, group);
  return entry === null ? decimal(group) : decimal(entry[2] ?? '');
}

/** By name first, as chown(1) does; then by the number in the third field. */
function findLine(file: string, wanted: string): readonly string[] | null {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return null;
  }
  const lines = text.split('\n').map((line) => line.split(':'));
  const byName = lines.find(([name]) => name !== '' && name === wanted);
  if (byName !== undefined) return byName;
  return DECIMAL.test(wanted) ? (lines.find((fields) => fields[2] === wanted) ?? null) : null;
}

/** Ids up to 2^32 - 2; the last one means "unchanged" to chown(2). */
function decimal(text: string): number | null {
  return DECIMAL.test(text) && Number(text) < 0xffff_ffff ? Number(text) : null;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 64));
}
