/** A device that finds its desired state in the OCI form of Margo, in a registry; reports go to the manager. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { systemInflate } from '#platform/node/inflate.ts';
import { sha256 } from '#state/digest.ts';
import { writeMargoBundle } from '#wire/margo-bundle.ts';
import { writeMargoOci } from '#wire/margo-oci.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  filesDocument,
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
  for (const text of ['1', '2']) {
    const id = `0000000${text}-3b7e-4d0a-9a41-0d5f6c1e2b01`;
    world.write(`files/${text}`, `speed=${text}`);
    const target = `/opt/${text}`;
    world.write(`${id}.yaml`, filesDocument({ id, deviceId: 'x', target, blob: `files/${text}` }));
  }
  await world.publish();
  const folder = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(folder, 'little', world.ca, WFM), world.ca);
  const oci = { url: world.registry.replace('plant/state', 'plant/margo') };
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
    ...{ svid: world.svid('press-42'), trustBundle: world.bundle, registry: world.registry },
    margo: { source: 'oci', tag: 'line', oci },
  });
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

const file = (id: string, name: string, text: string): string =>
  filesDocument({
    ...{ id, deviceId: 'press-42', target: join(device.opt, name) },
    ...{ blob: `files/${text}`, content: `speed=${text}` },
  });

async function push(version: bigint, documents: Readonly<Record<string, string>>): Promise<void> {
  const entries = Object.entries(documents);
  const listed = entries.map(([id, text]) => ({ id, bytes: new TextEncoder().encode(text) }));
  const packed = systemInflate().gzip(writeMargoBundle(listed));
  const base = world.registry.replace('/plant/state', '/v2/plant/margo');
  for (const bytes of [new TextEncoder().encode('{}'), packed]) {
    const url = `${base}/blobs/uploads/?digest=${sha256(bytes)}`;
    expect((await fetch(url, { method: 'POST', body: bytes })).status).toBe(201);
  }
  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  const body = writeMargoOci(version, packed);
  const put = await fetch(`${base}/manifests/line`, { method: 'PUT', headers, body });
  expect(put.status).toBe(201);
}
const reads = (name: string, text: string | null) =>
  eventually(`${name} is ${text}`, () => device.read(name) === text);

describe('rule 76: desired state in the OCI form', () => {
  test(title('is installed, updated and removed, and told to the manager'), async () => {
    await push(1n, { [A]: file(A, 'a', '1'), [B]: file(B, 'b', '1') });
    device.start();
    await reads('a', 'speed=1');
    await reads('b', 'speed=1');
    await push(2n, { [A]: file(A, 'a', '2') });
    await reads('a', 'speed=2');
    await reads('b', null);
    await eventually('told', () =>
      manager.statuses(B).some(({ state, version }) => state === 'removed' && version === 2),
    );
    expect(manager.seen.some(({ method }) => method === 'GET')).toBe(false);
    expect(manager.traffic.misfits).toEqual([]);
  }, 30_000);

  test(title('that goes back, or says two things, changes nothing and is told'), async () => {
    await push(1n, { [A]: file(A, 'a', '1') });
    await eventually('a step back', () => device.log().includes('trust.rollback'));
    await push(2n, { [A]: file(A, 'a', '1') });
    await eventually('two for one version', () => device.log().includes('trust.equivocation'));
    expect(device.read('a')).toBe('speed=2');
  }, 30_000);

  test(title(
    'is accepted once: after a restart the registry is asked for no more than its head',
  ), async () => {
    await push(3n, { [A]: file(A, 'a', '1') });
    await reads('a', 'speed=1');
    await device.stop('SIGKILL');
    device.start();
    await eventually('it looks', async () => {
      const status = await device.status().catch(() => null);
      return status?.channels[0]?.deployments.length === 1;
    });
    await push(4n, { [A]: file(A, 'a', '2') });
    await reads('a', 'speed=2');
  }, 30_000);
});
