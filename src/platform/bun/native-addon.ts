/**
 * Loads a native addon that is carried inside the executable. Bun's own loader writes it under a
 * name that anyone can foresee into a shared temporary directory, looks only at its size when a
 * file of that name is there, and gives up on a directory mounted noexec. Here the bytes go into a
 * fresh directory of our own, the first that lets them be mapped for execution wins, and nothing
 * stays behind: the mapping outlives the name.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Fault, fault } from '#errors/fault.ts';

/** No directory of this machine lets the addon be loaded. Thrown, since a module is being loaded. */
export class AddonRefused extends Error {
  override readonly name = 'AddonRefused';
  readonly fault: Fault;
  /** @param reasons  one line for each directory */
  constructor(reasons: readonly string[]) {
    const refused = fault('platform.addon', { reasons });
    super(refused.message);
    this.fault = refused;
  }
}

/**
 * Private places first; systemd separates several runtime directories by colons. The state directory
 * comes last: it is the only one that is a flash card.
 */
export function addonDirectories(
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const named = [
    env.BUN_TMPDIR,
    ...(env.RUNTIME_DIRECTORY ?? '').split(':'),
    env.XDG_RUNTIME_DIR,
    env.TMPDIR,
  ].filter((path): path is string => path?.startsWith('/') === true);
  const state = (env.STATE_DIRECTORY ?? '').split(':').filter((path) => path.startsWith('/'));
  return [...new Set([...named, '/run', '/tmp', '/dev/shm', '/var/tmp', ...state])];
}

/** The addon's exports. Throws `AddonRefused` when every directory fails. */
export function loadAddon(bytes: Uint8Array, directories: readonly string[]): unknown {
  const reasons: string[] = [];
  for (const directory of directories) {
    let own: string | null = null;
    try {
      own = mkdtempSync(join(directory, 'holdfast-addon-')); // mode 0700
      const path = join(own, 'addon.node');
      writeFileSync(path, bytes, { flag: 'wx', mode: 0o500 });
      const loaded: { exports: unknown } = { exports: {} };
      process.dlopen(loaded, path);
      return loaded.exports;
    } catch (error) {
      reasons.push(`${directory}: ${firstLine(error)}`);
    } finally {
      if (own !== null) rmSync(own, { recursive: true, force: true });
    }
  }
  throw new AddonRefused(reasons);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n', 1)[0] ?? '';
}
