/** Faults of one registry among several, of proxies, and of brokers behind WebSockets. */
import { join } from 'node:path';
import { makeLeaf, SERVER } from '../certificates.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { startTlsEndingProxy } from '../tls-ending-proxy.ts';
import { copyTag } from './link-faults.ts';
import { type Fault, publishFile, reconfigured, settled, type World } from './world.ts';

let count = 0;

/** A device of the shared plant with these settings, after one look. */
async function deviceWith({ shared }: World, settings: Readonly<Record<string, unknown>>) {
  count += 1;
  const device = shared.device(`press-mirror-${count}`, {
    settings: { mqtt: undefined, ...settings },
  });
  await device.start();
  await device.command(['apply']);
  return device;
}

export const MIRROR_FAULTS: readonly Fault[] = [
  {
    name: 'lagging mirror beside another',
    cause: /lagging mirror \S+\/mirror: it shows 1\.1 of canary, 1 behind \(1\.2 is known\)/,
    cure: /Bring the mirror, stick or broker up to date/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-mirrors');
      const mirror = plant.registry.replace('/state', '/mirror');
      await copyTag(plant.registry, mirror, 'canary');
      publishFile(plant, join(device.opt, 'conf'), 'two');
      const { point } = await plant.publish('canary');
      await device.command(['apply']);
      await device.applied(point);
      await reconfigured(device, { registries: [{ url: mirror }, { url: plant.registry }] });
      return device;
    },
  },
  {
    name: 'first mirror is down',
    cause: /link\.unreachable: .*(refused|ECONNREFUSED)/i,
    cure: /Check the network, the address/,
    async plant(world) {
      const dead = `http://127.0.0.1:${await freePort()}/plant/state`;
      return deviceWith(world, { registries: [{ url: dead }, { url: world.shared.registry }] });
    },
  },
  {
    name: 'proxy is down',
    cause:
      /link\.proxy: the proxy 127\.0\.0\.1:\d+ does not lead to registry\.example.*: it cannot be reached/,
    cure: /Check proxy in the configuration/,
    async plant(world) {
      const proxy = `http://127.0.0.1:${await freePort()}`;
      return deviceWith(world, {
        registries: [{ url: 'https://registry.example/plant/state', proxy }],
      });
    },
  },
  {
    name: 'proxy ends TLS with a CA of its own',
    cause: /link\.tls-untrusted: .*certificate is not trusted/,
    cure: /of a CA in tls\.ca/,
    async plant(world) {
      const leaf = makeLeaf(world.folder, 'company', world.otherCa, SERVER);
      const proxy = await startTlsEndingProxy(leaf, world.parts.registry.port);
      world.later(() => proxy.close());
      const url = world.shared.registry.replace(/^http:\/\/[^/]+/, 'https://localhost');
      return deviceWith(world, {
        registries: [{ url, tls: { ca: world.ca.cert }, proxy: `http://127.0.0.1:${proxy.port}` }],
      });
    },
  },
  {
    name: 'broker speaks no WebSocket',
    cause: /mqtt.*link\.websocket: .*opens no WebSocket/,
    cure: /speaks WebSockets, and the path in mqtt\.url/,
    async plant(world) {
      const device = await deviceWith(world, {
        registries: [{ url: world.shared.registry }],
        mqtt: { url: `ws://127.0.0.1:${world.parts.registry.port}/mqtt` },
      });
      await eventually('it was asked', async () => (await device.status()).mqtt?.fault != null);
      return device;
    },
  },
];
