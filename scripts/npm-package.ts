/**
 * Packages that cannot be ordinary dependencies, since npm skips those of another machine: the
 * runtime of a foreign target, the C compiler. Fetched by the npm client with the registry it is
 * set up for, checked against the integrity in our tree before a byte is unpacked, kept in .cache.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';
import { CACHE, type PinnedPackage } from './targets.ts';

/** The folder that holds the unpacked package. */
export async function npmPackage(wanted: PinnedPackage): Promise<string> {
  const home = packageHome(wanted);
  if (existsSync(home)) return home;
  mkdirSync(join(CACHE, 'npm'), { recursive: true });
  const work = mkdtempSync(join(CACHE, 'npm', 'fetch-'));
  try {
    const spec = `${wanted.name}@${wanted.version}`;
    console.log(`fetching ${spec}`);
    const packed = await run(['npm', 'pack', '--silent', '--pack-destination', work, spec]);
    const tarball = join(work, packed.stdout.trim().split('\n').at(-1) ?? '');
    const got = `sha512-${createHash('sha512').update(readFileSync(tarball)).digest('base64')}`;
    if (got !== wanted.integrity) {
      throw new Error(`${spec} is ${got}, not ${wanted.integrity} as pinned in our tree`);
    }
    await run(['tar', '-xzf', tarball, '-C', work, '--no-same-owner']);
    // A rename, so that a cut leaves no half package behind under the final name.
    if (!existsSync(home)) renameSync(join(work, 'package'), home);
    return home;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Where the unpacked package is once it was fetched. */
export function packageHome({ name, version }: PinnedPackage): string {
  return join(CACHE, 'npm', `${name.replace('/', '+')}-${version}`);
}
