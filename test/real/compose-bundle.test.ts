/**
 * Our own compose deployment from a stick, on a real Podman and a real Docker Engine: the images are part
 * of the signed state, no registry and no network is asked; the data volume survives the update.
 */
import { expect, test } from 'bun:test';
import { stickDevice } from '../support/compose-stick.ts';
import { ENGINES } from '../support/container-engine.ts';
import type { ContainerEngine } from '../support/podman.ts';

for (const { name, missing, start } of ENGINES) {
  const run = missing === null ? test.concurrent : test.skip;
  const title = (what: string) => `${what}, on ${name}${missing === null ? '' : ` (${missing})`}`;
  run(
    title('an application comes from a stick with its images, is updated, and keeps its data'),
    async () => story(await start()),
    60_000,
  );
}

async function story(engine: ContainerEngine): Promise<void> {
  const device = await stickDevice(engine);
  const publish = async (version: string, image?: string) =>
    device.apply(await device.stick({ version, ...(image && { image }) }));
  const web = async () => (await device.web())?.id ?? '';
  try {
    await device.start();
    expect(await publish('one')).toStartWith('0 ');
    engine.run('exec', await web(), 'sh', '-c', 'echo kept > /data/log');
    expect(await publish('two')).toStartWith('0 ');
    const now = await web();
    expect(engine.run('exec', now, 'cat', '/shared/plant').trim()).toBe('seven');
    expect(engine.run('exec', now, 'env')).toContain('VERSION=two');
    expect(engine.run('exec', now, 'cat', '/data/log').trim()).toBe('kept');
    // The owner wants digests: an image by its tag alone, that the state does not carry, is refused.
    expect(await publish('three', 'registry.example/tiny:2')).toContain('package.unpinned');
    expect(await web()).toBe(now);
  } finally {
    await device.remove();
  }
}
