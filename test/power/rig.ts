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

/** a disk that nobody writes to is cut all the same */
const CUT_WITHIN_MS = 2_000;
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

export interface PoweredDisk {
  /** Into the log, in the order of what the disk sees. */
  mark(text: string): Promise<void>;
  /**
   * The power goes, at once or at that many writes from now (`CUT_WITHIN_MS` at the latest); what the disk
   * then holds is written to `file`. The mount is dead afterwards.
   */
  cut(seed: number, file: string, writes?: number): Promise<CutCount>;
  /** Takes the dead mount away; whoever used it has to be gone. */
  remove(): Promise<void>;
}

export interface RigPlace {
  /** for sockets and the FUSE mount */
  readonly folder: string;
  readonly mount: string;
  readonly options?: string;
  readonly log?: string;
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

export async function powerUp(image: string, place: RigPlace): Promise<PoweredDisk> {
  const { folder, mount } = place;
  const socket = join(folder, 'nbd');
  const fuse = join(folder, 'fuse');
  rmSync(socket, { force: true });
  mkdirSync(fuse, { recursive: true });
  mkdirSync(mount, { recursive: true });
  const program = new URL('disk-child.ts', import.meta.url).pathname;
  const disk = spawn(process.execPath, [program, socket, image, place.log ?? '-'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: disk.stdout })[Symbol.asyncIterator]();
  const answer = async () => String((await lines.next()).value ?? '');
  if ((await answer()) !== 'serves') throw new Error('the disk did not come up');
  const bridge = spawn('nbdfuse', [fuse, `nbd+unix:///?socket=${socket}`], { stdio: 'ignore' });
  const file = join(fuse, 'nbd');
  await eventually('nbdfuse shows the disk', () => statSync(file, { throwIfNoEntry: false })?.size);
  const loop = (await output(['losetup', '-f', '--show', file])).trim();
  const ask = async (line: string) => {
    disk.stdin.write(`${line}\n`);
    return await answer();
  };
  const remove = () => takeAway({ mount, loop, fuse, disk, bridge });
  const options = place.options ? ['-o', place.options] : [];
  const mounting = () => run(['mount', '-t', 'ext4', ...options, loop, mount]);
  let mounted = await mounting();
  if (mounted.code !== 0 && (await mended(loop))) mounted = await mounting();
  if (mounted.code !== 0) {
    await remove();
    throw new Error(`the file system cannot be mounted: ${mounted.err}`);
  }
  return {
    async mark(text) {
      await ask(`mark ${text}`);
    },
    async cut(seed, to, writes = 0) {
      const late = setTimeout(() => disk.stdin.write('cut\n'), CUT_WITHIN_MS);
      disk.stdin.on('error', () => undefined); // it was cut at that very moment
      const told = await ask(`cut ${seed} ${to} ${writes}`);
      clearTimeout(late);
      return JSON.parse(told) as CutCount;
    },
    remove,
  };
}

interface Built {
  readonly mount: string;
  readonly loop: string;
  readonly fuse: string;
  readonly disk: ChildProcess;
  readonly bridge: ChildProcess;
}

async function takeAway({ mount, loop, fuse, disk, bridge }: Built): Promise<void> {
  await run(['umount', '-l', mount]);
  await run(['losetup', '-d', loop]);
  await endChild(disk, 'SIGKILL');
  await run(['fusermount3', '-uz', fuse]);
  await endChild(bridge, 'SIGKILL');
}
