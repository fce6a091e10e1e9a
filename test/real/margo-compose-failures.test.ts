/**
 * What a manager is told of a compose application that this device cannot take: by code, before anything
 * of it was accepted, while what runs stays as it is; and that it comes into force once it can be had.
 */
import { expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { sha256 } from '#state/digest.ts';
import { APP, COMPOSE_ENGINES, composeWorld, twoServices } from '../support/compose-world.ts';
import { blobFile } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { tinyImage } from '../support/podman.ts';

for (const { name, missing, start } of COMPOSE_ENGINES) {
  if (missing !== null) {
    test.skip(`${missing}: nothing was told of ${name}`, () => undefined);
    continue;
  }
  test.concurrent(`rules 57, 58, 60: what cannot be had or is not allowed is told by code, ${name}`, async () => {
    const world = await composeWorld({
      start,
      settings: ({ host }) => ({
        packages: { registries: [{ url: `http://${host}` }, { url: 'http://127.0.0.1:1' }] },
      }),
    });
    try {
      await failures(world);
    } finally {
      await world.remove();
    }
  }, 120_000);
}

async function failures(world: Awaited<ReturnType<typeof composeWorld>>): Promise<void> {
  const { manager, device, push, packaged, document, said, service, told, host } = world;
  const files = { 'line.conf': 'belt=1' };
  const ends = (text: string) => eventually(text, () => told().at(-1) === text, 30_000);
  const deploy = (version: number, revision: string) =>
    manager.deploy(version, { [APP]: document({ revision }) });
  const image = tinyImage('one');
  const pinned = `${host}/line/tiny@${image.manifestDigest}`;

  // An image that is not there yet: failed, asked for all the while, and taken when it comes.
  await push('line/app', '1.0.0', packaged(twoServices(pinned), files));
  deploy(1, '1.0.0');
  device.start();
  await ends('failed 1 package.missing');
  await push('line/tiny', '1', image);
  await said('installed', 1);
  const web = (await service('web')).id;

  // A package that nobody pushed, and one whose registry does not answer: time may cure the latter.
  deploy(2, '9.9.9');
  await ends('failed 2 package.missing');
  manager.deploy(3, {
    [APP]: document({ revision: '1.0.0' }).replace(`oci://${host}`, 'oci://127.0.0.1:1'),
  });
  await ends('pending 3 link.unreachable');

  // What the owner does not give, what is no package, and bytes that are not those of the digest.
  const privileged = twoServices(pinned).replace('command: sleep 600', 'privileged: true');
  await push('line/app', '1.0.4', packaged(privileged, files));
  deploy(4, '1.0.4');
  await ends('failed 4 compose.not-allowed');
  await push('line/app', '1.0.5', image);
  deploy(5, '1.0.5');
  await ends('failed 5 package.format');
  const other = packaged(twoServices(pinned, 'sleep 60'), files);
  await push('line/app', '1.0.6', other);
  const [, layer] = [...other.blobs.values()];
  const place = blobFile(world.registry, sha256(layer ?? Buffer.alloc(0)));
  writeFileSync(place, Buffer.from(readFileSync(place)).fill(0));
  deploy(6, '1.0.6');
  await ends('failed 6 source.digest-mismatch');

  // Rule 54: a parameter for a component that is none refuses the manifest, and says of which.
  const odd = document({ revision: '1.0.0' }).replace('[line] }', '[none] }');
  manager.deploy(7, { [APP]: odd });
  await ends('failed 7 config.invalid');

  expect((await service('web')).id).toBe(web);
  deploy(8, '1.0.0');
  await said('installed', 8);
  expect((await service('web')).id).toBe(web);
}
