/** The hub as Margo manager in rc2 and pr1 beside rc3: onboarding, signatures, and one publish in all three. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createPrivateKey } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sha256 } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { type CertificateFiles, CLIENT, makeCa, makeLeaf } from '../support/certificates.ts';
import { readUntil, spawnHub } from '../support/hub.ts';
import {
  granted,
  type MargoWorld,
  makeSvid,
  margoFiles,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';
import { digestField, type OlderClient, olderClient, onboarding } from '../support/older-client.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const LIST = join(tmpdir(), `holdfast-accepted-${process.pid}`);

let world: MargoWorld;
let authority: CertificateFiles;
let press: OlderClient;
let crane: OlderClient;
let stranger: OlderClient;
let id: string;
beforeAll(async () => {
  writeFileSync(LIST, '# who may onboard\n');
  world = await margoWorld(null, 'by tests', { dialects: ['rc3', 'rc2', 'pr1'], accepted: LIST });
  authority = makeCa(world.desk.folder, 'clients');
  [press, crane, stranger] = [made('press'), made('crane'), made('stranger')];
  appendFileSync(LIST, `${press.fingerprint} # the press\n`);
  const hex = crane.fingerprint.slice(7).toUpperCase();
  appendFileSync(LIST, `sha256 Fingerprint=${hex.match(/../g)?.join(':')}\n`);
  id = await press.onboard();
});
afterAll(async () => {
  await world.remove();
  await Bun.file(LIST).delete();
});

const pem = (file: string): string => readFileSync(file, 'utf8');
function made(name: string): OlderClient {
  const files = makeLeaf(world.desk.folder, name, authority, CLIENT);
  return olderClient(world.url, files, pem(world.ca.cert));
}
const said = async (answer: Response): Promise<readonly [number, string]> => {
  const body = (await answer.json()) as { error?: unknown };
  expect(answer.headers.get('content-type')).toBe('application/json');
  return [answer.status, `${body.error}`];
};
const device = (name: string): Record<string, unknown> => ({
  apiVersion: 'device.margo.org/v1alpha1',
  kind: 'DeviceCapabilitiesManifest',
  properties: {
    ...{ id: name, vendor: 'v', modelNumber: 'm', serialNumber: 's', roles: ['Standalone Device'] },
    resources: {
      ...{ cpu: { cores: 2, architecture: 'amd64' }, memory: '2Gi', storage: '8Gi' },
      ...{ peripherals: [], interfaces: [{ type: 'ethernet' }] },
    },
  },
});
async function manifestOf(client: OlderClient, of: string) {
  const response = await client.ask(`/api/v1/clients/${of}/deployments`);
  expect(response.status).toBe(200);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { manifest: granted(readMargoManifest(bytes)), digest: sha256(bytes), bytes, response };
}

describe('onboarding', () => {
  test('rule 75: the same certificate gets the same id, as PEM and as DER; another one another', async () => {
    expect(id).toMatch(/^[0-9a-f-]{36}$/);
    expect(await press.onboard()).toBe(id);
    const der = await press.ask('/api/v1/onboarding', {
      body: onboarding(press.certificate('der')),
    });
    expect([der.status, await der.json()]).toEqual([201, { clientId: id }]);
    expect(await crane.onboard()).not.toBe(id);
  });

  test('rule 75: a body that is none is 400, a certificate that is not accepted 403', async () => {
    const hand = (body: string) => stranger.ask('/api/v1/onboarding', { body });
    const kinds = [
      ...['{', '[]', onboarding(''), onboarding('AAAA'), onboarding('MIIB')],
      onboarding(press.certificate()).replace('OnboardingRequest', 'Onboard'),
      onboarding(press.certificate()).replace('v1alpha1', 'v9'),
    ];
    for (const body of kinds)
      expect([body.slice(0, 90), (await hand(body)).status]).toEqual([body.slice(0, 90), 400]);
    const [status, error] = await said(await hand(onboarding(stranger.certificate())));
    expect([status, error]).toEqual([403, expect.stringContaining(stranger.fingerprint)]);
  });

  test('nobody onboards with the certificate of another one, or without a signature (rule 71)', async () => {
    const body = onboarding(press.certificate());
    expect((await stranger.ask('/api/v1/onboarding', { body })).status).toBe(401);
    expect((await press.ask('/api/v1/onboarding', { body, key: null })).status).toBe(401);
  });

  test('the root CA is for everybody to look at', async () => {
    const answer = await stranger.ask('/api/v1/onboarding/certificate', { key: null });
    const { certificate } = (await answer.json()) as { certificate: string };
    expect(Buffer.from(certificate, 'base64').toString().trim()).toBe(pem(world.ca.cert).trim());
  });
});

describe('who sent it', () => {
  const deployments = () => `/api/v1/clients/${id}/deployments`;
  const status = () => `${deployments()}/${ID}/status`;
  const REPORT = JSON.stringify({
    apiVersion: 'deployment.margo.org/v1alpha1',
    kind: 'DeploymentStatusManifest',
    deploymentId: ID,
    status: { state: 'installed' },
    components: [{ name: 'conf', state: 'installed' }],
  });

  test('rule 72: without a signature, and with one that is not over this request: 401', async () => {
    const other = { as: { url: `${world.url}/api/v1/clients/other/deployments` } };
    for (const how of [
      { key: null },
      { as: { method: 'DELETE' } },
      other,
      { der: true },
      { covered: ['@method', '@authority'] },
      { headers: { signature: 'sig1=:AAAA:' } },
      { headers: { 'signature-input': 'nonsense(' } },
    ]) {
      expect([how, (await press.ask(deployments(), how)).status]).toEqual([how, 401]);
    }
    const uncovered = { body: REPORT, covered: ['@method', '@target-uri', '@authority'] };
    expect((await press.ask(status(), uncovered)).status).toBe(401);
    expect((await press.ask(deployments())).status).toBe(200);
  });

  test('rule 72: a digest that is not of the body is 400, a client that nobody is 404', async () => {
    const changed = { body: REPORT, as: { body: REPORT.replace('installed', 'failed') } };
    expect((await said(await press.ask(status(), changed)))[0]).toBe(400);
    const headers = { 'content-digest': digestField('x') };
    expect((await press.ask(status(), { body: REPORT, headers })).status).toBe(400);
    const [code, error] = await said(await press.ask('/api/v1/clients/c-0000/deployments'));
    expect([code, error]).toEqual([404, 'no client has this id']);
  });

  test('rule 73: created at most five minutes ago, and never ahead', async () => {
    for (const [created, wanted] of [
      [-299, 200],
      [-302, 401],
      [-3_600, 401],
      [5, 401],
      [600, 401],
    ] as const) {
      const answer = await press.ask(deployments(), { created });
      expect([created, answer.status]).toEqual([created, wanted]);
    }
  });

  test('rule 74: the key is that of the client in the path, whatever keyid says', async () => {
    expect((await crane.ask(deployments())).status).toBe(401);
    const key = createPrivateKey(pem(join(world.desk.folder, 'crane.key')));
    expect((await press.ask(deployments(), { key })).status).toBe(401);
    expect((await press.ask(deployments(), { keyid: 'whatever' })).status).toBe(200);
  });

  test('rule 9: a certificate that is accepted no more is 403 at the next request', async () => {
    const list = readFileSync(LIST, 'utf8');
    writeFileSync(LIST, list.replace(press.fingerprint, ''));
    expect((await press.ask(deployments())).status).toBe(403);
    writeFileSync(LIST, list);
    expect((await press.ask(deployments())).status).toBe(200);
  });

  test('rules 61, 62, 63: a status in the older shape is taken with 200, a wrong one is 422', async () => {
    for (const state of ['pending', 'installing', 'installed', 'failed', 'removing', 'removed']) {
      const body = JSON.stringify({ ...JSON.parse(REPORT), status: { state }, components: [] });
      expect((await press.ask(status(), { body })).status).toBe(200);
    }
    for (const [from, to] of [
      [ID, 'other'],
      ['installed', 'fine'],
      ['v1alpha1', 'v9'],
    ] as const) {
      const answer = await press.ask(status(), { body: REPORT.replace(from, to) });
      expect(answer.status).toBe(422);
      expect(await answer.json()).toMatchObject({ status: 'validation_failed', errors: [{}] });
    }
    expect((await press.ask(status(), { body: '{' })).status).toBe(400);
    const large = { body: 'x'.repeat(70_000) };
    expect((await press.ask(status(), large)).status).toBe(413);
  });
});

describe('capabilities', () => {
  const at = (name = '') => `/api/v1/clients/${id}/capabilities${name === '' ? '' : `/${name}`}`;
  const tell = (path: string, of: unknown, method = 'POST') =>
    press.ask(path, { method, body: JSON.stringify(of) });

  test('rule 15: taken with 201 in both dialects, at first and as a change; dropped in rc2', async () => {
    for (const method of ['POST', 'PUT']) {
      expect((await tell(at(), device('press-42'), method)).status).toBe(201);
      expect((await tell(at('press-9'), device('press-9'), method)).status).toBe(201);
    }
    const drop = () => press.ask(at('press-9'), { method: 'DELETE' });
    expect([(await drop()).status, (await drop()).status]).toEqual([204, 404]);
  });

  test('rules 13, 18, 19: a child before its gateway, a wrong member, no JSON', async () => {
    expect((await tell(at('gate/child'), device('gate/child'))).status).toBe(404);
    expect((await tell(at('press-42'), device('other'))).status).toBe(422);
    expect((await tell(at(), { ...device('press-42'), kind: 'x' })).status).toBe(422);
    expect((await press.ask(at(), { body: '{' })).status).toBe(400);
  });
});

describe('one publish', () => {
  test('rules 25, 26, 27, 28, 33, 53: serves an older client as rc3 serves its own, and outlives a restart', async () => {
    const craneId = await crane.onboard();
    const nothing = (await manifestOf(crane, craneId)).manifest;
    expect(nothing).toMatchObject({ version: 1n, bundle: null, deployments: [] });
    world.write(`${ID}.yaml`, margoFiles(ID, 'press-42', '/srv/line/a.conf'));
    world.write('files/a', 'speed=1');
    await world.publish();
    const { manifest, digest, bytes, response } = await manifestOf(press, id);
    expect(response.headers.get('content-type')).toBe(MARGO_MEDIA.manifest);
    expect(response.headers.get('etag')).toBe(`"${digest}"`);
    const written = readFileSync(join(world.fleet, `channels/stable/${ID}.yaml`));
    expect(manifest.deployments).toMatchObject([{ id: ID, digest: sha256(written) }]);
    const { bundle, deployments } = JSON.parse(Buffer.from(bytes).toString());
    expect(bundle.url).toStartWith(`/api/v1/clients/${id}/bundles/`);
    const packed = await press.ask(bundle.url);
    expect(sha256(new Uint8Array(await packed.arrayBuffer()))).toBe(bundle.digest);
    expect(packed.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    const single = await press.ask(deployments[0].url);
    expect(Buffer.from(await single.arrayBuffer()).equals(written)).toBe(true);
    const headers = { 'if-none-match': `"${digest}"` };
    const again = await press.ask(`/api/v1/clients/${id}/deployments`, { headers });
    expect([again.status, await again.text()]).toEqual([304, '']);
    await world.restart();
    expect((await manifestOf(press, id)).manifest).toEqual(manifest);
    expect(await press.onboard()).toBe(id);
    expect((await manifestOf(crane, craneId)).manifest).toEqual(nothing);
  });

  test('rules 10, 21, 45: another client sees none of it; errors have the older bodies', async () => {
    const { manifest } = await manifestOf(press, id);
    const craneId = await crane.onboard();
    const path = `/api/v1/clients/${craneId}/bundles/${manifest.bundle}`;
    expect((await said(await crane.ask(path)))[0]).toBe(404);
    const headers = { accept: 'text/html' };
    const [code] = await said(await press.ask(`/api/v1/clients/${id}/deployments`, { headers }));
    expect(code).toBe(406);
  });

  test('rc3 is served beside it, and knows nothing of the older paths’ clients', async () => {
    const tls = { ca: pem(world.ca.cert), checkServerIdentity: () => undefined };
    const as = world.svid('press-42');
    const own = { ...tls, cert: pem(as.cert), key: pem(as.key) };
    const answer = await fetch(`${world.url}/api/v1/deployments`, { tls: own } as RequestInit);
    const { manifestVersion, deployments } = (await answer.json()) as Record<string, unknown>;
    expect([answer.status, manifestVersion, deployments]).toEqual([200, 1, []]);
  });

  test('what was said keeps to the description of the API', () => {
    expect(world.traffic.misfits).toEqual([]);
    world.traffic.told();
  });
});

test('a manager of rc2 alone needs no trust bundle, and serves neither rc3 nor pr1', async () => {
  const own = await margoWorld(null, 'by tests', { dialects: ['rc2'], accepted: LIST });
  try {
    const files = {
      cert: join(world.desk.folder, 'press.pem'),
      key: join(world.desk.folder, 'press.key'),
    };
    const client = olderClient(own.url, files, pem(own.ca.cert));
    const of = await client.onboard();
    const tell = (path: string) =>
      client.ask(`/api/v1/clients/${of}/${path}`, { body: JSON.stringify(device('press-42')) });
    expect((await tell('capabilities/press-42')).status).toBe(201);
    expect((await tell('capabilities')).status).toBe(404);
    expect((await client.ask('/api/v1/deployments', { key: null })).status).toBe(404);
    expect((await client.ask('/.well-known/margo', { key: null })).status).toBe(404);
  } finally {
    await own.remove();
  }
});

test('the command of docs/margo-dialects.md starts a manager of all three', async () => {
  const page = readFileSync(join(import.meta.dir, '../../docs/margo-dialects.md'), 'utf8');
  const [, command = ''] = /^```sh\nholdfast (hub [\s\S]*?)^```/m.exec(page) ?? [];
  const { folder } = world.desk;
  const manager = makeSvid(folder, 'documented', world.ca, `${WFM},IP:127.0.0.1`);
  const files: Readonly<Record<string, string>> = {
    ...{ hub: join(folder, 'documented'), 'root/1.root.json': world.root, '5443': '0' },
    ...{ 'bundle.json': world.bundle, 'accepted.txt': LIST },
    ...{ 'wfm.pem': manager.cert, 'wfm.key': manager.key },
  };
  const [verb = '', ...words] = command.replaceAll('\\\n', ' ').trim().split(/\s+/);
  expect([verb, words.length]).toEqual(['hub', 18]);
  const ports = ['--registry-port', '0', '--mqtt-port', '0'];
  const child = spawnHub(...words.map((word) => files[word] ?? word), ...ports);
  const said = await readUntil(child.stdout, /^margo +https:\/\/127\.0\.0\.1:\d+\n/m);
  const [, url = ''] = /^margo +(\S+)/m.exec(said) ?? [];
  const own = { cert: join(folder, 'press.pem'), key: join(folder, 'press.key') };
  expect(await olderClient(url, own, pem(world.ca.cert)).onboard()).toBe(id);
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
});

test('hub.margo-options: older dialects need a list of who is let in, and none is spoken twice', async () => {
  const ports = ['--registry-port', '0', '--mqtt-port', '0', '--margo-port', '0'];
  const files = ['--margo-cert', 'x', '--margo-key', 'x', '--margo-serves', 'a:b', '--root', 'x'];
  for (const [dialects, wanted] of [
    ['rc2', '--margo-accepted'],
    ['rc3,rc3', 'each once'],
    ['rc4', 'each once'],
  ] as const) {
    const data = ['--data', join(world.desk.folder, 'refused')];
    const child = spawnHub(...data, ...ports, ...files, '--margo-dialects', dialects);
    const said = await new Response(child.stderr).text();
    expect(await child.exited).not.toBe(0);
    expect(said).toContain(wanted);
  }
});
