/** The hub as Margo manager over real TLS: what a client of 1.0.0-rc.3 sees, and what it may not. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { sha256 } from '#state/digest.ts';
import { MARGO_MEDIA } from '#state/margo.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { type CertificateFiles, makeCa } from '../support/certificates.ts';
import { readUntil, spawnHub } from '../support/hub.ts';
import {
  DOMAIN,
  granted,
  type MargoWorld,
  makeSvid,
  margoFiles,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const OTHER = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const BASE = 'https://docs.margo.org/specification/problem-types#';

let world: MargoWorld;
let press: CertificateFiles;
let crane: CertificateFiles;
beforeAll(async () => {
  world = await margoWorld(null, 'by tests');
  press = world.svid('press-42');
  crane = world.svid('crane-1');
});
afterAll(() => world.remove());

interface Asked extends RequestInit {
  readonly as?: CertificateFiles | null;
}

function ask(path: string, { as = press, ...init }: Asked = {}): Promise<Response> {
  const pem = (file: string): string => readFileSync(file, 'utf8');
  const identity = as ? { cert: pem(as.cert), key: pem(as.key) } : {};
  // Names of DNS are not compared: the manager's certificate has none.
  const tls = { ca: pem(world.ca.cert), checkServerIdentity: () => undefined, ...identity };
  return fetch(`${world.url}${path}`, { ...init, tls } as RequestInit);
}

const capabilitiesOf = (id: string): Record<string, unknown> => ({
  properties: { id, vendor: 'v', modelNumber: 'm', serialNumber: 's' },
});
const tell = (id: string, as = press, body: unknown = capabilitiesOf(id)): Promise<Response> =>
  ask(`/api/v1/capabilities/${id}`, {
    ...{ method: 'PUT', as, body: typeof body === 'string' ? body : JSON.stringify(body) },
  });
async function manifestOf(as = press) {
  const response = await ask('/api/v1/deployments', { as });
  expect(response.status).toBe(200);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { manifest: granted(readMargoManifest(bytes)), digest: sha256(bytes), response };
}
const problemOf = async (response: Response): Promise<string> => {
  expect(response.headers.get('content-type')).toBe(MARGO_MEDIA.problem);
  const { type, status, title } = (await response.json()) as Record<string, unknown>;
  expect(status).toBe(response.status);
  expect(typeof title).toBe('string');
  return `${status} ${type}`;
};

describe('who may ask', () => {
  test('rule 09: nobody without a certificate, of another manager, or of another authority', async () => {
    const foreign = makeCa(world.desk.folder, 'foreign');
    const wrong = [
      null,
      world.svid('elsewhere', `spiffe://${DOMAIN}/margo/wfm/w2/client/elsewhere`),
      world.svid('manager', WFM),
      makeSvid(world.desk.folder, 'faked', foreign, `${WFM}/client/press-42`),
    ];
    for (const as of wrong) {
      expect(await problemOf(await ask('/api/v1/deployments', { as }))).toBe(
        `403 ${BASE}not-authorized`,
      );
    }
  });

  test('rule 6: the trust bundle and what leads to it are for everyone', async () => {
    const found = await ask('/.well-known/margo', { as: null });
    const { trustDomain, trustBundleUri } = (await found.json()) as Record<string, string>;
    expect(trustDomain).toBe(DOMAIN);
    expect(trustBundleUri).toStartWith(world.url);
    const bundle = await ask(new URL(trustBundleUri ?? '').pathname, { as: null });
    expect(await bundle.text()).toBe(readFileSync(world.bundle, 'utf8'));
  });
});

describe('a client that told nothing yet', () => {
  test('rule 27: is at version 1 with nothing, ETag the quoted digest (rule 24)', async () => {
    world.write(`${ID}.yaml`, margoFiles(ID, 'press-42', '/srv/line/a.conf'));
    world.write('files/a', 'speed=1');
    await world.publish();
    const { manifest, digest, response } = await manifestOf();
    expect(manifest).toMatchObject({ version: 1n, bundle: null, deployments: [] });
    expect(response.headers.get('etag')).toBe(`"${digest}"`);
    expect(response.headers.get('cache-control')).toBe('private');
    expect(response.headers.get('content-type')).toBe(MARGO_MEDIA.manifest);
  });
});

describe('capabilities', () => {
  test('rule 15: 201 when new, 200 after, 204 when dropped, then 404', async () => {
    expect((await tell('press-9')).status).toBe(201);
    expect((await tell('press-9')).status).toBe(200);
    const drop = () => ask('/api/v1/capabilities/press-9', { method: 'DELETE' });
    expect((await drop()).status).toBe(204);
    expect(await problemOf(await drop())).toBe(`404 ${BASE}device-not-found`);
  });

  test('rules 13, 18, 19: a child before its gateway, wrong members, no JSON', async () => {
    expect(await problemOf(await tell('gate-1/press-1'))).toBe(`404 ${BASE}gateway-not-found`);
    expect(await problemOf(await tell('press-42', press, '{'))).toBe(`400 ${BASE}invalid-request`);
    const wrong = {
      properties: { id: 'press-42', vendor: 'v', supportedRuntimes: ['containerd'] },
    };
    const response = await tell('press-42', press, wrong);
    const { errors } = (await response.clone().json()) as { errors: { field: string }[] };
    expect(await problemOf(response)).toBe(`422 ${BASE}semantic-error`);
    expect(errors.map(({ field }) => field)).toContain('properties.supportedRuntimes.0');
  });
});

describe('desired state', () => {
  test('rules 25, 28, 33, 53: the documents for its devices as written, by bundle and one by one', async () => {
    expect((await tell('press-42')).status).toBe(201);
    const { manifest, digest } = await manifestOf();
    expect(manifest.version).toBe(2n);
    const [one] = manifest.deployments;
    const bytes = readFileSync(join(world.fleet, `channels/stable/${ID}.yaml`));
    expect(one).toMatchObject({ id: ID, digest: sha256(bytes) });
    expect(manifest.blobs).toMatchObject([{ name: 'files/a', size: 7 }]);
    const single = await ask(`/api/v1/deployments/${ID}/${one?.digest}`);
    expect(single.headers.get('content-type')).toBe('application/yaml');
    expect(single.headers.get('etag')).toBe(`"${one?.digest}"`);
    expect(Buffer.from(await single.arrayBuffer()).equals(bytes)).toBe(true);
    const bundle = await ask(`/api/v1/bundles/${manifest.bundle}`);
    expect(sha256(new Uint8Array(await bundle.arrayBuffer()))).toBe(
      manifest.bundle ?? ('' as never),
    );
    const immutable = { 'if-none-match': `"${manifest.bundle}"` };
    const known = await ask(`/api/v1/bundles/${manifest.bundle}`, { headers: immutable });
    expect([known.status, known.headers.get('cache-control')]).toEqual([
      304,
      'private, max-age=31536000, immutable',
    ]);
    const headers = { 'if-none-match': `"${digest}"` };
    const same = await ask('/api/v1/deployments', { headers });
    expect([same.status, await same.text()]).toEqual([304, '']);
  });

  test('rule 21: a type that is not served is 406, none is the default', async () => {
    const asked = (accept: string) => ask('/api/v1/deployments', { headers: { accept } });
    expect((await asked('application/*')).status).toBe(200);
    expect(await problemOf(await asked('text/html'))).toBe(
      `406 ${BASE}server-cannot-generate-response`,
    );
  });

  test('rules 10, 45: another client sees none of it', async () => {
    const { manifest } = await manifestOf();
    expect((await tell('crane-1', crane)).status).toBe(201);
    expect((await manifestOf(crane)).manifest.deployments).toEqual([]);
    const bundle = await ask(`/api/v1/bundles/${manifest.bundle}`, { as: crane });
    expect(await problemOf(bundle)).toBe(`404 ${BASE}invalid-bundle`);
    const path = `/api/v1/deployments/${ID}/${manifest.deployments[0]?.digest}`;
    expect(await problemOf(await ask(path, { as: crane }))).toBe(`404 ${BASE}deployment-not-found`);
  });

  test('rules 26, 46: a version for each change of content, also after a restart; old ones stay a while', async () => {
    const before = (await manifestOf()).manifest;
    world.write(`${OTHER}.yaml`, margoFiles(OTHER, 'press-42', '/srv/line/b.conf'));
    await world.publish();
    const after = (await manifestOf()).manifest;
    expect([after.version, after.deployments.length]).toEqual([before.version + 1n, 2]);
    await world.restart();
    expect((await manifestOf()).manifest).toEqual(after);
    expect((await ask(`/api/v1/bundles/${before.bundle}`)).status).toBe(200);
  });

  test('rule 26: a tag that is moved back is not served, also by a hub that was restarted', async () => {
    const tag = world.registry.replace('/plant/state', '/v2/plant/state/manifests/stable');
    const type = 'application/vnd.oci.image.manifest.v1+json';
    const old = await (await fetch(tag, { headers: { accept: type } })).arrayBuffer();
    await world.publish(['--no-nudge', '--renew']);
    const newest = await manifestOf();
    await world.restart();
    const put = { method: 'PUT', headers: { 'content-type': type }, body: old };
    expect((await fetch(tag, put)).status).toBe(201);
    expect((await manifestOf()).manifest).toEqual(newest.manifest);
    world.write(`${OTHER}.yaml`, margoFiles(OTHER, 'press-42', '/srv/line/c.conf'));
    await world.publish();
    expect((await manifestOf()).manifest.version).toBe(newest.manifest.version + 1n);
  });

  test('what the keys of the fleet have not signed is never served', async () => {
    const before = (await manifestOf()).manifest;
    const forged = '{"payloadType":"x","payload":"","signatures":[]}';
    await pushArtifact(forged);
    expect((await manifestOf()).manifest).toEqual(before);
  });
});

describe('status', () => {
  const body = (more: Record<string, unknown> = {}): string =>
    JSON.stringify({
      deploymentId: ID,
      adoptedManifestVersion: 2,
      status: { state: 'installed' },
      components: [{ name: 'conf', state: 'installed' }],
      ...more,
    });
  const post = (id: string, text: string): Promise<Response> =>
    ask(`/api/v1/deployments/${id}/status`, { method: 'POST', body: text });

  test('rules 61, 63: any of the six states is taken with 200, also of what was never deployed', async () => {
    for (const state of ['pending', 'installing', 'installed', 'failed', 'removing', 'removed']) {
      expect((await post(ID, body({ status: { state }, components: [] }))).status).toBe(200);
    }
    const gone = 'ffffffff-3b7e-4d0a-9a41-0d5f6c1e2b01';
    expect((await post(gone, body({ deploymentId: gone }))).status).toBe(200);
  });

  test('rule 62: another id, an unknown state, no version: 422 with the field', async () => {
    for (const [text, field] of [
      [body({ deploymentId: OTHER }), 'deploymentId'],
      [body({ status: { state: 'fine' } }), 'status.state'],
      [body({ adoptedManifestVersion: undefined }), 'adoptedManifestVersion'],
    ] as const) {
      const response = await post(ID, text);
      const { errors } = (await response.clone().json()) as { errors: { field: string }[] };
      expect(await problemOf(response)).toBe(`422 ${BASE}semantic-error`);
      expect(errors.map((one) => one.field)).toEqual([field]);
    }
  });
});

/** An artifact of our form under the channel's tag, with an envelope that nobody signed. */
async function pushArtifact(envelope: string): Promise<void> {
  const [empty, layer] = ['{}', envelope].map((text) => Buffer.from(text));
  const base = world.registry.replace('/plant/', '/v2/plant/');
  for (const bytes of [empty, layer]) {
    if (!bytes) continue;
    const url = `${base}/blobs/uploads/?digest=${sha256(bytes)}`;
    expect((await fetch(url, { method: 'POST', body: bytes })).status).toBe(201);
  }
  const described = (mediaType: string, bytes: Buffer | undefined) => {
    const content = new Uint8Array(bytes ?? []);
    return { mediaType, digest: sha256(content), size: content.length };
  };
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    artifactType: 'application/vnd.holdfast.state.v1',
    config: described('application/vnd.oci.empty.v1+json', empty),
    layers: [described('application/vnd.holdfast.envelope.v1+json', layer)],
  });
  const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  const put = await fetch(`${base}/manifests/stable`, { method: 'PUT', headers, body: manifest });
  expect(put.status).toBe(201);
}

test('rule 9: a list of accepted clients is read at each request, and lets nobody else in', async () => {
  const list = join(world.desk.folder, 'accepted');
  const own = await margoWorld(list, 'by tests');
  try {
    const as = own.svid('press-42');
    const pem = (file: string): string => readFileSync(file, 'utf8');
    const tls = { ca: pem(own.ca.cert), checkServerIdentity: () => undefined };
    const asked = () =>
      fetch(`${own.url}/api/v1/deployments`, {
        tls: { ...tls, cert: pem(as.cert), key: pem(as.key) },
      } as RequestInit);
    expect((await asked()).status).toBe(403);
    writeFileSync(list, `${WFM}/client/press-42\n`);
    expect((await asked()).status).toBe(200);
  } finally {
    await own.remove();
  }
});

test('hub.margo-options: a manager without its key is not started, and says which is missing', async () => {
  const port = ['--registry-port', '0', '--mqtt-port', '0', '--margo-port', '0'];
  const child = spawnHub('--data', join(world.desk.folder, 'other'), ...port, '--margo-cert', 'x');
  const said = await new Response(child.stderr).text();
  expect(await child.exited).not.toBe(0);
  expect(said).toContain('hub.margo-options');
  expect(said).toContain('--margo-key');
});

test('the command of docs/margo.md starts a manager', async () => {
  const page = readFileSync(join(import.meta.dir, '../../docs/margo.md'), 'utf8');
  const [, command = ''] = /^```sh\nholdfast (hub [\s\S]*?)^```/m.exec(page) ?? [];
  const { folder } = world.desk;
  const manager = makeSvid(folder, 'documented', world.ca, WFM);
  const files: Readonly<Record<string, string>> = {
    ...{
      hub: join(folder, 'documented'),
      'root/1.root.json': world.root,
      'bundle.json': world.bundle,
    },
    ...{ 'wfm.pem': manager.cert, 'wfm.key': manager.key, '5443': '0' },
  };
  const [verb = '', ...words] = command.replaceAll('\\\n', ' ').trim().split(/\s+/);
  expect([verb, words.length]).toEqual(['hub', 14]);
  const ports = ['--registry-port', '0', '--mqtt-port', '0'];
  const child = spawnHub(...words.map((word) => files[word] ?? word), ...ports);
  const said = await readUntil(child.stdout, /^margo +https:\/\/127\.0\.0\.1:\d+\n/m);
  const [, url = ''] = /^margo +(\S+)/m.exec(said) ?? [];
  const tls = { ca: readFileSync(world.ca.cert, 'utf8'), checkServerIdentity: () => undefined };
  const found = await fetch(`${url}/.well-known/margo`, { tls } as RequestInit);
  expect(await found.json()).toMatchObject({ trustDomain: DOMAIN });
  child.kill('SIGTERM');
  expect(await child.exited).toBe(0);
});

test('rule 2: TLS 1.3 over HTTP/1.1; an older TLS is not spoken', async () => {
  const { port } = new URL(world.url);
  const connect = (maxVersion: SecureVersion): Promise<string> =>
    new Promise((resolve) => {
      const socket = connectTls(
        { port: Number(port), host: '127.0.0.1', rejectUnauthorized: false, maxVersion },
        () => {
          resolve(`${socket.getProtocol()}`);
          socket.destroy();
        },
      );
      socket.on('error', () => resolve('refused'));
    });
  expect(await connect('TLSv1.3')).toBe('TLSv1.3');
  expect(await connect('TLSv1.2')).toBe('refused');
});

test('rule 11: a certificate in a header is nobody’s: there is no proxy that may send one', async () => {
  const pem = readFileSync(press.cert, 'utf8').replace(/-----[^-]+-----|\s/g, '');
  const headers = { 'client-cert': `:${pem}:`, 'x-forwarded-client-cert': pem };
  const response = await ask('/api/v1/deployments', { as: null, headers });
  expect(await problemOf(response)).toBe(`403 ${BASE}not-authorized`);
});

test('all that it answered is as the description of the API has it (rules 65, 66)', () => {
  world.traffic.told();
  expect(world.traffic.misfits).toEqual([]);
});
