/** A device that speaks for others at its Margo manager: the agent from source, a folder for each child. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { digestOf, type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  filesDocument,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';
import { program } from '../support/parts.ts';

const id = (last: string) => `6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b${last}`;
const [OWN, CHILD, OTHER, ANY, ROBOT] = [id('41'), id('42'), id('43'), id('44'), id('45')];
const PROPERTIES = {
  ...{ vendor: 'Works', modelNumber: 'M', serialNumber: '1', memory: '1Gi', storage: '8Gi' },
  ...{ cpus: [{ cores: 2, architecture: 'arm' }], supportedDeploymentTypes: ['custom'] },
  ...{ interfaces: [{ type: 'canbus' }], peripherals: [{ type: 'camera' }] },
  supportedRuntimes: ['custom'],
};

const title = (text: string): string => (program('openssl') ? text : `${text} (no openssl)`);

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
let cell: string;
let robot: string;
const start = (
  children: readonly unknown[],
  more: Readonly<Record<string, unknown>> = {},
): void => {
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
    ...{ svid: world.svid('gw'), trustBundle: world.bundle, registry: world.registry },
    margo: { deviceId: 'gw', children, ...more },
  });
  device.start();
};
const child = (name: string, folder: string) => ({ id: name, folder, properties: PROPERTIES });

beforeAll(async () => {
  world = await margoWorld();
  for (const text of ['1', '2']) {
    world.write(`files/${text}`, `speed=${text}`);
    const kept = {
      id: id(`0${text}`),
      deviceId: 'x',
      target: `/opt/${text}`,
      blob: `files/${text}`,
    };
    world.write(`${kept.id}.yaml`, filesDocument(kept));
  }
  await world.publish();
  const pki = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(pki, 'little', world.ca, WFM), world.ca);
  [cell, robot] = [join(world.desk.folder, 'cell'), join(world.desk.folder, 'robot')];
  mkdirSync(cell);
  const told = { command: ['/bin/false'], timeout: '5s', labels: { arm: 'left' } };
  start([child('cell', cell), { ...child('robot', robot), ...told }]);
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

const document = (of: string, deviceId: string, text: string): string =>
  filesDocument({
    ...{ id: of, deviceId, target: join(device.opt, 'own') },
    ...{ blob: `files/${text}`, content: `speed=${text}` },
  });
const reports = (of: string) =>
  manager.seen
    .filter(({ method, path }) => method === 'POST' && path.includes(`/${of}/status`))
    .map(({ body }) => JSON.parse(body));
const told = (of: string, state: string, version: number) =>
  eventually(`${of} ${state} at ${version}`, () =>
    reports(of).some((one) => one.status.state === state && one.adoptedManifestVersion === version),
  );
const say = (of: string, digest: string, state: string): void => {
  mkdirSync(join(cell, 'status'), { recursive: true });
  writeFileSync(join(cell, 'status', `${of}.json.new`), JSON.stringify({ digest, state }));
  renameSync(join(cell, 'status', `${of}.json.new`), join(cell, 'status', `${of}.json`));
};

test(title('rules 12, 17: the gateway tells of itself, then of its children'), async () => {
  await eventually('all told', () =>
    manager.seen.some(({ path }) => path === '/api/v1/capabilities/gw/robot'),
  );
  const paths = manager.seen.filter(({ method }) => method === 'PUT').map(({ path }) => path);
  expect(paths.slice(0, 3)).toEqual([
    ...['/api/v1/capabilities/gw', '/api/v1/capabilities/gw/cell', '/api/v1/capabilities/gw/robot'],
  ]);
  const said = manager.seen.find(({ path }) => path.endsWith('/gw/robot'))?.body ?? '{}';
  expect(JSON.parse(said)).toMatchObject({
    ...{
      labels: { arm: 'left' },
      properties: { id: 'gw/robot', interfaces: [{ type: 'canbus' }] },
    },
  });
});

test(
  title(
    'rules 54, 58: what is for a child lies in its folder, and its state is told with its deviceId',
  ),
  async () => {
    const wanted = document(CHILD, 'gw/cell', '1');
    manager.deploy(2, {
      ...{ [OWN]: document(OWN, 'gw', '2'), [CHILD]: wanted },
      ...{ [OTHER]: document(OTHER, 'gw/nobody', '1'), [ANY]: document(ANY, 'gw/*', '1') },
      [ROBOT]: document(ROBOT, 'gw/robot', '1'),
    });
    await told(OWN, 'installed', 2);
    await told(CHILD, 'installing', 2);
    expect(readFileSync(join(cell, CHILD, 'deployment.yaml'), 'utf8')).toBe(wanted);
    expect(readFileSync(join(cell, CHILD, 'content/files/1'), 'utf8')).toBe('speed=1');
    expect(device.read('own')).toBe('speed=2');
    say(CHILD, digestOf(wanted), 'installed');
    await told(CHILD, 'installed', 2);
    expect(reports(CHILD).every(({ deviceId }) => deviceId === 'gw/cell')).toBe(true);
    expect(reports(OWN).some((one) => 'deviceId' in one)).toBe(false);
  },
);

test(
  title('rule 58: codes of gateways: 101 unknown, 102 out of reach, 103 no placement'),
  async () => {
    for (const [of, code] of [
      [OTHER, '101'],
      [ROBOT, '102'],
      [ANY, '103'],
    ] as const) {
      await told(of, 'failed', 2);
      expect(reports(of).at(-1)?.status.error).toMatchObject({ code, source: 'gw' });
    }
  },
);

test(
  title('rules 49, 50, 60: an update replaces, absence removes; a kill in between changes nothing'),
  async () => {
    const next = document(CHILD, 'gw/cell', '2');
    manager.deploy(3, { [OWN]: document(OWN, 'gw', '2'), [CHILD]: next });
    await told(CHILD, 'installing', 3);
    expect(readFileSync(join(cell, CHILD, 'deployment.yaml'), 'utf8')).toBe(next);
    await device.stop('SIGKILL');
    say(CHILD, digestOf(next), 'failed');
    device.start();
    await told(CHILD, 'failed', 3);
    expect(reports(OWN).some((one) => one.adoptedManifestVersion === 3)).toBe(false);
    manager.deploy(4, { [OWN]: document(OWN, 'gw', '2') });
    await told(CHILD, 'removed', 4);
    expect(existsSync(join(cell, CHILD))).toBe(false);
  },
);

test(
  title('rules 14, 17: a child that is named no more is taken back; a relay names no resources'),
  async () => {
    await device.stop();
    manager.seen.splice(0);
    start([child('cell', cell)], { relay: true });
    await eventually('taken back', () =>
      manager.seen.some(({ method, path }) => method === 'DELETE' && path.endsWith('/gw/robot')),
    );
    const own = manager.seen.find(({ path }) => path === '/api/v1/capabilities/gw');
    const { properties } = JSON.parse(own?.body ?? '{}');
    expect(Object.keys(properties).toSorted()).toEqual([
      'id',
      'modelNumber',
      'serialNumber',
      'vendor',
    ]);
  },
);
