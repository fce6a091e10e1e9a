/**
 * The agent as a Margo device of 1.0.0-rc.3, a process of its own, against a little manager that shares
 * no code with the hub and lies where a test says so.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CertificateFiles } from '../support/certificates.ts';
import { makeCa } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { digestOf, type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  DOMAIN,
  filesDocument,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
  writeTrustBundle,
} from '../support/margo-world.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const B = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const PROGRAMS: Readonly<Record<string, string>> = {
  lives: '#!/bin/sh\nexec sleep 600\n',
  dies: '#!/bin/sh\nexit 3\n',
};
const MANIFEST = '/api/v1/deployments';

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
let svid: CertificateFiles;
beforeAll(async () => {
  world = await margoWorld();
  // Content lies in the registry of the hub, by digest; what is to run comes from the manager.
  for (const text of ['1', '2', '3']) world.write(`files/${text}`, `speed=${text}`);
  for (const [name, text] of Object.entries(PROGRAMS)) world.write(`files/${name}`, text);
  const names = ['1', '2', '3', ...Object.keys(PROGRAMS)];
  for (const [index, text] of names.entries()) {
    const id = `0000000${index}-3b7e-4d0a-9a41-0d5f6c1e2b01`;
    const target = `/opt/${text}`;
    world.write(`${id}.yaml`, filesDocument({ id, deviceId: 'x', target, blob: `files/${text}` }));
  }
  await world.publish();
  svid = world.svid('press-42');
  const folder = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(folder, 'little', world.ca, WFM), world.ca);
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url, svid },
    ...{ trustBundle: world.bundle, registry: world.registry },
  });
  device.start();
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

const file = (id: string, name: string, text: string, more = {}): string =>
  filesDocument({
    ...{ id, deviceId: 'press-42', target: join(device.opt, name) },
    ...{ blob: `files/${name}${text}`, content: `speed=${text}`, ...more },
  });
const reads = (name: string, text: string | null) =>
  eventually(`${name} is ${text}`, () => device.read(name) === text);
const said = (id: string, state: string, version: number) =>
  eventually(`${id} is ${state} at ${version}`, () =>
    manager.statuses(id).some((one) => one.state === state && one.version === version),
  );
/** Once more than before: what was seen in the log is seen. */
let read = 0;
const logged = (text: string) =>
  eventually(text, () => {
    const at = device.log().indexOf(text, read);
    if (at >= 0) read = at + text.length;
    return at >= 0;
  });
/** Requests for the manifest that begin after now. */
const polls = async (count: number): Promise<void> => {
  const asked = () => manager.seen.filter(({ path }) => path === MANIFEST).length;
  const before = asked();
  await eventually(`${count} polls`, () => asked() >= before + count);
};

describe('a manifest', () => {
  test('rules 12, 14, 16, 22: capabilities first, then the manifest with its media type', async () => {
    await eventually('it asked', () => manager.seen.some(({ path }) => path === MANIFEST));
    const [first, second] = manager.seen;
    expect(first).toMatchObject({ method: 'PUT', path: '/api/v1/capabilities/press-42' });
    const { properties } = JSON.parse(first?.body ?? '');
    expect(properties).toMatchObject({ id: 'press-42', otelCollector: true });
    expect(properties.cpus[0].cores).toBeGreaterThan(0);
    expect(second?.headers.accept).toBe('application/vnd.margo.manifest.v1+json');
    expect(second?.headers['accept-encoding']).toBe('identity');
  });

  test('rules 2, 37, 42, 48, 58, 60: is installed whole, and told', async () => {
    manager.deploy(2, { [A]: file(A, 'a', '1') });
    await reads('a', 'speed=1');
    await said(A, 'installed', 2);
    const states = manager.statuses(A).map(({ state }) => state);
    // Accepted first: its turn comes in a moment.
    const begun = states.filter((state) => state !== 'pending');
    expect(begun.slice(0, 2)).toEqual(['installing', 'installed']);
  });

  test('rules 22, 23: the next poll shows the ETag byte for byte, and nothing happens', async () => {
    const etag = `W/"odd ${'x'.repeat(20)}"`;
    manager.serve(manager.deploy(3, { [A]: file(A, 'a', '1'), [B]: file(B, 'b', '2') }), etag);
    await reads('b', 'speed=2');
    await eventually('the ETag', () =>
      manager.seen.some(({ headers }) => headers['if-none-match'] === etag),
    );
  });

  test('rule 50: an update changes one, the other is not touched', async () => {
    manager.deploy(4, { [A]: file(A, 'a', '1'), [B]: file(B, 'b', '3') });
    await reads('b', 'speed=3');
    await said(B, 'installed', 4);
    expect(manager.statuses(A).some(({ version }) => version === 4)).toBe(false);
  });

  test('rules 49, 58: absence removes, and is told', async () => {
    manager.deploy(5, { [A]: file(A, 'a', '1') });
    await reads('b', null);
    await said(B, 'removed', 5);
    expect(device.read('a')).toBe('speed=1');
  });
});

describe('what is refused, while the old state runs on', () => {
  test('rule 30: a lower version, as an attack', async () => {
    manager.deploy(4, {});
    await logged('trust.rollback');
    await polls(2);
    expect(device.read('a')).toBe('speed=1');
  });

  test('rule 31: the same version with other bytes', async () => {
    manager.deploy(5, { [A]: file(A, 'a', '2') });
    await logged('trust.equivocation');
    expect(device.read('a')).toBe('speed=1');
  });

  test('rules 29, 34, 35, 36, 44: forms of a manifest that are none', async () => {
    const entry = {
      deploymentId: A,
      digest: digestOf('x'),
      url: `${MANIFEST}/${A}/${digestOf('x')}`,
    };
    const list = (...entries: readonly unknown[]) =>
      `{"manifestVersion":6,"bundle":null,"deployments":${JSON.stringify(entries)}}`;
    for (const [text, pointer] of [
      ['{"manifestVersion":6.0,"bundle":null,"deployments":[]}', '/manifestVersion'],
      ['{"manifestVersion":"6","bundle":null,"deployments":[]}', '/manifestVersion'],
      ['{"manifestVersion":6,"bundle":null}', '/deployments'],
      ['{"manifestVersion":6,"deployments":[]}', '/bundle'],
      [list(entry, entry), '/deployments/1/deploymentId'],
      [list({ ...entry, digest: `sha512:${'a'.repeat(64)}` }), '/deployments/0/digest'],
      [list({ ...entry, url: `https://evil.example${entry.url}` }), '/deployments/0/url'],
    ] as const) {
      manager.serve(text);
      await logged(`${pointer}: `);
    }
    expect(device.read('a')).toBe('speed=1');
  });

  test('rules 37, 38: a bundle or document of other bytes, and the next poll asks again', async () => {
    const wanted = file(A, 'a', '2');
    const text = manager.deploy(6, { [A]: wanted });
    const bundle = `/api/v1/bundles/${JSON.parse(text).bundle.digest}`;
    manager.faults.set(bundle, { status: 200, body: 'other bytes' });
    await logged('source.digest-mismatch');
    await polls(2);
    const asked = manager.seen.filter(({ path }) => path === MANIFEST).at(-1);
    expect(asked?.headers['if-none-match']).not.toBe(`"${digestOf(text)}"`);
    expect(device.read('a')).toBe('speed=1');
    manager.faults.clear();
    await reads('a', 'speed=2');
  });

  test('rules 41, 47: a bundle with a stranger in it, a document of another id', async () => {
    const stranger = JSON.parse(manager.deploy(90, { [A]: file(A, 'a', '3'), [B]: 'id: x' }));
    const text = JSON.parse(manager.deploy(7, { [A]: file(A, 'a', '3') }));
    manager.serve(JSON.stringify({ ...text, bundle: stranger.bundle }));
    await logged('margo.bundle');
    const wrong = file(B, 'a', '3');
    const keyed = JSON.parse(manager.deploy(8, { [A]: wrong }));
    manager.serve(JSON.stringify(keyed));
    await logged('as the statement says');
    expect(device.read('a')).toBe('speed=2');
  });

  test('documents that are 404 for a while, then served: applied at the next poll (rules 43, 49)', async () => {
    const document = file(A, 'a', '3');
    const text = JSON.parse(manager.deploy(9, { [A]: document }));
    const bundle = text.bundle.url as string;
    const single = text.deployments[0].url as string;
    for (const path of [bundle, single]) manager.faults.set(path, { status: 404, body: '{}' });
    await logged('margo.not-served');
    await polls(2);
    expect(device.read('a')).toBe('speed=2');
    // The bundle stays away: one by one serves as well.
    manager.faults.delete(single);
    await reads('a', 'speed=3');
    manager.faults.clear();
  });
});

describe('what this device cannot run', () => {
  test('rules 52, 55: fails alone, the others go on', async () => {
    const helm = `id: ${B}
metadata: { name: chart, namespace: n, deviceId: press-42 }
spec:
  applicationId: chart
  deploymentProfile:
    type: helm
    components: [{ name: chart, properties: { repository: "oci://r.example/c", revision: 1.0.0 } }]
`;
    manager.deploy(10, { [A]: file(A, 'a', '1'), [B]: helm });
    await reads('a', 'speed=1');
    await said(B, 'failed', 10);
    const report = manager.seen.findLast(
      ({ path }) => path.includes(B) && path.endsWith('/status'),
    );
    const { status } = JSON.parse(report?.body ?? '{}');
    expect(status.error).toMatchObject({ code: 'margo.unsupported', source: 'chart' });
    const rules = [{ labelSelector: { matchExpressions: [{ key: 'moon', operator: 'Exists' }] } }];
    const far = { deviceConstraints: { eligibilityRules: rules } };
    manager.deploy(11, { [A]: file(A, 'a', '2'), [B]: file(B, 'b', '1', { profile: far }) });
    await reads('a', 'speed=2');
    await eventually('not eligible', () =>
      manager.seen.some(({ body }) => body.includes('margo.not-eligible')),
    );
    expect(device.read('b')).toBeNull();
    const other = filesDocument({ id: B, deviceId: 'press-9', target: join(device.opt, 'b') });
    manager.deploy(12, { [A]: file(A, 'a', '2'), [B]: other });
    await eventually('not for this device', () =>
      manager.seen.some(({ body }) => body.includes('margo.not-this-device')),
    );
  });
});

describe('a program that ends at once', () => {
  const program = (name: string): string =>
    filesDocument({
      ...{ id: B, deviceId: 'press-42', target: '', blob: `files/${name}`, program: true },
      content: PROGRAMS[name] ?? '',
    });

  test('rule 60: is undone, told as failed with the new version; the next one cures it', async () => {
    manager.deploy(20, { [A]: file(A, 'a', '2'), [B]: program('lives') });
    await said(B, 'installed', 20);
    manager.deploy(21, { [A]: file(A, 'a', '3'), [B]: program('dies') });
    await said(B, 'failed', 21);
    // The other one stands.
    await reads('a', 'speed=3');
    await said(A, 'installed', 21);
    const report = manager.seen.findLast(({ path }) => path.includes(`${B}/status`));
    expect(JSON.parse(report?.body ?? '{}').status.error.code).toMatch(/^apply\./);
    manager.deploy(22, { [A]: file(A, 'a', '3') });
    await reads('a', 'speed=3');
    await said(B, 'removed', 22);
  });
});

describe('a manager that has its bad days', () => {
  test('rules 67, 68: 503 with Retry-After, 403, another media type; then all is well', async () => {
    const busy = { status: 503, headers: { 'retry-after': '1' }, body: '{"title":"Busy"}' };
    manager.faults.set(MANIFEST, busy);
    await logged('margo.answer');
    manager.faults.set(MANIFEST, { status: 403, body: '{"title":"No"}' });
    await logged('margo.not-authorized');
    manager.faults.set(MANIFEST, {
      status: 200,
      headers: { 'content-type': 'text/html' },
      body: 'x',
    });
    await logged('margo.media-type');
    manager.faults.clear();
    manager.deploy(33, { [A]: file(A, 'a', '3') });
    await reads('a', 'speed=3');
  });

  test('rules 14, 64: a status that could not be told is told after a restart, though killed', async () => {
    const path = `${MANIFEST}/${A}/status`;
    manager.faults.set(path, { status: 503, body: '{}' });
    manager.deploy(34, { [A]: file(A, 'a', '1') });
    await reads('a', 'speed=1');
    await device.stop('SIGKILL');
    manager.faults.clear();
    manager.seen.splice(0);
    device.start();
    await said(A, 'installed', 34);
    expect(manager.seen[0]).toMatchObject({ method: 'PUT' });
  });

  test('rule 32: the floor survives the loss of the store', async () => {
    await device.stop();
    const lost = new Bun.Glob('**/*.mdb').scanSync({ cwd: device.stateDir, absolute: true });
    const files = [...lost];
    expect(files.length).toBeGreaterThan(0);
    for (const path of files) writeFileSync(path, 'no store');
    manager.deploy(33, { [A]: file(A, 'a', '2') });
    device.start();
    await polls(2);
    await logged('trust.rollback');
    expect(device.read('a')).toBe('speed=1');
    manager.deploy(35, { [A]: file(A, 'a', '2') });
    await reads('a', 'speed=2');
  });
});

test('without its identity it starts, runs what it had, and says what is missing', async () => {
  await device.stop();
  const held = `${svid.cert}.away`;
  renameSync(svid.cert, held);
  rmSync(join(device.opt, 'a'));
  device.start();
  await reads('a', 'speed=2');
  await logged('margo.identity');
  renameSync(held, svid.cert);
  manager.deploy(36, { [A]: file(A, 'a', '3') });
  await reads('a', 'speed=3');
  const { verdict } = await device.explain();
  expect(verdict).toContain('is applied and is the newest there is');
});

test('its audit journal is whole, and says that nobody signed what it accepted', async () => {
  const to = join(world.desk.folder, 'audit');
  const runDir = ['--run-dir', join(device.folder, 'run')];
  const exported = await device.command('audit', 'export', '-f', to, '--change', '1.36', ...runDir);
  expect(exported[0]).toBe(0);
  const [code, said] = await device.command('audit', 'verify', to);
  expect(said).toContain('believed for the TLS identity of the manager: nobody signed it');
  expect([code, said.includes('verified')]).toEqual([0, true]);
});

describe('whom it takes for its manager (rules 3, 4, 6)', () => {
  const refuses = async (identity: CertificateFiles, mark: string): Promise<void> => {
    const other = await littleManager(identity, world.ca);
    const folder = join(world.desk.folder, mark);
    const stranger = margoDevice({
      ...{ folder, root: world.root, url: other.url, svid, trustBundle: world.bundle },
    });
    try {
      stranger.start();
      await eventually('it was tried', () => stranger.log().includes('link.tls-untrusted'));
      expect(other.seen).toEqual([]);
    } finally {
      await stranger.stop();
      await other.close();
    }
  };
  const pki = () => join(world.desk.folder, 'pki');

  test('not one of another id of its domain', () =>
    refuses(makeSvid(pki(), 'w2', world.ca, `spiffe://${DOMAIN}/margo/wfm/w2`), 'other-wfm'));

  test('not one of another authority', () =>
    refuses(makeSvid(pki(), 'fake', makeCa(pki(), 'foreign'), WFM), 'foreign'));

  test('a trust bundle is replaced, never merged', async () => {
    const next = makeCa(pki(), 'next');
    const bundle = join(pki(), 'rotating.json');
    writeTrustBundle(bundle, [next.cert]);
    const other = await littleManager(makeSvid(pki(), 'old', world.ca, WFM), world.ca);
    const folder = join(world.desk.folder, 'rotating');
    const rotating = margoDevice({
      ...{ folder, root: world.root, url: other.url, svid, trustBundle: bundle },
    });
    try {
      rotating.start();
      await eventually('refused', () => rotating.log().includes('link.tls-untrusted'));
      writeTrustBundle(bundle, [world.ca.cert], 2);
      await eventually('reached', () => other.seen.length > 0);
      // Rule 7: an older one changes nothing.
      writeTrustBundle(bundle, [next.cert], 1);
      other.drop();
      const before = other.seen.length;
      await eventually('still reached', () => other.seen.length > before + 3);
    } finally {
      await rotating.stop();
      await other.close();
    }
  });
});

test('all that it sent is as the description of the API has it (rules 16, 58, 60)', () => {
  expect(manager.traffic.told()).toBeGreaterThan(100);
  expect(manager.traffic.misfits).toEqual([]);
});
