/**
 * Images of a private registry whose password is sealed to this device, on a real engine: the deployment
 * waits until the values are here, takes the image with them, and the password stands in no file.
 */
import { expect, test } from 'bun:test';
import { httpLink } from '#link/http.ts';
import { registry } from '#link/registry.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { type StickDevice, stickDevice } from '../support/compose-stick.ts';
import { COMPOSE_ENGINES } from '../support/compose-world.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { tinyImage } from '../support/podman.ts';
import { filesWith, spellings } from '../support/sealed-plant.ts';
import { value } from '../support/store.ts';

const SECRET = 'c3dvcmRmaXNo-of-the-registry-48151623';
const [engine] = COMPOSE_ENGINES.filter(({ missing }) => missing === null).reverse();
const why = COMPOSE_ENGINES[0]?.missing ?? '';
const real = engine ? test : test.skip;
const title = (what: string) => (engine ? what : `${what} (${why})`);

real(
  title('images come from a private registry with a password that is sealed to this device'),
  async () => {
    const registry = await startRegistry({ users: { press: SECRET } });
    const host = `127.0.0.1:${registry.port}`;
    const auth = { usernameValue: 'registry-user', passwordValue: 'registry-password' };
    const started = await engine?.start();
    if (!started) return;
    const packages = { registries: [{ url: `http://${host}`, auth }] };
    const device = await stickDevice(started, { packages });
    try {
      await story(device, registry, host);
    } finally {
      await device.remove();
      await registry.remove();
    }
  },
  60_000,
);

async function story(device: StickDevice, { port }: RealRegistry, host: string): Promise<void> {
  const image = tinyImage('private');
  const link = httpLink(bunPlatform({ logLevel: 'error', logFormat: 'json' }));
  const at = registry(link, {
    ...{ url: `http://127.0.0.1:${port}/line/tiny`, tls: null, proxy: null, insecure: false },
    auth: { username: 'press', password: SECRET },
  });
  for (const [digest, bytes] of image.blobs) value(await at.pushBlob(digest, bytes.length, bytes));
  value(await at.putManifest('1', image.manifest));

  await device.start();
  const pinned = `${host}/line/tiny@${image.manifestDigest}`;
  const stick = await device.stick({ version: 'one', image: pinned, carries: [] });
  expect(await device.apply(stick)).toContain('package.credential');
  await device.apply(await device.seal('registry-user', 'press'));
  expect(await device.apply(await device.seal('registry-password', SECRET))).toStartWith('0 ');
  expect(await device.apply(stick)).toStartWith('0 ');
  expect((await device.web())?.state).toBe('running');
  const folders = [device.folder, device.engineFolder];
  expect(filesWith(folders, spellings(SECRET))).toEqual([]);
  expect(device.log()).not.toContain(SECRET);
}
