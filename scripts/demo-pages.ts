/** The releases of the demo's web page (demo/page.c), static for any Linux x64. Kept in .cache. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { zig, zigEnvironment } from './addon.ts';
import { run } from './run.ts';
import { CACHE, ROOT } from './targets.ts';

const SOURCE = join(ROOT, 'scripts/demo/page.c');
const FLAGS = ['-target', 'x86_64-linux-musl', '-static', '-Os', '-s', '-Wall', '-Wextra'];
const RELEASES: readonly (readonly [release: number, flags: readonly string[]])[] = [
  [1, []],
  [2, []],
  [3, ['-DCRASHES']],
];

/** release → executable */
export async function buildPages(): Promise<ReadonlyMap<number, string>> {
  const compiler = await zig();
  const inputs = [readFileSync(SOURCE, 'utf8'), compiler, FLAGS, RELEASES];
  const hash = createHash('sha256').update(JSON.stringify(inputs)).digest('hex');
  const home = join(CACHE, 'demo', hash.slice(0, 16));
  if (!existsSync(home)) {
    mkdirSync(join(CACHE, 'demo'), { recursive: true });
    const work = mkdtempSync(`${home}.`);
    for (const [release, flags] of RELEASES) {
      const name = `-DRELEASE="${release}"`;
      const out = ['-o', join(work, `page-${release}`)];
      const env = zigEnvironment(work);
      await run([compiler, 'cc', ...FLAGS, ...flags, name, SOURCE, ...out], { env });
    }
    rmSync(join(work, 'zig'), { recursive: true, force: true });
    if (!existsSync(home)) renameSync(work, home);
  }
  return new Map(RELEASES.map(([release]) => [release, join(home, `page-${release}`)] as const));
}
