/**
 * One publish, and the OCI form of Margo beside the state: an image for each device, which a device that
 * knows only that form follows; blobs come from the repository of the state.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { margoVersion, repositoryOf } from '#publisher/margo-oci.ts';
import { readMargoOci } from '#wire/margo-oci.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  filesDocument,
  granted,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const B = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const title = (text: string): string => (Bun.which('openssl') ? text : `${text} (no openssl)`);

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
beforeAll(async () => {
  world = await margoWorld();
  const file = join(world.fleet, 'fleet.yaml');
  const fleet = parse(readFileSync(file, 'utf8'));
  fleet.channels.stable.margo = { oci: 'plant/margo' };
  writeFileSync(file, stringify(fleet));
  const folder = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(folder, 'little', world.ca, WFM), world.ca);
  const oci = { url: world.registry.replace('plant/state', 'plant/margo/press-42') };
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
    ...{ svid: world.svid('press-42'), trustBundle: world.bundle, registry: world.registry },
    margo: { source: 'oci', tag: 'latest', oci },
  });
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

/** B is of another device. */
function write(speed: string): void {
  world.write('files/a', `speed=${speed}`);
  const target = (name: string) => join(device.opt, name);
  world.write(`${A}.yaml`, filesDocument({ id: A, deviceId: 'press-42', target: target('a') }));
  world.write(`${B}.yaml`, filesDocument({ id: B, deviceId: 'Press 43', target: target('b') }));
}

const publish = () => world.publish() as Promise<{ readonly stateDigest: string } & object>;

async function image(name: string, tag = 'latest') {
  const url = `${world.registry.replace('/plant/state', '/v2/plant/margo')}/${name}/manifests/${tag}`;
  const headers = { accept: 'application/vnd.oci.image.manifest.v1+json' };
  const answer = await fetch(url, { headers });
  expect(answer.status).toBe(200);
  return granted(readMargoOci(new Uint8Array(await answer.arrayBuffer())));
}

describe('rule 76: one publish, and the OCI form beside it', () => {
  test(title('reaches a device that knows that form alone, with its own documents'), async () => {
    write('1');
    expect(await publish()).toMatchObject({ margoOci: { devices: 2, moved: 2 } });
    device.start();
    await eventually('it is installed', () => device.read('a') === 'speed=1');
    expect(device.read('b')).toBeNull();
    const { version } = await image('press-42');
    expect(await image('press-42', `${version}`)).toEqual(await image('press-42'));
    write('2');
    expect(await publish()).toMatchObject({ margoOci: { devices: 2, moved: 2 } });
    await eventually('it is updated', () => device.read('a') === 'speed=2');
    expect((await image('press-42')).version).toBeGreaterThan(version);
    const installed = () => manager.statuses(A).filter(({ state }) => state === 'installed');
    await eventually('it is told', () => installed().length > 0);
    expect(installed()[0]?.version).toBe(Number(version));
  }, 30_000);

  test(title(
    'says nothing new when nothing is, and takes back what is deployed no more',
  ), async () => {
    expect(await publish()).toMatchObject({ margoOci: { devices: 2, moved: 0 } });
    const other = filesDocument({ id: A, deviceId: 'Press 43', target: join(device.opt, 'a') });
    world.write(`${A}.yaml`, other);
    expect(await publish()).toMatchObject({ margoOci: { devices: 2, moved: 2 } });
    await eventually('it is removed', () => device.read('a') === null);
  }, 30_000);

  test(title(
    'refuses a place where something else stands, and says where; the state is published',
  ), async () => {
    const base = `${world.registry.replace('/plant/state', '/v2/plant/margo')}/press-42`;
    const foreign = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json' };
    const put = await fetch(`${base}/manifests/latest`, {
      method: 'PUT',
      headers: { 'content-type': foreign.mediaType },
      body: JSON.stringify({ ...foreign, manifests: [] }),
    });
    expect(put.status).toBe(201);
    write('3');
    const said = await publish().then(
      () => 'published',
      (why: Error) => why.message,
    );
    expect(said).toContain('publish.margo-oci');
    expect(said).toContain('plant/margo/press-42');
  }, 30_000);
});

test('a version follows from epoch and sequence, and grows with both', () => {
  expect(margoVersion({ epoch: 1n, sequence: 7n })).toBe(7n);
  expect(margoVersion({ epoch: 2n, sequence: 1n })).toBe((1n << 40n) + 1n);
  expect(margoVersion({ epoch: 1n, sequence: 1n << 40n })).toBeNull();
});

test('a device whose id is no name of a repository has one all the same', () => {
  expect(repositoryOf('press-42')).toBe('press-42');
  expect(repositoryOf('Press 43')).toMatch(/^id-[0-9a-f]{32}$/);
});
