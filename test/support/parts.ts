/**
 * Real parts that a test may need and a machine may lack: brokers, registries, the executable.
 * A test asks here and puts the reason into the title of what it skips.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dir, '../..');

/** The path of a program, or null. Debian keeps daemons in /usr/sbin, off a user's PATH. */
export function program(name: string): string | null {
  return Bun.which(name, { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` });
}

/** The executable made by `npm run build` for this machine, or for `target`; null when not built. */
export function executable(target?: string): string | null {
  const named = target === undefined ? process.env.HOLDFAST_EXECUTABLE : undefined;
  const path =
    named ?? join(ROOT, 'dist', target === undefined ? 'holdfast' : `holdfast-${target}`);
  return existsSync(path) ? path : null;
}

/** Root can mount, change owner and start programs as others. */
export const isRoot = process.getuid?.() === 0;
