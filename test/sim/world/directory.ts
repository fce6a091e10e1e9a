/**
 * The agent's handles on the simulated disk, by the contract of platform/files.ts: a name is one
 * component, links are not followed below a handle, nothing is durable before `sync`. Each call that
 * changes something is one step (crash.ts).
 */
import { assert, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Directory, Entry, Files } from '#platform/files.ts';
import { change, type Disk, makeIn, missing, roomFor, troubleFault } from './disk.ts';
import { openReader, readWhole, writerOf } from './file-handles.ts';
import { type Inode, sync } from './inode.ts';

const places = new WeakMap<Directory, Inode>();

/** The inode behind a handle: for the engine of the store. */
export function inodeOf(directory: Directory): Inode {
  const inode = places.get(directory);
  assert(inode !== undefined, 'a directory of another platform');
  return inode;
}

export function simFiles(disk: Disk): Files {
  return {
    open: (path, options = {}) => open(disk, path, options),
    readFile(path, cap) {
      disk.steps.alive();
      const inode = disk.find(path);
      if (inode === null) return missing('open', path);
      return readWhole(disk, inode, path, cap);
    },
    realPath(path) {
      disk.steps.alive();
      return ok(disk.resolve(path));
    },
  };
}

function open(
  disk: Disk,
  path: string,
  { create, follow = false }: { create?: number; follow?: boolean },
): Result<Directory> {
  disk.steps.alive();
  if (!path.startsWith('/') || path.split('/').includes('..') || path.includes('\0')) {
    return refuse('platform.name', { operation: 'open', name: path });
  }
  const real = follow ? disk.resolve(path) : path;
  let at = disk.root;
  let walked = '';
  for (const name of real.split('/').filter((part) => part !== '' && part !== '.')) {
    walked += `/${name}`;
    const next = enter(disk, at, { name, path: walked, create });
    if (!next.ok) return next;
    at = next.value;
  }
  return ok(directoryOf(disk, at, path));
}

function enter(
  disk: Disk,
  at: Inode,
  { name, path, create }: { name: string; path: string; create: number | undefined },
): Result<Inode> {
  const found = at.entries.get(name);
  if (found?.kind === 'directory') return ok(found);
  if (found?.kind === 'link') return refuse('platform.link', { operation: 'open', path });
  if (found) return refuse('platform.not-a-directory', { operation: 'open', path });
  if (create === undefined) return missing('open', path);
  return change(disk, 'mkdir', path, () => {
    if (!roomFor(disk, at, 512)) return troubleFault('ENOSPC', 'mkdir', path);
    const made = disk.nodes.make('directory', { mode: create, device: at.device });
    return makeIn(disk, at, name, made);
  });
}

export function directoryOf(disk: Disk, self: Inode, path: string): Directory {
  let closed = false;
  const at = (name: string): string => (path === '/' ? `/${name}` : `${path}/${name}`);
  /** the name's inode, or why the call cannot be */
  const named = <T>(
    operation: string,
    name: string,
    call: (found: Inode | undefined, path: string) => Result<T>,
  ): Result<T> => {
    disk.steps.alive();
    assert(!closed, `the directory ${path} was used after close`);
    if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) {
      return refuse('platform.name', { operation, name: JSON.stringify(name.slice(0, 80)) });
    }
    return call(self.entries.get(name), at(name));
  };
  const place: Place = { disk, self, named, at };
  const directory: Directory = {
    path,
    close() {
      closed = true;
    },
    sync: () => change(disk, 'fsync', path, () => ok(sync(self))),
    list() {
      disk.steps.alive();
      return ok([...self.entries.keys()].sort());
    },
    freeSpace() {
      disk.steps.alive();
      const bytes = self.device === 2 ? 1 << 30 : Math.max(0, disk.capacity - disk.used());
      return ok({ bytes, inodes: 1_000_000 });
    },
    device: () => ok(self.device),
    ...namesOf(place),
    ...contentsOf(place),
  };
  places.set(directory, self);
  return directory;
}

interface Place {
  readonly disk: Disk;
  readonly self: Inode;
  readonly named: <T>(
    operation: string,
    name: string,
    call: (found: Inode | undefined, path: string) => Result<T>,
  ) => Result<T>;
  readonly at: (name: string) => string;
}

function namesOf({
  disk,
  self,
  named,
  at,
}: Place): Pick<
  Directory,
  'directory' | 'symlink' | 'readLink' | 'rename' | 'unlink' | 'removeDirectory' | 'removeTree'
> {
  const place: Place = { disk, self, named, at };
  return {
    directory: (name, options = {}) =>
      named('open', name, (_found, path) => {
        const opened = enter(disk, self, { name, path, create: options.create });
        return opened.ok ? ok(directoryOf(disk, opened.value, path)) : opened;
      }),
    symlink: (name, pointsTo) =>
      named('symlink', name, (found, path) =>
        change(disk, 'symlink', path, () => {
          if (found) return refuse('platform.exists', { operation: 'symlink', path });
          if (!roomFor(disk, self, 256)) return troubleFault('ENOSPC', 'symlink', path);
          const options = { mode: 0o777, device: self.device, target: pointsTo };
          disk.nodes.rename([{ directory: self, name, to: disk.nodes.make('link', options) }]);
          return ok();
        }),
      ),
    readLink: (name) =>
      named('readlink', name, (found, path) => {
        if (!found) return missing('readlink', path);
        if (found.kind === 'link') return ok(found.target);
        return refuse('platform.io', { operation: 'readlink', path, errno: 'EINVAL' });
      }),
    rename: (from, to, into) => named('rename', from, () => rename(place, { from, to, into })),
    unlink: (name) =>
      named('unlink', name, (found, path) => {
        if (!found) return missing('unlink', path);
        if (found.kind === 'directory') {
          return refuse('platform.not-a-file', { operation: 'unlink', path });
        }
        return change(disk, 'unlink', path, () =>
          ok(disk.nodes.rename([{ directory: self, name, to: null }])),
        );
      }),
    removeDirectory: (name) =>
      named('rmdir', name, (found, path) => {
        if (!found) return missing('rmdir', path);
        if (found.kind !== 'directory') {
          return refuse('platform.not-a-directory', { operation: 'rmdir', path });
        }
        return change(disk, 'rmdir', path, () => {
          if (found.entries.size > 0) {
            return refuse('platform.not-empty', { operation: 'rmdir', path });
          }
          disk.nodes.rename([{ directory: self, name, to: null }]);
          return ok();
        });
      }),
    removeTree: (name) =>
      named('remove', name, (found, path) =>
        found ? removeTree(disk, self, { name, path, found }) : ok(),
      ),
  };
}

function rename(
  { disk, self, at }: Place,
  { from, to, into }: { from: string; to: string; into: Directory | undefined },
): Result<void> {
  const target = into === undefined ? self : inodeOf(into);
  const found = self.entries.get(from);
  const path = `${at(from)} -> ${into === undefined ? at(to) : `${into.path}/${to}`}`;
  if (!found) return missing('rename', path);
  const over = target.entries.get(to);
  if (over?.kind === 'directory' && found.kind !== 'directory') {
    return refuse('platform.not-a-file', { operation: 'rename', path });
  }
  if (over && over.kind !== 'directory' && found.kind === 'directory') {
    return refuse('platform.not-a-directory', { operation: 'rename', path });
  }
  if (over?.kind === 'directory' && over !== found && over.entries.size > 0) {
    return refuse('platform.not-empty', { operation: 'rename', path });
  }
  if (target.device !== self.device) {
    return refuse('platform.other-filesystem', { operation: 'rename', path });
  }
  return change(disk, 'rename', path, () => {
    if (target === self && from === to) return ok();
    disk.nodes.rename([
      { directory: self, name: from, to: null },
      { directory: target, name: to, to: found },
    ]);
    return ok();
  });
}

function removeTree(
  disk: Disk,
  directory: Inode,
  { name, path, found }: { name: string; path: string; found: Inode },
): Result<void> {
  if (found.kind === 'directory') {
    for (const below of [...found.entries.keys()].sort()) {
      const inode = found.entries.get(below);
      if (!inode) continue;
      const gone = removeTree(disk, found, { name: below, path: `${path}/${below}`, found: inode });
      if (!gone.ok) return gone;
    }
  }
  return change(disk, 'unlink', path, () => ok(disk.nodes.rename([{ directory, name, to: null }])));
}

function contentsOf({
  disk,
  self,
  named,
}: Place): Omit<
  Directory,
  keyof ReturnType<typeof namesOf> | 'path' | 'close' | 'sync' | 'list' | 'freeSpace' | 'device'
> {
  const create = (name: string, mode: number) =>
    named('create', name, (found, path) =>
      change(disk, 'create', path, () => {
        if (found) return refuse('platform.exists', { operation: 'create', path });
        if (!roomFor(disk, self, 512)) return troubleFault('ENOSPC', 'create', path);
        const file = disk.nodes.make('file', { mode, device: self.device });
        disk.nodes.rename([{ directory: self, name, to: file }]);
        return ok(writerOf(disk, file, path));
      }),
    );
  const plain = (operation: string, name: string) =>
    named(operation, name, (found, path) => {
      if (!found) return missing(operation, path);
      return found.kind === 'link' ? refuse('platform.link', { operation, path }) : ok(found);
    });
  const alter = (operation: string, name: string, call: (inode: Inode) => void) => {
    const found = plain(operation, name);
    if (!found.ok) return refused(found.fault);
    return change(disk, operation, `${name}`, () => ok(call(found.value)));
  };
  return {
    stat: (name) => named('stat', name, (found) => ok(found ? entryOf(found) : null)),
    read: (name, cap) =>
      named('read', name, (found, path) => {
        if (!found) return missing('read', path);
        return readWhole(disk, found, path, cap);
      }),
    create,
    append(name, mode) {
      const found = self.entries.get(name);
      if (!found) return create(name, mode);
      return named('open', name, (_found, path) =>
        found.kind === 'file'
          ? ok(writerOf(disk, found, path))
          : refuse('platform.not-a-file', { operation: 'open', path }),
      );
    },
    openFile: (name) =>
      named('open', name, (found, path) =>
        found ? openReader(disk, found, path) : missing('open', path),
      ),
    write(name, bytes, mode) {
      const writer = create(name, mode);
      if (!writer.ok) return writer;
      const wrote = writer.value.write(bytes);
      const done = wrote.ok ? writer.value.sync() : wrote;
      writer.value.close();
      if (!done.ok) disk.nodes.rename([{ directory: self, name, to: null }]);
      return done;
    },
    chmod: (name, mode) =>
      alter('chmod', name, (inode) => {
        inode.mode = mode;
        disk.nodes.touch(inode, 'mode');
      }),
    chown: (name, uid, gid) =>
      alter('chown', name, (inode) => {
        Object.assign(inode, { uid, gid });
        disk.nodes.touch(inode, 'mode');
      }),
    truncate: (name) =>
      alter('truncate', name, (inode) => {
        inode.data = new Uint8Array();
        disk.nodes.touch(inode, 'data');
      }),
    syncEntry: (name) => alter('fsync', name, (inode) => sync(inode)),
  };
}

function entryOf(inode: Inode): Entry {
  return {
    kind: inode.kind,
    size: inode.kind === 'directory' ? 4_096 : inode.data.length,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    mtimeNs: inode.mtime,
    ctimeNs: inode.ctime,
    inode: BigInt(inode.id),
    device: inode.device,
  };
}
