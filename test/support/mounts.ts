/**
 * Small file systems of a test's own: full, out of inodes, read-only. Only root in its own mount
 * rights can make them; everything mounted is unmounted by `end`, also when the test fails.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

function run(command: readonly string[]): boolean {
  const [file = '', ...args] = command;
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0;
}

/** Why nothing can be mounted here; null: it can. */
export const noMounts: string | null = (() => {
  const probe = mkdtempSync(join(tmpdir(), 'holdfast-mount-'));
  const works = run(['mount', '-t', 'tmpfs', 'none', probe]);
  if (works) run(['umount', probe]);
  rmSync(probe, { recursive: true, force: true });
  return works ? null : 'mounting is not allowed here';
})();

/** Why no directory can be made append-only: new names yes, renames no. Null: it can. */
export const noAppendOnly: string | null = (() => {
  const probe = mkdtempSync(join(tmpdir(), 'holdfast-chattr-'));
  const works = run(['chattr', '+a', probe]);
  run(['chattr', '-a', probe]);
  rmSync(probe, { recursive: true, force: true });
  return works ? null : 'chattr +a does not work here';
})();

export function appendOnly(directory: string, on: boolean): void {
  if (!run(['chattr', on ? '+a' : '-a', directory])) throw new Error(`chattr ${directory}`);
}

export interface Mount {
  readonly path: string;
  /** Writes a file until `free` bytes are left; 0: none at all. */
  fill(free: number): void;
  /** Takes all inodes but `free`. */
  fillInodes(free: number): void;
  /** Removes what fill and fillInodes made. */
  empty(): void;
  readOnly(on: boolean): void;
  end(): void;
}

/** What takes the room of the file system at this path, and gives it back. */
export function room(path: string): Pick<Mount, 'fill' | 'fillInodes' | 'empty'> {
  const made: string[] = [];
  const filler = join(path, '.filler');
  return {
    fill(free) {
      const { bavail, bsize } = statfsSync(path);
      const bytes = Math.floor((bavail * bsize - free) / bsize) * bsize;
      made.push(filler);
      writeWhatFits(filler, bytes);
    },
    fillInodes(free) {
      for (let left = statfsSync(path).ffree; left > free; left -= 1) {
        const name = join(path, `.inode-${left}`);
        writeFileSync(name, '');
        made.push(name);
      }
    },
    empty() {
      for (const name of made.splice(0)) rmSync(name, { force: true });
    },
  };
}

/** A file system keeps some of what it calls free for its own tables. */
function writeWhatFits(file: string, bytes: number): void {
  for (let left = bytes; left > 0; ) {
    try {
      appendFileSync(file, Buffer.alloc(Math.min(left, FILL_STEP), 1));
      left -= FILL_STEP;
    } catch (error) {
      if (!String(error).includes('ENOSPC')) throw error;
      return;
    }
  }
}

/** bytes of one write: what is left when one fails is less */
const FILL_STEP = 4096;

/** @param options  of tmpfs: `size=1m`, `nr_inodes=20` */
export function mountTmpfs(path: string, options: string): Mount {
  mkdirSync(path, { recursive: true });
  const done = run(['mount', '-t', 'tmpfs', '-o', options, 'holdfast-test', path]);
  if (!done) throw new Error(`mount ${path}`);
  return {
    path,
    ...room(path),
    readOnly(on) {
      if (!run(['mount', '-o', `remount,${on ? 'ro' : 'rw'}`, path])) throw new Error('remount');
    },
    end() {
      // Lazily: a program that still runs may have its working directory here.
      run(['umount', '-l', path]);
    },
  };
}
