/**
 * The agent as a device of rc2 and pr1, a process of its own: against the hub, which serves all three
 * dialects, and against a little manager that shares no code with it and checks every signature.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, makeCa, makeLeaf, SERVER } from '../support/certificates.ts';
import { AT_1970, faketime } from '../support/dead-clock.ts';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { filesDocument, type MargoWorld, margoFiles, margoWorld } from '../support/margo-world.ts';
import { type OlderManager, olderManager } from '../support/older-server.ts';
import { executable } from '../support/parts.ts';

const A = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b01';
const B = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b02';
const LIST = join(tmpdir(), `holdfast-accepted-agent-${process.pid}`);

let world: MargoWorld;
let svid: CertificateFiles;
beforeAll(async () => {
  writeFileSync(LIST, '');
  world = await margoWorld(null, 'by agents', { dialects: ['rc3', 'rc2', 'pr1'], accepted: LIST });
  svid = world.svid('press-rc3');
});
afterAll(async () => {
  await world.remove();
  await Bun.file(LIST).delete();
});

interface OlderDevice {
  readonly url: string;
  /** PEM file */
  readonly ca: string;
  readonly margo?: object;
  readonly program?: readonly string[];
}

const identityFile = (device: MargoDevice, name: string): string =>
  join(device.stateDir, 'identity/margo', name);
function older(name: string, { url, ca, margo = {}, program }: OlderDevice): MargoDevice {
  return margoDevice({
    ...(program && { program }),
    ...{ folder: join(world.desk.folder, name), root: world.root, url, svid, id: name },
    ...{ trustBundle: world.bundle, registry: world.registry },
    margo: { dialect: 'rc2', identity: { ca }, ...margo },
  });
}
const logged = (device: MargoDevice, text: string) =>
  eventually(`${text} is logged`, () => device.log().includes(text));

describe('one publish, three dialects', () => {
  const devices: Record<string, MargoDevice> = {};
  afterAll(() => Promise.all(Object.values(devices).map((device) => device.stop())));

  const records = (kind: 'device' | 'status'): readonly Record<string, unknown>[] =>
    readdirSync(join(world.data, 'margo/clients')).flatMap((client) => {
      const folder = join(world.data, 'margo/clients', client);
      return readdirSync(folder)
        .filter((name) => name.startsWith(kind) && name.endsWith('.json'))
        .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')));
    });
  const told = (state: string) =>
    records('status').filter(({ status }) => (status as { state: string }).state === state).length;
  const reads = (name: string, text: string) =>
    eventually(`${name} is ${text}`, () =>
      Object.values(devices).every((device) => device.read(name) === text),
    );

  test('rule 75: a device that is not accepted says which certificate it has; accepted, it goes on', async () => {
    for (const dialect of ['rc2', 'pr1']) {
      const device = older(`press-${dialect}`, {
        url: world.url,
        ca: world.ca.cert,
        margo: { dialect },
      });
      devices[dialect] = device;
      device.start();
      await logged(device, 'margo.client-refused');
      const [, fingerprint = ''] =
        /with certificate (sha256:[0-9a-f]{64})/.exec(device.log()) ?? [];
      appendFileSync(LIST, `${fingerprint}\n`);
      await logged(device, 'margo.onboarded');
    }
    devices.rc3 = margoDevice({
      ...{ folder: join(world.desk.folder, 'press-rc3'), root: world.root, url: world.url, svid },
      ...{ trustBundle: world.bundle, registry: world.registry, id: 'press-rc3' },
    });
    devices.rc3.start();
    await eventually('all are known', () => records('device').length === 3);
    const shapes = records('device').map((one) => [
      (one.properties as { id: string }).id,
      'apiVersion' in one,
      'cpus' in (one.properties as object),
      'resources' in (one.properties as object),
    ]);
    expect(shapes.sort()).toEqual([
      ['press-pr1', true, false, true],
      ['press-rc2', true, true, true],
      ['press-rc3', false, true, false],
    ]);
  });

  const publish = async (text: string): Promise<void> => {
    for (const [index, name] of ['rc3', 'rc2', 'pr1'].entries()) {
      const id = `${A.slice(0, -1)}${index}`;
      const target = join(devices[name]?.opt ?? '', 'a.conf');
      world.write(`${id}.yaml`, margoFiles(id, `press-${name}`, target));
    }
    world.write('files/a', text);
    await world.publish();
  };

  test('reaches a device of each, and each reports it installed (rules 12, 58)', async () => {
    await publish('speed=1');
    await reads('a.conf', 'speed=1');
    await eventually('all told', () => told('installed') === 3);
    const shapes = records('status').map(
      (one) => `${'apiVersion' in one} ${'adoptedManifestVersion' in one}`,
    );
    expect(shapes.sort()).toEqual(['false true', 'true false', 'true false']);
  });

  test('nothing is onboarded again after a restart of both ends, and a change arrives', async () => {
    const key = identityFile(devices.rc2 as MargoDevice, 'client.pem');
    const kept = readFileSync(key, 'utf8');
    expect(statSync(key).mode & 0o777).toBe(0o600);
    for (const name of ['rc2', 'pr1']) await devices[name]?.stop('SIGKILL');
    await world.restart();
    for (const name of ['rc2', 'pr1']) devices[name]?.start();
    await publish('speed=2');
    await reads('a.conf', 'speed=2');
    expect(readFileSync(key, 'utf8')).toBe(kept);
    for (const name of ['rc2', 'pr1']) {
      expect((devices[name]?.log() ?? '').split('margo.onboarded').length).toBe(2);
    }
  });

  test('all of it keeps to the description of the API', () => {
    expect(world.traffic.misfits).toEqual([]);
    world.traffic.told();
  });
});

describe('a manager of its own making', () => {
  let manager: OlderManager;
  let device: MargoDevice;
  let ca: CertificateFiles;
  beforeAll(async () => {
    for (const text of ['1', '2', '3', '4']) {
      world.write(`files/${text}`, `speed=${text}`);
      const id = `0000000${text}-3b7e-4d0a-9a41-0d5f6c1e2b01`;
      world.write(
        `${id}.yaml`,
        filesDocument({ id, deviceId: 'x', target: `/opt/${text}`, blob: `files/${text}` }),
      );
    }
    await world.publish();
    ca = makeCa(world.desk.folder, 'older-ca');
    manager = await olderManager(makeLeaf(world.desk.folder, 'older', ca, SERVER));
    device = older('press-42', { url: manager.url, ca: ca.cert, margo: { deviceId: 'press-42' } });
  });
  afterAll(async () => {
    await device.stop();
    await manager.close();
  });
  const file = (id: string, text: string, more = {}): string =>
    filesDocument({
      ...{ id, deviceId: 'press-42', target: join(device.opt, 'a'), blob: `files/${text}` },
      ...{ content: `speed=${text}`, ...more },
    });
  const document = (deviceId: string) => ({
    ...{ id: A, deviceId, blob: 'files/1', content: 'speed=1' },
  });
  const reads = (text: string) => eventually(`a is ${text}`, () => device.read('a') === text);

  const title = (text: string): string => (Bun.which('openssl') ? text : `${text} (no openssl)`);

  test(
    title('rule 71: onboards once it is let in; every request but the root CA’s is signed'),
    async () => {
      device.start();
      await logged(device, 'margo.client-refused');
      manager.letIn = true;
      manager.deploy(2, { [A]: file(A, '1') });
      await reads('speed=1');
      await eventually('it is told', () => manager.states(A).includes('installed'));
      const signed = manager.seen.filter(({ path }) => !path.endsWith('/certificate'));
      expect(signed.filter(({ unsigned }) => unsigned !== null)).toEqual([]);
      expect(signed.find(({ path }) => path.includes('capabilities'))).toMatchObject({
        method: 'POST',
      });
      expect(device.log()).toContain('margo.root-ca');
    },
  );

  test('rule 1: what answers as rc3 does is nothing to it, and no rc3 path is ever asked', async () => {
    const strange = manager.seen.filter(
      ({ path }) => !/\/api\/v1\/(clients|onboarding)(\/|$)/.test(path),
    );
    expect(strange).toEqual([]);
  });

  test('a manager whose clock is an hour off is answered in its own time', async () => {
    manager.aheadMs = -3_600_000;
    manager.deploy(3, { [A]: file(A, '2') });
    await reads('speed=2');
    expect(manager.seen.some(({ unsigned }) => unsigned?.startsWith('created -'))).toBe(true);
    manager.aheadMs = 0;
  });

  test('rule 67: Retry-After is obeyed, and what is 404 for a while is applied once it is served', async () => {
    manager.faults.set('/deployments', { status: 503, headers: { 'retry-after': '2' } });
    const busy = () => manager.seen.filter(({ status }) => status === 503).map(({ at }) => at);
    await eventually('it was told to wait, and has', () => busy().length > 1);
    manager.faults.delete('/deployments');
    const [first = 0, next = 0] = busy();
    expect(next - first).toBeGreaterThan(1_900);
    const document = file(A, '3');
    const digest = new Bun.CryptoHasher('sha256').update(document).digest('hex');
    manager.faults.set(digest, { status: 404 });
    manager.deploy(4, { [A]: document });
    await logged(device, 'margo.not-served');
    expect(device.read('a')).toBe('speed=2');
    manager.faults.clear();
    await reads('speed=3');
  });

  const etags = () =>
    manager.seen
      .filter(({ path }) => path.endsWith('/deployments'))
      .map(({ headers }) => headers['if-none-match']);
  const polled = async (count: number): Promise<void> => {
    const before = etags().length;
    await eventually(`${count} polls`, () => etags().length >= before + count);
  };

  test('rules 14, 22, 23: the ETag of what is accepted is shown byte for byte; capabilities once', async () => {
    await polled(2);
    const wanted = etags().at(-1);
    expect(wanted).toMatch(/^"sha256:[0-9a-f]{64}"$/);
    expect(manager.seen.filter(({ path }) => path.includes('/capabilities')).length).toBe(1);
  });

  test('rules 29, 30, 31, 34, 35, 36, 44: what is no manifest, or an older one, changes nothing', async () => {
    const none = `sha256:${'a'.repeat(64)}`;
    const entry = { deploymentId: A, digest: none, url: `/api/v1/deployments/${A}/${none}` };
    const list = (...deployments: readonly object[]) =>
      JSON.stringify({ manifestVersion: 9, bundle: null, deployments });
    for (const [text, found] of [
      ['{"manifestVersion":3,"bundle":null,"deployments":[]}', 'trust.rollback'],
      ['{"manifestVersion":4,"bundle":null,"deployments":[]}', 'trust.equivocation'],
      ['{"manifestVersion":9.0,"bundle":null,"deployments":[]}', '/manifestVersion: '],
      ['{"manifestVersion":9,"bundle":null}', '/deployments: '],
      [list(entry, entry), '/deployments/1/deploymentId: '],
      [list({ ...entry, digest: none.replace('256', '512') }), '/deployments/0/digest: '],
      [list({ ...entry, url: `https://evil.example${entry.url}` }), '/deployments/0/url: '],
    ] as const) {
      manager.serve(() => text);
      await logged(device, found);
    }
    expect(device.read('a')).toBe('speed=3');
  });

  test('rules 37, 38: a document of other bytes is refused, and its manifest asked for again', async () => {
    const document = file(A, '2');
    manager.deploy(10, { [A]: document });
    const digest = new Bun.CryptoHasher('sha256').update(document).digest('hex');
    const headers = { 'content-type': 'application/yaml' };
    manager.faults.set(digest, { status: 200, headers, body: 'other bytes' });
    await logged(device, 'source.digest-mismatch');
    expect(device.read('a')).toBe('speed=3');
    manager.faults.clear();
    await reads('speed=2');
  });

  test('rule 64: a status that could not be told is told after a cut, without onboarding again', async () => {
    const onboardings = () =>
      manager.seen.filter(({ path }) => path.endsWith('/onboarding')).length;
    const before = onboardings();
    manager.faults.set(`/${A}/status`, { status: 503, body: '{}' });
    const told = manager.states(A).length;
    // Never told before: of what is told nothing is sent again.
    manager.deploy(11, { [A]: file(A, '4') });
    await reads('speed=4');
    await device.stop('SIGKILL');
    manager.faults.clear();
    device.start();
    await eventually('it is told', () => manager.states(A).slice(told).at(-1) === 'installed');
    expect(onboardings()).toBe(before);
  });

  test('rules 49, 50: absence removes, and is told; what is unchanged is not touched', async () => {
    const kept = file(A, '4');
    const other = filesDocument({
      ...{ id: B, deviceId: 'press-42', target: join(device.opt, 'b'), blob: 'files/1' },
      content: 'speed=1',
    });
    manager.deploy(12, { [A]: kept, [B]: other });
    await eventually('b is told', () => manager.states(B).includes('installed'));
    await polled(2);
    const told = manager.states(A).length;
    manager.deploy(13, { [A]: kept });
    await eventually('b is gone', () => device.read('b') === null);
    await eventually('it is told', () => manager.states(B).includes('removed'));
    expect([device.read('a'), manager.states(A).length]).toEqual(['speed=4', told]);
  });

  test('a package that only a URL names is refused by itself, the others go on', async () => {
    const named = `apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata: { annotations: { id: ${B}, applicationId: press-monitor }, name: monitor, namespace: n }
spec:
  deploymentProfile:
    type: compose
    components: [{ name: monitor, properties: { packageLocation: "https://f.example/m.tar.gz", wait: "true" } }]
`;
    manager.deploy(20, { [A]: file(A, '1'), [B]: named });
    await reads('speed=1');
    await eventually('it is told', () => manager.states(B).includes('failed'));
    const report = manager.seen.findLast(({ path }) => path.endsWith(`/${B}/status`));
    const { apiVersion, status } = JSON.parse(report?.body ?? '{}');
    expect([apiVersion, status.error.code]).toEqual([
      'deployment.margo.org/v1alpha1',
      'margo.package-unpinned',
    ]);
  });

  test('what it sent keeps to the description of the API (rules 58, 71)', () => {
    expect(manager.traffic.misfits).toEqual([]);
    manager.traffic.told();
  });

  test('a manager that has forgotten it is told as such; nothing is onboarded by itself', async () => {
    manager.clients.clear();
    await logged(device, 'margo.client-unknown');
    const onboarded = manager.seen.filter(
      ({ path, method }) => method === 'POST' && path.endsWith('/onboarding'),
    );
    expect(device.log().split('margo.onboarded').length).toBe(2);
    expect(device.read('a')).toBe('speed=1');
    expect(onboarded.length).toBeGreaterThan(0);
  });

  test('rule 8: a manager whose authority the owner did not name hears nothing', async () => {
    const foreign = makeCa(world.desk.folder, 'foreign-older');
    const other = await olderManager(makeLeaf(world.desk.folder, 'other-older', foreign, SERVER));
    const stranger = older('stranger', { url: other.url, ca: ca.cert });
    try {
      stranger.start();
      await logged(stranger, 'link.tls-untrusted');
      expect(other.seen).toEqual([]);
    } finally {
      await stranger.stop();
      await other.close();
    }
  });

  const here = executable();
  const lacks = here === null ? ' (not built)' : faketime ? '' : ' (no libfaketime)';
  test.skipIf(lacks !== '')(
    `the executable with a dead clock signs in the manager’s own time (rule 71)${lacks}`,
    async () => {
      await device.stop();
      manager.letIn = true;
      manager.seen.splice(0);
      manager.deploy(2, {
        [A]: filesDocument({
          ...document('press-70'),
          target: join(world.desk.folder, 'press-70/opt/a'),
        }),
      });
      const program = [...AT_1970, here ?? ''];
      const margo = { deviceId: 'press-70', dialect: 'pr1' };
      const dead = older('press-70', { url: manager.url, ca: ca.cert, margo, program });
      try {
        dead.start();
        await eventually('it is installed', () => dead.read('a') === 'speed=1');
        await eventually('it is told', () => manager.states(A).includes('installed'));
        const own = manager.seen.filter(({ path }) => !path.endsWith('/certificate'));
        const first = manager.seen.findIndex(({ path }) => path.endsWith('/certificate'));
        expect(first).toBe(0);
        expect(own.filter(({ unsigned }) => unsigned !== null)).toEqual([]);
        expect(own.some(({ path }) => path.endsWith('/capabilities'))).toBe(true);
      } finally {
        await dead.stop();
      }
    },
  );
});
