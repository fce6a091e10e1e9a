/** Faults between a device and its registry or broker. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { makeLeaf, SERVER } from '../certificates.ts';
import { clockAt, faketime } from '../dead-clock.ts';
import type { Device } from '../device.ts';
import { startRegistry } from '../docker-registry.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import { startMosquitto } from '../mosquitto.ts';
import { startRegistryProxy } from '../registry-proxy.ts';
import { type Fault, looked, publishFile, reconfigured, settled, type World } from './world.ts';

let count = 0;

/** A device of the shared plant with these sources, started, after one look. */
async function deviceWith(
  { shared }: World,
  settings: Readonly<Record<string, unknown>>,
): Promise<Device> {
  count += 1;
  const device = shared.device(`press-link-${count}`, {
    settings: { mqtt: undefined, ...settings },
  });
  await looked(device);
  return device;
}

/** A TLS registry whose certificate is the given one. */
async function secureRegistry(
  world: World,
  leaf: { readonly cert: string; readonly key: string },
): Promise<string> {
  const registry = await startRegistry({ tls: leaf });
  world.later(() => registry.remove());
  return `https://localhost:${registry.port}/plant/state`;
}

/** A certificate that ended years ago: made while the clock stood there. */
function expiredLeaf({ folder, ca }: World): { readonly cert: string; readonly key: string } {
  const at = (name: string) => join(folder, name);
  const files = { cert: at('expired.pem'), key: at('expired.key') };
  writeFileSync(at('expired.ext'), SERVER.join('\n'));
  const request = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const [from, ...env] = clockAt('2020-01-01 00:00:00');
  for (const args of [
    [...request, '-keyout', files.key, '-out', at('expired.csr'), '-subj', '/CN=expired'],
    [
      ...['x509', '-req', '-in', at('expired.csr'), '-CA', ca.cert, '-CAkey', ca.key],
      ...['-CAcreateserial', '-out', files.cert, '-days', '30', '-extfile', at('expired.ext')],
    ],
  ]) {
    const ran = spawnSync(from ?? '', [...env, 'openssl', ...args], { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(ran.stderr);
  }
  return files;
}

/** Accepts connections on a loopback port and answers each request with this. */
async function answering(world: World, text: string): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => socket.end(text));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  world.later(() => server.close());
  const address = server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

export const LINK_FAULTS: readonly Fault[] = [
  {
    name: 'wrong CA',
    cause: /link\.tls-untrusted: .*certificate is not trusted/,
    cure: /tls\.ca/,
    async plant(world) {
      const leaf = makeLeaf(world.folder, 'registry', world.ca, SERVER);
      const url = await secureRegistry(world, leaf);
      return deviceWith(world, { registries: [{ url, tls: { ca: world.otherCa.cert } }] });
    },
  },
  {
    name: 'expired certificate',
    lacking: faketime ? null : 'no faketime',
    cause: /certificate (has expired|is not trusted: .*expired|.*expired)/i,
    cure: /[Rr]enew|Give the server a certificate/,
    async plant(world) {
      const url = await secureRegistry(world, expiredLeaf(world));
      return deviceWith(world, { registries: [{ url, tls: { ca: world.ca.cert } }] });
    },
  },
  {
    name: 'certificate of another host',
    cause: /certificate.*(name|localhost|altnames)/i,
    cure: /names the host/,
    async plant(world) {
      const named = ['subjectAltName=DNS:registry.example', ...SERVER.slice(1)];
      const url = await secureRegistry(
        world,
        makeLeaf(world.folder, 'other-host', world.ca, named),
      );
      return deviceWith(world, { registries: [{ url, tls: { ca: world.ca.cert } }] });
    },
  },
  {
    name: 'DNS: the name is unknown',
    cause: /registry\.invalid.*(name|ENOTFOUND|resolve)/i,
    cure: /name server \(DNS\)/,
    plant: (world) =>
      deviceWith(world, { registries: [{ url: 'https://registry.invalid/plant/state' }] }),
  },
  {
    name: 'registry is down',
    cause: /link\.unreachable: .*(refused|ECONNREFUSED)/i,
    cure: /Check the network, the address/,
    async plant(world) {
      const url = `http://127.0.0.1:${await freePort()}/plant/state`;
      return deviceWith(world, { registries: [{ url }] });
    },
  },
  {
    name: 'registry wants a password',
    cause: /link\.unauthorized: .*wants other credentials/,
    cure: /Correct auth in the configuration/,
    async plant(world) {
      const registry = await startRegistry({ users: { plc: 'right' } });
      world.later(() => registry.remove());
      const url = `http://127.0.0.1:${registry.port}/plant/state`;
      const auth = {
        usernameFile: world.secret('user', 'plc'),
        passwordFile: world.secret('password', 'wrong'),
      };
      return deviceWith(world, { registries: [{ url, auth }] });
    },
  },
  {
    name: 'password file is missing',
    cause: /no-such-password/,
    cure: /Create (it|the file)|alone, on one line, into the file/,
    async plant(world) {
      const registry = await startRegistry({ users: { plc: 'right' } });
      world.later(() => registry.remove());
      const url = `http://127.0.0.1:${registry.port}/plant/state`;
      const auth = {
        usernameFile: world.secret('user2', 'plc'),
        passwordFile: 'no-such-password',
      };
      return deviceWith(world, { registries: [{ url, auth }] });
    },
  },
  {
    name: 'proxy wants a login (407)',
    cause: /proxy.*407/,
    cure: /proxyAuth, or http:\/\/USER:PASSWORD@/,
    async plant(world) {
      const port = await answering(
        world,
        'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="plant"\r\nContent-Length: 0\r\n\r\n',
      );
      const proxy = `http://127.0.0.1:${port}`;
      return deviceWith(world, {
        registries: [{ url: 'https://registry.example/plant/state', proxy }],
      });
    },
  },
  {
    name: 'a web server, no registry',
    cause: /manifest canary should be \S+ but is called text\/html/,
    cure: /Check that the url is that of an OCI registry/,
    async plant(world) {
      const port = await answering(
        world,
        'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello',
      );
      return deviceWith(world, { registries: [{ url: `http://127.0.0.1:${port}/plant/state` }] });
    },
  },
  {
    name: 'registry is out of order (503)',
    cause: /answered 503|is busy \(503\)/,
    cure: /Look at the log of the server|Wait; the agent tries again/,
    async plant(world) {
      const proxy = await startRegistryProxy(world.parts.registry.port);
      world.later(() => proxy.down());
      proxy.trick = () => ({ kind: 'answer', status: 503 });
      const url = world.shared.registry.replace(/:\d+\//, `:${proxy.port}/`);
      return deviceWith(world, { registries: [{ url }] });
    },
  },
  {
    name: 'lagging mirror',
    cause: /source\.stale: .*1\.1, older than 1\.2/,
    cure: /Bring the mirror, stick or broker up to date/,
    async plant(world) {
      const plant = await world.plant();
      const device = await settled(plant, 'press-mirror');
      const mirror = plant.registry.replace('/state', '/mirror');
      await copyTag(plant.registry, mirror, 'canary');
      publishFile(plant, join(device.opt, 'conf'), 'two');
      const { point } = await plant.publish('canary');
      await device.command(['apply']);
      await device.applied(point);
      await reconfigured(device, { registries: [{ url: mirror }] });
      return device;
    },
  },
  {
    name: 'broker password is wrong',
    cause: /link\.mqtt-refused: .*refuses the session/,
    cure: /Check mqtt\.auth/,
    async plant(world) {
      const broker = await startMosquitto((folder) => {
        const file = join(folder, 'passwords');
        spawnSync('mosquitto_passwd', ['-b', '-c', file, 'plc', 'right']);
        return ['allow_anonymous false', `password_file ${file}`];
      });
      world.later(() => broker.remove());
      const auth = {
        usernameFile: world.secret('mqtt-user', 'plc'),
        passwordFile: world.secret('mqtt-password', 'wrong'),
      };
      const mqtt = { url: `mqtt://127.0.0.1:${broker.port}`, auth };
      return mqttFault(world, { mqtt });
    },
  },
  {
    name: 'broker is down',
    cause: /mqtt.*link\.unreachable/,
    cure: /Check the network, the address/,
    async plant(world) {
      return mqttFault(world, { mqtt: { url: `mqtt://127.0.0.1:${await freePort()}` } });
    },
  },
  {
    name: 'cloned identity',
    cause: /identity\.cloned|link\.mqtt-taken-over/,
    cure: /prepare-image/,
    async plant(world) {
      const settings = { mqtt: { url: world.shared.mqtt } };
      const one = await deviceWith(world, { ...settings, device: { id: 'press-copy' } });
      const two = await deviceWith(world, { ...settings, device: { id: 'press-copy' } });
      await eventually(
        'one of them notices',
        async () => /taken-over|cloned/.test(`${one.log()}${(await one.command(['explain'])).out}`),
        60_000,
      );
      world.later(() => two.stop());
      return one;
    },
  },
];

async function mqttFault(
  world: World,
  settings: Readonly<Record<string, unknown>>,
): Promise<Device> {
  const device = await deviceWith(world, {
    registries: [{ url: world.shared.registry }],
    ...settings,
  });
  await eventually('the broker was asked', async () => (await device.status()).mqtt?.fault != null);
  return device;
}

/** What a pull-through cache or `skopeo copy` does: manifest and blobs under another name. */
export async function copyTag(from: string, to: string, tag: string): Promise<void> {
  const api = (url: string) => url.replace(/^(http:\/\/[^/]+)\/(.*)$/, '$1/v2/$2');
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = await fetch(`${api(from)}/manifests/${tag}`, { headers: { accept: type } });
  const text = await manifest.text();
  const { config, layers } = JSON.parse(text) as {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string }[];
  };
  for (const { digest } of [config, ...layers]) {
    const mount = `${api(to)}/blobs/uploads/?mount=${digest}&from=${new URL(from).pathname.slice(1)}`;
    await fetch(mount, { method: 'POST' });
  }
  const put = { method: 'PUT', headers: { 'content-type': type }, body: text };
  const pushed = await fetch(`${api(to)}/manifests/${tag}`, put);
  if (!pushed.ok) throw new Error(`mirror: ${pushed.status} ${await pushed.text()}`);
}
