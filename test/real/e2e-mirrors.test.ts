/**
 * Several registries and what stands before them, as a plant has them: the compiled agent, Debian's
 * docker-registry as a pull-through cache, squid and tinyproxy in a row with mutual TLS end to end,
 * and a proxy that ends TLS. What is signed decides, whoever carries it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '#agent/config.ts';
import {
  type CertificateFiles,
  CLIENT,
  makeCa,
  makeLeaf,
  SERVER,
} from '../support/certificates.ts';
import type { Device } from '../support/device.ts';
import { type RealRegistry, startRegistry } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import { publishFile } from '../support/faults/world.ts';
import { type Descriptor, digestOf, pushBlob } from '../support/forge.ts';
import { freePort } from '../support/free-port.ts';
import { ROOT } from '../support/parts.ts';
import { makePlant, missing, type Parts, type Plant, startParts } from '../support/plant.ts';
import { noProxies, startSquid, startTinyproxy } from '../support/proxies.ts';
import { startRegistryProxy } from '../support/registry-proxy.ts';
import { flipped, startTlsEndingProxy, type TlsEndingProxy } from '../support/tls-ending-proxy.ts';

const real = missing ? test.skip : test;
const title = (name: string): string => (missing ? `${name} (${missing})` : name);
const proxied = missing || noProxies ? test.skip : test;
const whyProxied = missing || noProxies ? ` (${missing ?? noProxies})` : '';
/** Past what fits into one chunk of a body. */
const LARGE = 'a line of many\n'.repeat(40_000);

describe('mirrors of a plant', () => {
  let parts: Parts;
  let folder: string;
  let ca: CertificateFiles;
  const ends: (() => unknown)[] = [];
  beforeAll(async () => {
    if (missing) return;
    parts = await startParts();
    folder = mkdtempSync(join(tmpdir(), 'holdfast-mirrors-'));
    ca = makeCa(folder, 'registry-ca');
  });
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
    await parts?.remove();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  async function plantOf(): Promise<Plant> {
    const plant = await makePlant(parts);
    ends.push(() => plant.remove());
    return plant;
  }

  /** The same repository on another port. */
  function at(plant: Plant, port: number, scheme = 'http', host = '127.0.0.1'): string {
    return plant.registry.replace(/^http:\/\/127\.0\.0\.1:\d+/, `${scheme}://${host}:${port}`);
  }

  async function publish(plant: Plant, device: Device, text: string): Promise<string> {
    publishFile(plant, join(device.opt, 'conf'), text);
    return (await plant.publish('canary')).point;
  }

  async function cacheOf(plant: Plant): Promise<{
    readonly cache: RealRegistry;
    readonly upstream: { down(): Promise<void>; up(): Promise<void> };
    readonly url: string;
  }> {
    const upstream = await startRegistryProxy(parts.registry.port);
    const cache = await startRegistry({ upstream: `http://127.0.0.1:${upstream.port}` });
    ends.push(
      () => cache.remove(),
      () => upstream.down(),
    );
    return { cache, upstream, url: at(plant, cache.port) };
  }

  real(title('a pull-through cache serves what it has when its upstream is gone'), async () => {
    const plant = await plantOf();
    const { upstream, url } = await cacheOf(plant);
    const settings = { registries: [{ url }], mqtt: undefined };
    const first = plant.device('press-1', { settings });
    const second = plant.device('press-2', { settings });
    const target = join(folder, 'shared-conf');
    for (const device of [first, second]) {
      device.configure({ channels: [{ name: 'canary', allow: { roots: [folder] } }] });
    }
    publishFile(plant, target, LARGE);
    const { point } = await plant.publish('canary');
    await first.start();
    await first.applied(point);
    await first.stop();
    rmSync(target);
    await upstream.down();
    await second.start();
    await second.applied(point);
    expect(await Bun.file(target).text()).toBe(`${LARGE}\n`);
  });

  real(title('a cache with an old tag is a lagging mirror, and no attack'), async () => {
    const plant = await plantOf();
    const { upstream, url } = await cacheOf(plant);
    const device = plant.device('press-3', {
      settings: { registries: [{ url }, { url: plant.registry }] },
    });
    const one = await publish(plant, device, 'one');
    await device.start();
    await device.applied(one);
    await device.linked();
    await upstream.down();
    // By the nudge's digest: the cache cannot fetch it any more, the registry behind it has it.
    const two = await publish(plant, device, 'two');
    await device.applied(two);
    expect(device.read('conf')).toBe('two\n');
    await device.command(['apply']);
    const { registries, channels } = await device.status();
    expect(registries[0]).toMatchObject({ state: 'lags' });
    expect(registries[0]?.channels[0]).toMatchObject({ shows: one, behind: '1 behind' });
    expect(channels[0]).toMatchObject({ refused: null, applied: { point: two } });
    const { also } = await device.explain();
    const name = url.replace('http://', '');
    expect((also ?? []).map(({ verdict }) => verdict)).toContain(
      `lagging mirror ${name}: it shows ${one} of canary, 1 behind (${two} is known)`,
    );
    const { out } = await device.command(['status']);
    expect(out).toContain(`${name} lagging mirror`);
    await upstream.up();
    await device.command(['apply']);
    await eventually('the cache has caught up', async () =>
      (await device.status()).registries.every(({ state }) => state !== 'lags'),
    );
  });

  real(title('a first mirror that is down does not hold up the others, and is named'), async () => {
    const plant = await plantOf();
    const dead = at(plant, await freePort());
    const device = plant.device('press-4', {
      settings: { registries: [{ url: dead }, { url: plant.registry }], mqtt: undefined },
    });
    const one = await publish(plant, device, 'one');
    await device.start();
    await device.applied(one);
    const [first, second] = (await device.status()).registries;
    expect(first).toMatchObject({ state: 'fails', fault: { code: 'link.unreachable' } });
    expect(first?.restsForMs).toBeGreaterThan(0);
    expect(second).toMatchObject({ state: 'answers' });
    const doctor = await plant.holdfast(['doctor', '--config', device.configFile]);
    expect(doctor.out).toContain('nobody listens there');
    expect(doctor.out).toContain(`${plant.registry.replace('http://', '')}:canary is sha256:`);
  });

  real(title('the commands and files of docs/networks.md, as they stand there'), async () => {
    const page = readFileSync(join(ROOT, 'docs/networks.md'), 'utf8');
    const blocks = (kind: string) =>
      [...page.matchAll(new RegExp(`\`\`\`${kind}\n([^\`]*)\`\`\``, 'g'))].map(
        ([, text = '']) => text,
      );
    const head =
      'apiVersion: holdfast/v1\nkind: Agent\ntrust: { root: /r }\nchannels: [{ name: stable }]\n';
    const ours = blocks('yml').filter((text) => !text.startsWith('version:'));
    for (const text of ours) {
      const read = parseConfig(Buffer.from(head + text), '/etc/holdfast/agent.yaml');
      expect(read.ok ? '' : read.fault.message).toBe('');
    }
    expect(ours).toHaveLength(3);
    const plant = await plantOf();
    const device = plant.device('press-7', { settings: { mqtt: undefined } });
    const one = await publish(plant, device, 'one');
    await device.start();
    await device.applied(one);
    const lines = blocks('sh').flatMap((text) => text.trimEnd().split('\n'));
    expect(lines).toHaveLength(3);
    const of = ['--run-dir', device.runDir];
    for (const line of lines) {
      const words = line.split(' ').slice(1);
      const where = words[0] === 'doctor' ? ['--config', device.configFile] : of;
      const ended = await plant.holdfast([...words, ...where]);
      expect({ line, code: ended.code, err: ended.err }).toMatchObject({ line, code: 0 });
      if (words[0] === 'status') expect(ended.out).toMatch(/registry: +\S+ answers canary 1\.1/);
    }
  });

  proxied(`HTTPS with a client certificate through two proxies in a row${whyProxied}`, async () => {
    const plant = await plantOf();
    const leaf = makeLeaf(folder, 'registry', ca, SERVER);
    const client = makeLeaf(folder, 'device', ca, CLIENT);
    const secure = await startRegistry({
      tls: { ...leaf, clientCa: ca.cert },
      upstream: `http://127.0.0.1:${parts.registry.port}`,
    });
    const [second, [usernameFile, passwordFile]] = [
      await startTinyproxy(),
      [join(folder, 'user'), join(folder, 'password')],
    ];
    const first = await startSquid({ login: 'plc-7:p a:ss%', next: second.port });
    ends.push(
      () => secure.remove(),
      () => first.remove(),
      () => second.remove(),
    );
    writeFileSync(usernameFile, 'plc-7\n');
    writeFileSync(passwordFile, 'wrong\n');
    const registry = {
      url: at(plant, secure.port, 'https', 'localhost'),
      tls: { ca: ca.cert, cert: client.cert, key: client.key },
      ...{ proxy: `http://127.0.0.1:${first.port}`, proxyAuth: { usernameFile, passwordFile } },
    };
    const device = plant.device('press-5', {
      settings: { registries: [registry], mqtt: undefined },
    });
    const one = await publish(plant, device, LARGE);
    await device.start();
    await device.command(['apply']);
    expect((await device.explain()).verdict).toMatch(/link\.proxy: .*407/);
    expect(`${device.log()}${(await device.explain()).verdict}`).not.toContain('wrong');
    // Read again at each connection: no restart.
    writeFileSync(passwordFile, 'p a:ss%\n');
    await device.command(['apply']);
    await device.applied(one);
    expect(device.read('conf')).toBe(`${LARGE}\n`);
    expect(second.log()).toContain(`CONNECT localhost:${secure.port}`);
    await first.stop();
    await device.command(['apply']);
    expect((await device.explain()).verdict).toMatch(/link\.proxy: .*it cannot be reached/);
  });

  describe('a proxy that ends TLS', () => {
    let plant: Plant;
    let device: Device;
    let proxy: TlsEndingProxy;
    let companyCa: CertificateFiles;
    let point: string;
    beforeAll(async () => {
      if (missing) return;
      plant = await plantOf();
      companyCa = makeCa(folder, 'company-ca');
      const leaf = makeLeaf(folder, 'any-host', companyCa, SERVER);
      proxy = await startTlsEndingProxy(leaf, parts.registry.port);
      ends.push(() => proxy.close());
      device = plant.device('press-6', {
        settings: { registries: [through(ca)], mqtt: undefined },
      });
      point = await publish(plant, device, 'one');
    });
    const through = (anchor: CertificateFiles) => ({
      url: at(plant, 443, 'https', 'localhost'),
      tls: { ca: anchor.cert },
      proxy: `http://127.0.0.1:${proxy.port}`,
    });

    real(
      title('is refused unless its CA is configured, and is not asked for a thing'),
      async () => {
        await device.start();
        await device.command(['apply']);
        expect((await device.explain()).verdict).toContain('link.tls-untrusted');
        expect(proxy.asked).toEqual([]);
        await device.stop();
        device.configure({ registries: [through(companyCa)] });
        await device.start();
        await device.applied(point);
      },
    );

    /** Layers that the publisher embedded in the manifest (image-spec, `data`) are changed there. */
    const embedded = (type: string) => (path: string, body: Buffer) => {
      if (!path.includes('/manifests/') || body.length === 0) return body;
      const manifest = JSON.parse(body.toString());
      const layer = manifest.layers.find(({ mediaType }: Descriptor) => mediaType.includes(type));
      layer.data = flipped(Buffer.from(layer.data, 'base64')).toString('base64');
      return Buffer.from(JSON.stringify(manifest));
    };
    for (const [what, code, alter] of [
      [
        'the manifest',
        /source\.|format\./,
        (path: string, body: Buffer) => (path.includes('/manifests/') ? flipped(body) : body),
      ],
      ['the envelope', /source\.|format\./, embedded('envelope')],
      ['the documents', /source\.|format\./, embedded('documents')],
      [
        'a blob',
        /source\.digest-mismatch/,
        (_path: string, body: Buffer) => (body.includes('line of many') ? flipped(body) : body),
      ],
    ] as const) {
      real(
        title(`N09: one bit of ${what} changed on the way: refused, nothing changes`),
        async () => {
          const before = [device.tree(), (await device.status()).channels[0]?.desired];
          await publish(plant, device, `${what} ${LARGE}`);
          proxy.alter = alter;
          await device.command(['apply']);
          const told = await device.explain();
          expect(JSON.stringify([told.verdict, told.look])).toMatch(code);
          expect([device.tree(), (await device.status()).channels[0]?.desired]).toEqual(before);
        },
      );
    }
    real(
      title('N09: manifest and envelope changed to fit each other: the signature decides'),
      async () => {
        const before = [device.tree(), (await device.status()).channels[0]?.desired];
        proxy.alter = async (path, body) => {
          if (path.endsWith('/manifests/canary') && body.length > 0) {
            const manifest = JSON.parse(body.toString());
            const blob = await fetch(`${api(plant)}/blobs/${manifest.layers[0].digest}`);
            const envelope = JSON.parse(await blob.text());
            const payload = Buffer.from(envelope.payload, 'base64');
            envelope.payload = flipped(payload).toString('base64');
            const forged = Buffer.from(JSON.stringify(envelope));
            await pushBlob(plant.registry, forged);
            manifest.layers[0] = {
              ...manifest.layers[0],
              ...{ digest: digestOf(forged), size: forged.length, data: undefined },
            };
            return Buffer.from(JSON.stringify(manifest));
          }
          return body;
        };
        await device.command(['apply']);
        const told = await device.explain();
        expect(JSON.stringify([told.verdict, told.look])).toMatch(/trust\.threshold/);
        expect([device.tree(), (await device.status()).channels[0]?.desired]).toEqual(before);
      },
    );
    real(title('what was refused applies when nobody changes it any more'), async () => {
      proxy.alter = (_path, body) => body;
      point = await publish(plant, device, 'healed');
      await device.command(['apply']);
      await device.applied(point);
      expect(device.read('conf')).toBe('healed\n');
    });
  });
});

function api({ registry }: Plant): string {
  return registry.replace(/^(http:\/\/[^/]+)\/(.*)$/, '$1/v2/$2');
}
