/** A device whose owner says when its Margo manager is asked, and when it may change anything. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import { type MargoDevice, margoDevice } from '../support/margo-device.ts';
import { type LittleManager, littleManager } from '../support/margo-server.ts';
import {
  filesDocument,
  type MargoWorld,
  makeSvid,
  margoWorld,
  WFM,
} from '../support/margo-world.ts';
import { program } from '../support/parts.ts';

const ID = '6f1c0a52-3b7e-4d0a-9a41-0d5f6c1e2b11';
const HOUR = 3_600_000;

const title = (text: string): string => (program('openssl') ? text : `${text} (no openssl)`);

let world: MargoWorld;
let manager: LittleManager;
let device: MargoDevice;
beforeAll(async () => {
  world = await margoWorld();
  world.write('files/1', 'speed=1');
  world.write(`${ID}.yaml`, filesDocument({ ...of('/opt/x'), blob: 'files/1' }));
  await world.publish();
  const pki = join(world.desk.folder, 'pki');
  manager = await littleManager(makeSvid(pki, 'little', world.ca, WFM), world.ca);
});
afterAll(async () => {
  await device.stop();
  await manager.close();
  await world.remove();
});

const of = (target: string) => ({ id: ID, deviceId: 'press-42', target });
/** An hour that begins so many hours from now. */
const window = (hours: number) => {
  const start = new Date(Date.now() + hours * HOUR).toISOString().slice(11, 16);
  const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
  return [{ days, start, duration: '1h', timeZone: 'UTC' }];
};
const begin = async (margo: Readonly<Record<string, unknown>>): Promise<void> => {
  device = margoDevice({
    ...{ folder: join(world.desk.folder, 'device'), root: world.root, url: manager.url },
    ...{ svid: world.svid('press-42'), trustBundle: world.bundle, registry: world.registry, margo },
  });
  device.start();
  await eventually('it runs', () => device.log().includes('look.'));
};
const states = () => manager.statuses(ID).map(({ state }) => state);

test(title('rule 69: a change begins in the window alone; until then it is pending'), async () => {
  await begin({ windows: window(3), poll: { interval: '200ms', jitter: 0 } });
  const document = filesDocument({
    ...of(join(device.opt, 'a')),
    ...{ blob: 'files/1', content: 'speed=1' },
  });
  manager.deploy(2, { [ID]: document });
  await eventually('pending', () => states().at(-1) === 'pending');
  const asked = () => manager.seen.filter(({ path }) => path === '/api/v1/deployments').length;
  const before = asked();
  await eventually('polled again', () => asked() > before + 3);
  // What waits is here: it is not fetched at each poll.
  expect(manager.seen.filter(({ path }) => path.includes('/bundles/'))).toHaveLength(1);
  expect([device.read('a'), new Set(states())]).toEqual([null, new Set(['pending'])]);
  await device.stop();
  await begin({ windows: window(-0.5) });
  await eventually('installed', () => states().at(-1) === 'installed');
  expect(device.read('a')).toBe('speed=1');
  await device.stop();
});

test(title('rule 69: in a downtime the manager hears nothing, and what runs goes on'), async () => {
  manager.seen.splice(0);
  manager.deploy(3, {});
  const often = { interval: '100ms', jitter: 0, backoffMax: '100ms', perMinute: 60 };
  await begin({ poll: { ...often, hours: window(3) } });
  await eventually('not its hours', () => device.log().includes('margo.poll.hours'));
  expect(manager.seen.filter(({ method }) => method === 'GET')).toEqual([]);
  await device.stop();
  await begin({ downtime: window(-0.5), poll: { interval: '100ms', jitter: 0 } });
  await eventually('it says why', () => device.log().includes('margo.quiet'));
  expect([manager.seen, device.read('a')]).toEqual([[], 'speed=1']);
  // A person who asks is served.
  const [code, said] = await device.command('apply', '--run-dir', join(device.folder, 'run'));
  expect([code, said]).toEqual([0, expect.any(String)]);
  await eventually('removed', () => device.read('a') === null);
});
