/** The file system: opening by path. What happens below an open directory is in directory.ts. */
import { closeSync, constants, lstatSync, mkdirSync, openSync, readlinkSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { directoryOf, joined, makeDirectory, openDirectory } from './directory.ts';
import { attempt } from './errno.ts';
import { readWhole } from './file-handles.ts';

const { O_DIRECTORY, O_RDONLY } = constants;
/** Names a place without opening it: passing through a directory needs no right to list it. */
const O_PATH = 0o10000000;
/** as the kernel's MAXSYMLINKS */
const LINKS_MAX = 40;

export function systemFiles(): Files {
  return {
    open: (path, options) => {
      const components = componentsOf(path);
      if (components === null) return refuse('platform.name', { operation: 'open', name: path });
      return options?.follow === true
        ? openFollowing(path, options)
        : openStrictly(components, options?.create);
    },
    readFile: (path, cap) => readWhole(path, path, cap, { follow: true }),
    realPath: (path) => realPath(path),
  };
}

/** Components of an absolute path; null with `..` or NUL, or when it is relative. */
function componentsOf(path: string): readonly string[] | null {
  if (!isAbsolute(path) || path.includes('\0')) return null;
  const components = path.split('/').filter((part) => part !== '' && part !== '.');
  return components.includes('..') ? null : components;
}

function openFollowing(
  path: string,
  { create, untouched = false }: { create?: number; untouched?: boolean },
): Result<Directory> {
  return attempt('open', path, () => {
    if (create !== undefined) mkdirSync(path, { recursive: true, mode: create });
    return directoryOf(openSync(path, O_RDONLY | O_DIRECTORY), path, untouched);
  });
}

/** From the root down, each component O_DIRECTORY | O_NOFOLLOW below the one before (check 17). */
function openStrictly(
  components: readonly string[],
  create: number | undefined,
): Result<Directory> {
  let path = '/';
  const root = attempt('open', '/', () =>
    openSync('/', O_DIRECTORY | (components.length === 0 ? O_RDONLY : O_PATH)),
  );
  if (!root.ok) return root;
  let fd = root.value;
  for (const [index, name] of components.entries()) {
    path = joined(path, name);
    const flags = index === components.length - 1 ? O_RDONLY : O_PATH;
    const next = openOrMake(`/proc/self/fd/${fd}/${name}`, path, flags, create);
    closeSync(fd);
    if (!next.ok) return next;
    fd = next.value;
  }
  return ok(directoryOf(fd, path));
}

function openOrMake(
  at: string,
  path: string,
  flags: number,
  create: number | undefined,
): Result<number> {
  const opened = openDirectory(at, path, flags);
  if (opened.ok || create === undefined || opened.fault.code !== 'platform.missing') return opened;
  const made = makeDirectory(at, path, create);
  return made.ok ? openDirectory(at, path, flags) : made;
}

/**
 * Like realpath(3), but what does not exist yet keeps its name, and a link to nothing counts as
 * what it points to: a target must not reach a protected place by a link that dangles today.
 */
function realPath(path: string): Result<string> {
  if (!isAbsolute(path) || path.includes('\0')) {
    return refuse('platform.name', { operation: 'resolve', name: JSON.stringify(path) });
  }
  return attempt('resolve', path, () => {
    const left = path.split('/').reverse();
    let real = '/';
    let links = 0;
    for (let part = left.pop(); part !== undefined; part = left.pop()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        real = real.slice(0, real.lastIndexOf('/')) || '/';
        continue;
      }
      const next = joined(real, part);
      const stat = lstatSync(next, { throwIfNoEntry: false });
      if (stat?.isSymbolicLink() !== true) {
        real = next;
        continue;
      }
      links += 1;
      if (links > LINKS_MAX) throw Object.assign(new Error('ELOOP'), { code: 'ELOOP' });
      const target = readlinkSync(next);
      if (isAbsolute(target)) real = '/';
      left.push(...target.split('/').reverse());
    }
    return real;
  });
}
