/**
 * An ext4 of a few MB on a loop device: a disk of a test's own that can be full, out of inodes, or
 * shut by the kernel after an error, as a failing flash chip makes it (`errors=remount-ro`, set off
 * through sysfs). Only root can; whatever was mounted is unmounted by `end`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type Mount, room } from './mounts.ts';
import { isRoot, program } from './parts.ts';

const TOOLS = ['mke2fs', 'e2fsck', 'losetup', 'mount', 'umount'];
const SECTOR_BYTES = 512;

/** Why there can be no such disk here; null: there can. */
export const noDisks: string | null = (() => {
  const missing = TOOLS.filter((name) => program(name) === null);
  if (missing.length > 0) return `no ${missing.join(', ')}`;
  if (!isRoot) return 'not root';
  return spawnSync('losetup', ['-f'], { stdio: 'ignore' }).status === 0 ? null : 'no loop device';
})();

export interface SmallDisk extends Pick<Mount, 'path' | 'fill' | 'fillInodes' | 'empty' | 'end'> {
  /** The kernel meets an error in its structures: no write succeeds until it is mounted anew. */
  breakDown(): void;
  /** Checked and mounted anew; what still held files of the old mount holds them there. */
  repair(): void;
  /** What reached the device since it was made, the journal of the file system included. */
  written(): { readonly bytes: number; readonly writes: number };
}

export interface DiskSize {
  readonly megabytes: number;
  readonly inodes: number;
}

export function smallDisk(path: string, { megabytes, inodes }: DiskSize): SmallDisk {
  mkdirSync(path, { recursive: true });
  const image = `${path}.img`;
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 * 1024);
  // No block is kept back for root, and all tables are written now: what is counted is the agent's.
  const lazy = ['-E', 'lazy_itable_init=0,lazy_journal_init=0'];
  sh('mke2fs', '-q', '-t', 'ext4', '-m', '0', '-N', String(inodes), ...lazy, image);
  let loop = attach(image, path);
  const disk: SmallDisk = {
    path,
    ...room(path),
    breakDown() {
      writeFileSync(`/sys/fs/ext4/${basename(loop)}/trigger_fs_error`, '1');
    },
    repair() {
      detach(loop, path);
      spawnSync('e2fsck', ['-fy', image], { stdio: 'ignore' });
      loop = attach(image, path);
    },
    written() {
      const fields = readFileSync(`/sys/block/${basename(loop)}/stat`, 'utf8')
        .trim()
        .split(/ +/);
      return { writes: Number(fields[4]), bytes: Number(fields[6]) * SECTOR_BYTES };
    },
    end() {
      detach(loop, path);
      rmSync(image, { force: true });
    },
  };
  return disk;
}

export const canBreakDown = existsSync('/sys/fs/ext4');

function attach(image: string, path: string): string {
  const loop = sh('losetup', '-f', '--show', image).trim();
  sh('mount', '-o', 'errors=remount-ro', loop, path);
  return loop;
}

/** Lazily: a program that still runs may have files open there. */
function detach(loop: string, path: string): void {
  spawnSync('umount', ['-l', path], { stdio: 'ignore' });
  spawnSync('losetup', ['-d', loop], { stdio: 'ignore' });
}

function sh(file: string, ...args: readonly string[]): string {
  const ran = spawnSync(file, args, { encoding: 'utf8' });
  if (ran.status === 0) return ran.stdout;
  throw new Error(`${file} ${args.join(' ')}: ${ran.stderr}`);
}
