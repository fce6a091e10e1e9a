/**
 * The disk of a device: one tree of inodes (inode.ts) with a flash of limited size and a tmpfs at
 * /run. Paths are resolved here; directory.ts gives the agent its handles. What a cut leaves is
 * power-cut.ts. The operator's and the publisher's side may write to it outside of any step.
 */
import { fault, ok, type Refused, type Result, refuse, refused } from '#errors/fault.ts';
import type { Steps, Trouble } from './crash.ts';
import { copyTree, type Inode, type InodeCounts, type Inodes, inodes, sync } from './inode.ts';
import { type Loss, powerCut } from './power-cut.ts';
import type { Dice } from './random.ts';

/** of a flash with room for everything that a run does */
export const ROOMY_BYTES = 64 * 1024 * 1024;
const LINKS_MAX = 40;
/** what an empty inode takes: a full table of inodes shows as a full disk */
const INODE_BYTES = 256;

export interface Disk {
  readonly root: Inode;
  readonly nodes: Inodes;
  readonly steps: Steps;
  /** bytes of the flash */
  capacity: number;
  used(): number;
  changed(): void;
  /** The inode at a path, links followed (the last one if `follow`); null: nothing there. */
  find(path: string, follow?: boolean): Inode | null;
  /** Like realpath(3), for what exists or not yet. */
  resolve(path: string): string;
  /** Makes directories and a file with this content, durable; for whoever prepares a device. */
  plant(path: string, content: string | Uint8Array, mode?: number): void;
  plantDirectory(path: string, mode?: number): Inode;
  cut(dice: Dice, loss: Loss): void;
  copy(): DiskCopy;
}

/** A disk at a moment. It may be gone on from any number of times. */
export interface DiskCopy {
  readonly root: Inode;
  readonly counts: InodeCounts;
  readonly capacity: number;
}

export function disk(options: {
  readonly nowMs: () => number;
  readonly steps: Steps;
  readonly from: DiskCopy | undefined;
}): Disk {
  const { from } = options;
  const nodes = inodes(options.nowMs, from?.counts);
  const root = from ? copyTree(from.root) : nodes.make('directory', { mode: 0o755, device: 1 });
  let usedNow: number | null = null;
  const made: Disk = {
    root,
    nodes,
    steps: options.steps,
    capacity: from?.capacity ?? ROOMY_BYTES,
    used() {
      usedNow ??= bytesBelow(root);
      return usedNow;
    },
    changed() {
      usedNow = null;
    },
    find: (path, follow = true) => find(made, path, follow),
    resolve: (path) => resolve(made, path),
    plant(path, content, mode = 0o644) {
      const slash = path.lastIndexOf('/');
      const directory = made.plantDirectory(path.slice(0, slash) || '/');
      const file = nodes.make('file', { mode, device: directory.device });
      file.data = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      sync(file);
      nodes.rename([{ directory, name: path.slice(slash + 1), to: file }]);
      sync(directory);
      usedNow = null;
    },
    plantDirectory(path, mode = 0o755) {
      let at = root;
      for (const name of path.split('/').filter((part) => part !== '')) {
        const next = at.entries.get(name);
        if (next) {
          at = next;
          continue;
        }
        const device = at === root && name === 'run' ? 2 : at.device;
        const directory = nodes.make('directory', { mode, device });
        nodes.rename([{ directory: at, name, to: directory }]);
        sync(at);
        at = directory;
      }
      return at;
    },
    cut(dice, loss) {
      powerCut(root, dice, loss);
      usedNow = null;
    },
    copy: () => ({ root: copyTree(root), counts: nodes.counts(), capacity: made.capacity }),
  };
  return made;
}

function bytesBelow(inode: Inode): number {
  if (inode.kind === 'file') {
    let rows = 0;
    for (const value of inode.rows?.values() ?? []) rows += value.length + 64;
    return INODE_BYTES + inode.data.length + rows;
  }
  let sum = INODE_BYTES;
  if (inode.device === 2) return 0;
  for (const below of inode.entries.values()) sum += bytesBelow(below);
  return sum;
}

function find(disk: Disk, path: string, follow: boolean): Inode | null {
  const real = follow ? disk.resolve(path) : path;
  let at: Inode | undefined = disk.root;
  for (const name of real.split('/')) {
    if (name === '') continue;
    at = at?.kind === 'directory' ? at.entries.get(name) : undefined;
  }
  return at ?? null;
}

function resolve(disk: Disk, path: string): string {
  const left = path.split('/').reverse();
  let real = '';
  let links = 0;
  const stack: (Inode | undefined)[] = [disk.root];
  for (let part = left.pop(); part !== undefined; part = left.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      real = real.slice(0, Math.max(0, real.lastIndexOf('/')));
      if (stack.length > 1) stack.pop();
      continue;
    }
    const here = stack.at(-1);
    const next = here?.kind === 'directory' ? here.entries.get(part) : undefined;
    if (next?.kind !== 'link' || links >= LINKS_MAX) {
      real = `${real}/${part}`;
      stack.push(next);
      continue;
    }
    links += 1;
    if (next.target.startsWith('/')) {
      real = '';
      stack.length = 1;
    }
    left.push(...next.target.split('/').reverse());
  }
  return real === '' ? '/' : real;
}

/** The fault of an errno, as platform/node/errno.ts words it. */
export function troubleFault(errno: Trouble, operation: string, path: string): Refused {
  if (errno === 'ENOSPC') return refuse('platform.no-space', { operation, path, errno });
  if (errno === 'EROFS') return refuse('platform.read-only', { operation, path });
  return refuse('platform.io', { operation, path, errno });
}

/** One step that changes the disk: refused by its trouble, else done. */
export function change<T>(
  disk: Disk,
  operation: string,
  path: string,
  call: () => Result<T>,
): Result<T> {
  const trouble = disk.steps.take(operation, path);
  if (trouble !== null) return troubleFault(trouble, operation, path);
  disk.changed();
  return call();
}

export function roomFor(disk: Disk, at: Inode, bytes: number): boolean {
  return at.device === 2 || disk.used() + bytes <= disk.capacity;
}

export const missing = (operation: string, path: string): Refused =>
  refused(fault('platform.missing', { operation, path }));

export function makeIn(disk: Disk, directory: Inode, name: string, inode: Inode): Result<Inode> {
  disk.nodes.rename([{ directory, name, to: inode }]);
  return ok(inode);
}
