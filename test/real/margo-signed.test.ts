/**
 * Manifests that the fleet's keys have signed (`authority: signature`): one publish, which reaches devices
 * by the Margo API, by a registry alone, by a broker alone, and on a stick; and what nobody signed.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#state/digest.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { littleManager } from '../support/margo-server.ts';
import { type MargoWorld, makeSvid, margoFiles, margoWorld, WFM } from '../support/margo-world.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const B = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const title = (text: string): string => (Bun.which('openssl') ? text : `${text} (no openssl)`);
const SIGNED = { authority: 'signature' };

const OWN = `apiVersion: holdfast/v1
kind: Deployment
id: own
spec:
  deploymentProfile:
    type: files
    components: [{ name: c, properties: { blob: files/a, target: /opt/own } }]
`;

let world: MargoWorld;
let opt: string;
const devices: MargoDevice[] = [];
beforeAll(async () => {
  world = await margoWorld(null, 'by tests', {}, 'margo');
  opt = join(world.desk.folder, 'common');
  mkdirSync(opt);
});
afterAll(async () => {
  for (const one of devices) await one.stop();
  await world.remove();
});

/** Where a way is missing, its address leads nowhere. */
function device(name: string, how: Record<string, unknown>, margo = {}): MargoDevice {
  const made = margoDevice({
    ...{ folder: join(world.desk.folder, name), root: world.root, url: 'https://127.0.0.1:9' },
    ...{ svid: world.svid('press-7'), trustBundle: world.bundle, id: 'press-7' },
    margo: { ...SIGNED, ...margo },
    settings: {
      channels: [{ name: 'margo', allow: { roots: [world.desk.folder] } }],
      ...{ registries: [], ...how },
    },
  });
  devices.push(made);
  return made;
}
const digestsOf = async (one: MargoDevice) => {
  const status = await one.status().catch(() => null);
  return status?.channels[0]?.deployments.map(({ id, digest }) => `${id} ${digest}`);
};

describe('a signed manifest', () => {
  const registries = () => ({ registries: [{ url: world.registry }] });

  test(title(
    'reaches devices by the Margo API, a registry, a broker and a stick, as the same documents',
  ), async () => {
    const document = margoFiles(A, 'press-7', join(opt, 'a'));
    const others = margoFiles(B, 'crane-1', join(opt, 'b'));
    world.write(`${A}.yaml`, document);
    world.write(`${B}.yaml`, others);
    world.write('files/a', 'from one publish');
    // One that believes its connection, and asks before anything is published.
    const believing = device('by-tls', registries(), { url: world.url, authority: 'tls' });
    const ways = [
      device('by-api', registries(), { url: world.url }),
      device('by-registry', registries()),
      device('by-broker', { mqtt: { url: world.mqtt } }),
      device('by-stick', {}),
    ];
    for (const one of [...ways, believing]) one.start();
    await eventually('the broker has its device', () => ways[2]?.log().includes('agent.started'));
    await eventually('it has asked', () => believing.log().includes('margo.answer'));
    await world.publish(['--push']);
    const stick = join(world.desk.folder, 'stick');
    const to = ['--fleet', world.fleet, '-y', '--to', `oci:${stick}`];
    await world.desk.json(['publish', 'margo', ...to]);
    await eventually('the stick has its device', () => ways[3]?.log().includes('agent.started'));
    const runDir = ['--run-dir', join(ways[3]?.folder ?? '', 'run')];
    const [code, said] = (await ways[3]?.command('apply', stick, ...runDir)) ?? [];
    expect([code, code === 0 ? '' : said]).toEqual([0, '']);
    const wanted = [`${A} ${sha256(Buffer.from(document))}`];
    for (const one of ways) {
      // What is for another device is none of this one's, and no failure of it.
      await eventually(
        `${one.folder} has it`,
        async () => JSON.stringify(await digestsOf(one)) === JSON.stringify(wanted),
      );
    }
    expect(readFileSync(join(opt, 'a'), 'utf8')).toBe('from one publish');
    // Rule 31: what it was told first is the publisher's number 1, and no empty 1 of the hub's own.
    await eventually('it has it as well', async () =>
      (await digestsOf(believing))?.includes(wanted[0] ?? ''),
    );
    expect(believing.log()).not.toContain('trust.');
  }, 60_000);

  test(
    title('is what the hub serves, byte for byte, to each client, with the envelope beside it'),
    async () => {
      const { cert, key } = world.svid('crane-1');
      const pem = (file: string): string => readFileSync(file, 'utf8');
      const tls = { ca: pem(world.ca.cert), checkServerIdentity: () => undefined };
      const get = (path: string): Promise<Response> =>
        fetch(`${world.url}/api/v1/${path}`, {
          tls: { ...tls, cert: pem(cert), key: pem(key) },
        } as RequestInit);
      const bytes = new Uint8Array(await (await get('deployments')).arrayBuffer());
      const manifest = readMargoManifest(bytes);
      expect(manifest.ok && manifest.value.deployments.map(({ id }) => id)).toEqual([A, B]);
      const response = await get(`holdfast/envelopes/${sha256(bytes)}`);
      const envelope = (await response.json()) as Record<string, string>;
      expect(envelope.payloadType).toBe('application/vnd.margo.manifest.v1+json');
      expect(Buffer.from(envelope.payload ?? '', 'base64').equals(Buffer.from(bytes))).toBe(true);
      for (const path of ['envelopes/sha256:00', 'roots/2', 'roots/x', 'else/1']) {
        expect((await get(`holdfast/${path}`)).status).toBe(404);
      }
      expect(manifest.ok && (await get(`bundles/${manifest.value.bundle}`)).status).toBe(200);
    },
  );

  test(title(
    'of the next version takes its place, after a restart too; the one before is refused',
  ), async () => {
    const [, byApi, byRegistry] = devices;
    await byRegistry?.stop('SIGKILL');
    world.write('files/a', 'from the next');
    await world.publish();
    byRegistry?.start();
    for (const one of [byApi, byRegistry]) {
      await eventually('the next', async () => {
        const status = await one?.status().catch(() => null);
        return status?.channels[0]?.applied?.sequence === '2';
      });
    }
    const old = join(world.desk.folder, 'stick');
    const runDir = ['--run-dir', join(byRegistry?.folder ?? '', 'run')];
    const [code, said] = (await byRegistry?.command('apply', old, ...runDir)) ?? [];
    expect(code).toBe(3);
    expect(said).toMatch(/trust\.rollback|source\.stale/);
  }, 60_000);
});

test(
  title('what keys elsewhere sign is a manifest as well: pae says what, and over which bytes'),
  async () => {
    const folder = join(world.fleet, 'signed/margo/1-1');
    const out = join(world.desk.folder, 'to-sign');
    const said = await world.desk.run(['pae', folder, '--out', out]);
    expect([said.code, said.err]).toEqual([0, expect.stringContaining(A)]);
    expect(readFileSync(out, 'latin1')).toStartWith(
      'DSSEv1 38 application/vnd.margo.manifest.v1+json ',
    );
  },
);

describe('what nobody of the root has signed', () => {
  test(title(
    'is not believed from the manager itself: no envelope, or one of other keys',
  ), async () => {
    const folder = join(world.desk.folder, 'pki');
    const manager = await littleManager(makeSvid(folder, 'little', world.ca, WFM), world.ca);
    try {
      const text = manager.deploy(9, { [A]: margoFiles(A, 'press-7', join(opt, 'forged')) });
      const strict = device('strict', {}, { url: manager.url });
      strict.start();
      await eventually('no signature', () => strict.log().includes('margo.unsigned'));
      const forged = {
        payloadType: 'application/vnd.margo.manifest.v1+json',
        payload: Buffer.from(text).toString('base64'),
        signatures: [{ keyid: '', sig: Buffer.alloc(64).toString('base64') }],
      };
      const path = `/api/v1/holdfast/envelopes/${sha256(Buffer.from(text))}`;
      manager.faults.set(path, { status: 200, body: JSON.stringify(forged) });
      manager.deploy(10, { [A]: margoFiles(A, 'press-7', join(opt, 'forged')) });
      manager.serve(text);
      await eventually('nobody signed', () => strict.log().includes('trust.threshold'));
      expect(await digestsOf(strict)).toEqual([]);
    } finally {
      await manager.close();
    }
  }, 30_000);

  test(
    title('is not signed by this fleet either: publish.margo says what a manifest cannot carry'),
    async () => {
      world.write('own.yaml', OWN);
      const refused = await world.desk.run(['publish', 'margo', '--fleet', world.fleet, '-y']);
      expect(refused.code).not.toBe(0);
      expect(refused.err).toContain('publish.margo');
      expect(refused.err).toContain('own is no ApplicationDeployment');
    },
  );
});
