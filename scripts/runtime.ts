/**
 * The Bun runtime that the executable is made of. Two environment variables, BUN_BE_BUN and
 * BUN_OPTIONS, turn any compiled program into an interpreter of somebody else's code before its own
 * first line: a check in that program cannot see them. So their names are taken out of the runtime:
 * a name that starts with NUL is never found in an environment. main.ts then refuses to start when
 * they are set, since whoever set them expected something to happen.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { npmPackage } from './npm-package.ts';
import { CACHE, hostTarget, type Target } from './targets.ts';

const SEALED = ['BUN_BE_BUN', 'BUN_OPTIONS'];

export async function runtimeFor(target: Target): Promise<string> {
  const original = await unsealed(target);
  const bytes = readFileSync(original);
  const hash = createHash('sha256').update(SEALED.join()).update(bytes).digest('hex').slice(0, 16);
  const sealed = join(CACHE, 'runtime', `${target.name}-${target.runtime.version}-${hash}`);
  if (existsSync(sealed)) return sealed;
  for (const name of SEALED) {
    if (!blank(bytes, name))
      throw new Error(`${original} has no ${name}: look how Bun reads it now`);
  }
  mkdirSync(join(CACHE, 'runtime'), { recursive: true });
  writeFileSync(`${sealed}.part`, bytes, { mode: 0o755 });
  renameSync(`${sealed}.part`, sealed);
  return sealed;
}

/** The running Bun when it is the one wanted: npm has checked it already. */
async function unsealed(target: Target): Promise<string> {
  if (target.name === hostTarget() && Bun.version === target.runtime.version) {
    return process.execPath;
  }
  return join(await npmPackage(target.runtime), 'bin/bun');
}

/** Blanks the first byte of each occurrence; false when there is none. */
function blank(bytes: Buffer, name: string): boolean {
  let found = false;
  for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) {
    bytes[at] = 0;
    found = true;
  }
  return found;
}
