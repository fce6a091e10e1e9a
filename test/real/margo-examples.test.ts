/**
 * The example documents of Margo, whole: the agent reads them from a manager that shows their identity,
 * the hub takes them from clients. What index.json says of each is what has to happen.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { digestOf, type LittleManager, littleManager } from '../support/margo-server.ts';
import { type MargoWorld, margoWorld } from '../support/margo-world.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../shared');
const EXAMPLES = join(SHARED, 'margo/examples');
const present = existsSync(join(EXAMPLES, 'index.json'));
const MANIFEST = '/api/v1/deployments';

interface Example {
  readonly file: string;
  readonly schema: string | null;
  readonly expect: 'accept' | 'tolerate' | 'refuse-schema' | 'refuse-logic';
}

const bytes = (file: string): Uint8Array => new Uint8Array(readFileSync(join(EXAMPLES, file)));
const text = (file: string): string => readFileSync(join(EXAMPLES, file), 'utf8');
const index = (present ? JSON.parse(text('index.json')) : []) as readonly Example[];
const of = (schema: string): readonly Example[] => index.filter((one) => one.schema === schema);
const identity = (name: string) => ({
  cert: join(EXAMPLES, `identity/${name}.crt.pem`),
  key: join(EXAMPLES, `identity/${name}.key.pem`),
});

let world: MargoWorld;
beforeAll(async () => {
  if (present) world = await margoWorld(null, 'by tests');
});
afterAll(() => world?.remove());

describe.skipIf(!present)(`the agent${present ? '' : ' (skipped: no examples here)'}`, () => {
  let manager: LittleManager;
  let device: MargoDevice;
  beforeAll(async () => {
    const anchor = { cert: join(EXAMPLES, 'identity/anchor.crt.pem'), key: '' };
    manager = await littleManager(identity('wfm'), anchor);
    const names = readdirSync(EXAMPLES, { recursive: true, withFileTypes: true });
    for (const entry of names.filter((one) => one.isFile())) {
      manager.keep(new Uint8Array(readFileSync(join(entry.parentPath, entry.name))));
    }
    // A digest that is nobody's: other bytes stand in their place.
    for (const { file } of of('StateManifest')) {
      for (const [url = ''] of text(file).matchAll(/\/api\/v1\/[^"]*/g)) {
        const own = manager.keep(bytes('deployment/compose.yaml'));
        const known = names.some(
          (one) =>
            one.isFile() && url.endsWith(digestOf(readFileSync(join(one.parentPath, one.name)))),
        );
        if (known || url.endsWith(own)) continue;
        const other = url.includes('/bundles/') ? 'bundle/one.tar.gz' : 'deployment/compose.yaml';
        manager.faults.set(url, { status: 200, body: bytes(other) });
      }
    }
    const client = identity('client');
    device = margoDevice({
      ...{ folder: join(world.desk.folder, 'examples'), root: world.root, url: manager.url },
      ...{ svid: client, trustBundle: join(EXAMPLES, 'identity/trust-bundle.json') },
      settings: {
        channels: [{ name: 'margo', allow: { roots: ['/opt'], runtimes: ['files', 'process'] } }],
        schedule: { interval: '50ms', backoffMax: '50ms', jitter: 0 },
      },
    });
    device.start();
  });
  afterAll(async () => {
    await device.stop();
    await manager.close();
  });

  const polls = () => manager.seen.filter(({ path }) => path === MANIFEST);
  const shown = () => `${polls().at(-1)?.headers['if-none-match'] ?? ''}`;
  const accepted = async (file: string): Promise<void> => {
    manager.serve(text(file));
    const etag = `"${digestOf(text(file))}"`;
    await eventually(`${file} is accepted`, () => shown() === etag);
  };
  const refused = async (file: string, body = text(file)): Promise<void> => {
    const before = shown();
    const asked = polls().length;
    const logged = device.log().length;
    manager.serve(body);
    await eventually(`${file} is told`, () =>
      /\b(?:margo|source|format|trust|plan|config)\.[a-z-]+/.test(device.log().slice(logged)),
    );
    await eventually('and asked for again', () => polls().length > asked + 2);
    expect(shown()).toBe(before);
  };

  test('rules 23, 50: takes the manifests one after another, each once', async () => {
    for (const name of ['empty', 'one', 'many', 'removed-one', 'unknown-members', 'wrong-size']) {
      await accepted(`manifest/${name}.json`);
    }
    await accepted('manifest/tolerated/bundle-null-with-deployments.json');
  }, 30_000);

  test('rules 30, 31: neither goes back nor takes two things for one version', async () => {
    await refused('manifest/many.json');
    const current = text('manifest/tolerated/bundle-null-with-deployments.json');
    await refused('other bytes', current.replace('{', '{ '));
  }, 30_000);

  test('rules 29, 34, 35, 36, 37, 41, 44, 47: accepts none of those that are wrong', async () => {
    const wrong = of('StateManifest').filter((one) => one.expect.startsWith('refuse'));
    expect(wrong.length).toBeGreaterThan(15);
    for (const { file } of wrong) await refused(file);
  }, 60_000);

  test('rule 29: counts beyond 2^53, to the last version that there is', async () => {
    const before = text('manifest/beyond-double.json').replace('40993', '40992');
    manager.serve(before);
    await eventually('2^53', () => shown() === `"${digestOf(before)}"`);
    await accepted('manifest/beyond-double.json');
    await accepted('manifest/max-version.json');
  });

  test('all that it sent is as the description of the API has it', () => {
    expect(manager.traffic.told()).toBeGreaterThan(50);
    expect(manager.traffic.misfits).toEqual([]);
  });
});

describe.skipIf(!present)(`the hub${present ? '' : ' (skipped: no examples here)'}`, () => {
  const pem = (file: string): string => readFileSync(file, 'utf8');
  const send = (method: string, path: string, body: string, as: string): Promise<Response> => {
    const { cert, key } = world.svid(as);
    const tls = { ca: pem(world.ca.cert), checkServerIdentity: () => undefined };
    return fetch(`${world.url}/api/v1/${path}`, {
      ...{ method, body, headers: { 'content-type': 'application/json' } },
      tls: { ...tls, cert: pem(cert), key: pem(key) },
    } as RequestInit);
  };
  const idIn = (body: string, member: string): string =>
    new RegExp(`"${member}": ?"([^"]*)"`).exec(body)?.[1] ?? 'none';

  test('rules 15, 17, 18: takes the capabilities that fit, and names the members that do not', async () => {
    for (const { file, expect: wanted } of of('DeviceCapabilities')) {
      const body = text(file);
      const id = idIn(body, 'id');
      const gateway = id.slice(0, Math.max(0, id.lastIndexOf('/')));
      const relay = { id: gateway, vendor: 'v', modelNumber: 'm', serialNumber: 's' };
      if (gateway !== '') {
        const told = JSON.stringify({ properties: relay });
        await send('PUT', `capabilities/${gateway}`, told, 'press-42');
      }
      const response = await send('PUT', `capabilities/${encodeURI(id)}`, body, 'press-42');
      const refused = wanted.startsWith('refuse');
      const statuses = refused ? [400, 422] : [200, 201];
      expect([file, statuses.includes(response.status)]).toEqual([file, true]);
      if (response.status !== 422) continue;
      const { errors } = (await response.json()) as { errors: { field: string }[] };
      expect(errors.length).toBeGreaterThan(0);
    }
  });

  test('rules 61, 62: takes the reports that fit, and no others', async () => {
    const child = text('status/child-device.json');
    const parts = idIn(child, 'deviceId').split('/');
    for (const [at] of parts.entries()) {
      const id = parts.slice(0, at + 1).join('/');
      const properties = { id, vendor: 'v', modelNumber: 'm', serialNumber: 's' };
      await send('PUT', `capabilities/${id}`, JSON.stringify({ properties }), 'press-42');
    }
    for (const { file, expect: wanted } of of('DeploymentStatus')) {
      const body = text(file);
      const own = idIn(body, 'deploymentId');
      const id = file.includes('id-differs') ? 'another' : own;
      const response = await send('POST', `deployments/${id}/status`, body, 'press-42');
      // Which components the document has is the client's to know.
      const taken = !wanted.startsWith('refuse') || file.includes('component-left-out');
      expect([file, response.status]).toEqual([file, taken ? 200 : 422]);
    }
  });

  test('all that it answered is as the description of the API has it', () => {
    expect(world.traffic.told()).toBeGreaterThan(30);
    expect(world.traffic.misfits).toEqual([]);
  });
});
