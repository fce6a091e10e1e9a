/** The hub as Margo manager of real agents, and one publish by three ways: registry, broker, Margo API. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#state/digest.ts';
import { startConnectProxy } from '../support/connect-proxy.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type MargoWorld, margoFiles, margoWorld } from '../support/margo-world.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';

let world: MargoWorld;
beforeAll(async () => {
  world = await margoWorld();
});
afterAll(() => world.remove());

describe('the hub as manager', () => {
  const title = (text: string): string => (Bun.which('openssl') ? text : `${text} (no openssl)`);

  test(title('every key of the section margo, through a proxy'), async () => {
    const proxy = await startConnectProxy();
    const svid = world.svid('press-8');
    const { cert, key } = svid;
    const follower = margoDevice({
      ...{ folder: join(world.desk.folder, 'with-keys'), root: world.root, url: world.url },
      ...{ svid, trustBundle: world.bundle, id: 'press-8' },
      margo: {
        ...{ url: world.url, authority: 'tls', identity: { cert, key, trustBundle: world.bundle } },
        ...{ dialect: 'rc3', deviceId: 'P.8', proxy: `http://127.0.0.1:${proxy.port}` },
        properties: {
          ...{ vendor: 'Works', modelNumber: 'M8', serialNumber: '8-1' },
          ...{ memory: '2Gi', storage: '3Gi', cpus: [{ cores: 1.5, architecture: 'arm' }] },
          interfaces: [{ type: 'canbus' }],
          peripherals: [{ type: 'gpu', manufacturer: 'G', model: 'g1' }],
        },
        labels: { line: '7' },
      },
    });
    try {
      follower.start();
      const told = await eventually('the hub knows it', () =>
        recordsOf('device').find(({ properties }) => properties?.id === 'P.8'),
      );
      expect(told).toMatchObject({
        properties: { vendor: 'Works', storage: '3Gi', interfaces: [{ type: 'canbus' }] },
        labels: { line: '7' },
      });
      expect(proxy.asked.some((line) => line.startsWith('CONNECT '))).toBe(true);
    } finally {
      await follower.stop();
      proxy.close();
    }
  });

  test(
    title('one publish reaches three devices: by registry, by broker, by the Margo API'),
    async () => {
      const common = { root: world.root, svid: world.svid('press-7'), trustBundle: world.bundle };
      const make = (name: string, settings: Record<string, unknown>): MargoDevice =>
        margoDevice({
          ...{ ...common, folder: join(world.desk.folder, name), url: world.url, id: 'press-7' },
          settings: { device: { id: name }, ...settings },
        });
      const opt = join(world.desk.folder, 'common');
      mkdirSync(opt);
      const roots = { allow: { roots: [world.desk.folder] } };
      const stable = { channels: [{ name: 'stable', ...roots }], margo: undefined };
      const registries = [{ url: world.registry }];
      const devices = [
        make('by-margo', { channels: [{ name: 'margo', ...roots }], registries }),
        make('by-registry', { ...stable, registries }),
        make('by-broker', { ...stable, mqtt: { url: world.mqtt } }),
      ];
      for (const one of devices) one.start();
      await eventually('the broker has its device', () =>
        devices[2]?.log().includes('agent.started'),
      );
      const document = margoFiles(A, 'press-7', join(opt, 'a'));
      world.write(`${A}.yaml`, document);
      world.write('files/a', 'from the hub');
      try {
        await world.publish(['--push']);
        const digests = await Promise.all(
          devices.map((one) =>
            eventually(`${one.folder} has it`, async () => {
              const status = await one.status().catch(() => null);
              const [channel] = status?.channels ?? [];
              return channel?.deployments.find(({ id }) => id === A)?.digest;
            }),
          ),
        );
        expect(digests).toEqual(Array(3).fill(sha256(Buffer.from(document))));
        await eventually('the hub was told', () =>
          recordsOf('status').some(({ deploymentId }) => deploymentId === A),
        );
      } finally {
        for (const one of devices) await one.stop();
      }
    },
  );
});

test('all that went between agent and hub is as the description of the API has it (rules 20, 61)', () => {
  expect(world.traffic.told()).toBeGreaterThan(10);
  expect(world.traffic.misfits).toEqual([]);
});

/** What the hub keeps of its clients. */
function recordsOf(kind: 'device' | 'status'): readonly {
  readonly deploymentId?: string;
  readonly properties?: Readonly<Record<string, unknown>>;
}[] {
  const files = new Bun.Glob(`margo/clients/*/${kind}.*.json`);
  return [...files.scanSync({ cwd: world.data, absolute: true })].map((path) =>
    JSON.parse(readFileSync(path, 'utf8')),
  );
}
