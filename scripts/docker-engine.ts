/**
 * Docker Engine for tests: Debian's own packages, unpacked below .cache/docker and registered nowhere, so
 * that no engine starts on this machine by itself. As root on Debian only; elsewhere, and without a way to
 * Debian's mirror, the tests that need it skip and say so (test/support/docker-engine.ts).
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { has, run } from './run.ts';
import { CACHE } from './targets.ts';

const PACKAGES = ['docker.io', 'containerd', 'tini'];

export async function provideDockerEngine(): Promise<void> {
  const folder = join(CACHE, 'docker');
  if (has('dockerd') || existsSync(folder)) return;
  if (process.getuid?.() !== 0 || !has('apt-get') || !has('dpkg')) {
    console.log('not here, so tests that need it skip: Docker Engine');
    return;
  }
  console.log('unpacking Docker Engine');
  const making = `${folder}.${process.pid}`;
  mkdirSync(making, { recursive: true });
  try {
    await run(['apt-get', 'update', '-q'], { mayFail: true });
    await run(['apt-get', 'download', '-q', ...PACKAGES], { cwd: making });
    for (const name of readdirSync(making).filter((each) => each.endsWith('.deb'))) {
      await run(['dpkg', '--extract', join(making, name), making]);
      rmSync(join(making, name));
    }
    if (!existsSync(folder)) renameSync(making, folder);
  } catch (error) {
    const [why = ''] = String(error).split('\n');
    console.log(`cannot unpack Docker Engine, so tests that need it skip: ${why}`);
  } finally {
    rmSync(making, { recursive: true, force: true });
  }
}
