/**
 * A file system on a disk that can lose its power: our NBD server, nbdfuse, a loop device, ext4. All
 * of it is native, so the compiled agent runs on it as on a device. Only root can make it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { endChild, output, run } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import { noMounts } from '../support/mounts.ts';
import { program } from '../support/parts.ts';

/** exit code; 1 and 2 mean that all was mended */
const E2FSCK_LEFT_ERRORS = 4;
const NEEDED = ['nbdfuse', 'losetup', 'fusermount3', 'mke2fs', 'e2fsck'];
const absent = NEEDED.filter((name) => program(name) === null);

/** Why no such disk can be made here; null: it can. */
export const noPower: string | null =
  noMounts ??
  (absent.length > 0
    ? `no ${absent.join(', ')}`
    : existsSync('/dev/fuse') && existsSync('/dev/loop-control')
      ? null
      : 'no FUSE or loop devices');

export interface CutCount {
  readonly writes: number;
  readonly flushes: number;
  /** writes that nothing had flushed when the power went */
  readonly waiting: number;
}

/** A disk that outlives its power cuts, in a process of its own (disk-child.ts). */
export interface Platters {
  /** Gives it power: it is served on this socket. */
  serve(socket: string): Promise<void>;
  /** Into the log, in the order of what the disk sees. */
  mark(text: string): Promise<void>;
  /**
   * Takes the power away, at that many writes from now (default: at once) or when `hurry` is called. What
   * the disk then holds follows from the seed.
   */
  cut(seed: number, writes?: number): { readonly gone: Promise<CutCount>; hurry(): void };
  /** What it holds, while it has no power. */
  save(file: string): Promise<void>;
  end(): Promise<void>;
}

/** A mounted file system on it. */
export interface PoweredDisk {
  /** Takes the mount away, alive or dead; whoever used it has to be gone. */
  remove(): Promise<void>;
}

export interface RigPlace {
  /** for sockets and the FUSE mount */
  readonly folder: string;
  readonly mount: string;
  readonly options?: string;
}

/** An empty ext4 of this many MiB. */
export async function makeImage(file: string, mebibytes: number): Promise<void> {
  rmSync(file, { force: true });
  const options = ['-q', '-t', 'ext4', '-J', 'size=4', '-E', 'lazy_itable_init=0'];
  await output(['mke2fs', ...options, file, `${mebibytes}M`]);
}

/**
 * The superblock is two sectors, which a cut can tear; the start of a device then takes the backup
 * (systemd-fsck), as here. Nothing else keeps a journaled file system from being mounted.
 */
export async function mended(device: string): Promise<boolean> {
  const { code } = await run(['e2fsck', '-fy', device]);
  return code !== null && code < E2FSCK_LEFT_ERRORS;
}

/** @param image  what it holds at first; it is not written to */
export function makePlatters(image: string, log = '-'): Platters {
  const program = new URL('disk-child.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, image, log], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined); // it was ended; the answer that is missing tells
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  // One after the other: each is answered by one line.
  let last: Promise<unknown> = Promise.resolve();
  const ask = (line: string): Promise<string> => {
    child.stdin.write(`${line}\n`);
    const answer = last.then(async () => {
      const { value, done } = await lines.next();
      if (done) throw new Error('the disk has ended');
      return String(value);
    });
    last = answer.catch(() => undefined);
    return answer;
  };
  return {
    async serve(socket) {
      rmSync(socket, { force: true });
      await ask(`serve ${socket}`);
    },
    async mark(text) {
      await ask(`mark ${text}`);
    },
    cut(seed, writes = 0) {
      const gone = ask(`cut ${seed} ${writes}`).then((told) => JSON.parse(told) as CutCount);
      return { gone, hurry: () => child.stdin.write('cut\n') };
    },
    async save(file) {
      await ask(`save ${file}`);
    },
    end: () => endChild(child, 'SIGKILL'),
  };
}

export async function powerUp(platters: Platters, place: RigPlace): Promise<PoweredDisk> {
  const { folder, mount } = place;
  const socket = join(folder, 'nbd');
  const fuse = join(folder, 'fuse');
  mkdirSync(fuse, { recursive: true });
  mkdirSync(mount, { recursive: true });
  await platters.serve(socket);
  const bridge = spawn('nbdfuse', [fuse, `nbd+unix:///?socket=${socket}`], { stdio: 'ignore' });
  const file = join(fuse, 'nbd');
  await eventually('nbdfuse shows the disk', () => statSync(file, { throwIfNoEntry: false })?.size);
  const loop = (await output(['losetup', '-f', '--show', file])).trim();
  const remove = () => takeAway({ mount, loop, fuse, bridge });
  const options = place.options ? ['-o', place.options] : [];
  const mounting = () => run(['mount', '-t', 'ext4', ...options, loop, mount]);
  let mounted = await mounting();
  if (mounted.code !== 0 && (await mended(loop))) mounted = await mounting();
  if (mounted.code !== 0) {
    await remove();
    throw new Error(`the file system cannot be mounted: ${mounted.err}`);
  }
  return { remove };
}

interface Built {
  readonly mount: string;
  readonly loop: string;
  readonly fuse: string;
  readonly bridge: ChildProcess;
}

async function takeAway({ mount, loop, fuse, bridge }: Built): Promise<void> {
  await run(['umount', '-l', mount]);
  await run(['losetup', '-d', loop]);
  await run(['fusermount3', '-uz', fuse]);
  await endChild(bridge, 'SIGKILL');
}
