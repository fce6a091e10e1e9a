/**
 * Sticks: bundles that appear in a watched directory. Read whole or not at all, applied by policy or
 * after somebody at the device said so, refused with a reason, never written to.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BundleView } from '#control/api.ts';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { noMounts } from '../support/mounts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const run = (...command: readonly string[]) => {
  const [file = '', ...args] = command;
  return spawnSync(file, args, { encoding: 'utf8' });
};

let parts: Parts;
let plant: Plant;
let device: Device;
const folder = mkdtempSync(join(tmpdir(), 'holdfast-sticks-'));
const media = join(folder, 'media');
mkdirSync(media);

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
});
afterAll(async () => {
  run('umount', join(media, 'stick'));
  await plant?.remove();
  await parts?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** Publishes to a bundle alone; the registry hears nothing of it. */
async function stick(name: string, speed: number, kind = 'oci'): Promise<string> {
  plant.write('canary', 'speed.conf', `speed=${speed}\n`);
  const target = join(device.opt, 'speed.conf');
  plant.deploy('canary', 'conf', filesSpec({ conf: { blob: 'speed.conf', target } }));
  const path = join(folder, name);
  const { point } = await plant.publish('canary', '--to', `${kind}:${path}`, '--no-nudge');
  return point;
}

async function start(id: string, consent: 'policy' | 'ask'): Promise<void> {
  const settings = {
    ...{ bundles: { watch: [media, join(media, 'stick')], consent } },
    ...{ registries: [], mqtt: undefined },
  };
  device = plant.device(id, { settings });
  await device.start();
}

async function bundleAt(path: string, what: string, holds: (one: BundleView) => boolean) {
  return eventually(
    `${path} ${what}`,
    async () => {
      const { bundles = [] } = await device.status();
      return bundles.find((one) => one.path === path && holds(one));
    },
    30_000,
  );
}

/** Whole under another name first, as a file manager does at its best. */
function drop(from: string, name: string): string {
  const path = join(media, name);
  cpSync(join(folder, from), `${path}.part`, { recursive: true, preserveTimestamps: true });
  renameSync(`${path}.part`, path);
  return path;
}

const json = async <T>(...args: readonly string[]) =>
  JSON.parse((await device.command([...args, '-o', 'json'])).out) as T;

describe('by policy', () => {
  const image = join(folder, 'stick.img');
  const mounts = noMounts === null && run('mkfs.ext4', '-V').status === 0;
  const onStick = missing === null && mounts ? test : test.skip;

  onStick(
    title(
      `a read-only stick is applied, can be pulled at once, and not a bit of it changed${mounts ? '' : ' (no mounts here)'}`,
    ),
    async () => {
      await start('press-1', 'policy');
      const point = await stick('on-stick', 1);
      writeFileSync(image, '');
      truncateSync(image, 16 * 1024 * 1024);
      const at = join(media, 'stick');
      mkdirSync(at);
      run('mkfs.ext4', '-q', '-d', join(folder, 'on-stick'), image);
      const before = createHash('sha256').update(readFileSync(image)).digest('hex');
      expect(run('mount', '-o', 'loop,ro,noload', image, at).stderr).toBe('');
      await device.applied(point);
      expect(run('umount', at).stderr).toBe('');
      expect(createHash('sha256').update(readFileSync(image)).digest('hex')).toBe(before);
      await eventually(
        'it is gone',
        async () => (await device.status()).bundles?.length === 0,
        30_000,
      );
      expect(device.read('speed.conf')).toBe('speed=1\n');
    },
  );

  real(title('one that is still copied is read when it is whole; access times stay'), async () => {
    if (!device) await start('press-1', 'policy');
    const point = await stick('slow', 2);
    const path = join(media, 'slow');
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
    for (const name of ['oci-layout', 'index.json'])
      cpSync(join(folder, 'slow', name), join(path, name));
    const waits = await bundleAt(path, 'is read too early', (one) => one.fault !== null);
    expect(waits.nextReadMs).not.toBeNull();
    expect(waits.fault?.code).toMatch(/^(source|platform)\./);
    cpSync(join(folder, 'slow/blobs'), join(path, 'blobs'), { recursive: true });
    const old = new Date(1_600_000_000_000);
    utimesSync(join(path, 'index.json'), old, new Date(1_700_000_000_000));
    await device.applied(point);
    expect(statSync(join(path, 'index.json')).atimeMs).toBe(old.getTime());
    await bundleAt(path, 'is applied', ({ state }) => state === 'applied' || state === 'current');
    rmSync(path, { recursive: true });
  });

  real(title('damaged, foreign and linked ones are refused, each with its reason'), async () => {
    await stick('damaged', 3);
    const bytes = join(folder, 'damaged/index.json');
    writeFileSync(bytes, readFileSync(bytes, 'utf8').replaceAll(/sha256:[0-9a-f]/g, 'sha256:0'));
    const other = await makePlant(parts);
    other.write('canary', 'a.conf', 'a\n');
    const target = join(device.opt, 'a.conf');
    other.deploy('canary', 'a', filesSpec({ a: { blob: 'a.conf', target } }));
    await other.publish(
      'canary',
      '--to',
      `oci-archive:${join(folder, 'foreign.tar')}`,
      '--no-nudge',
    );
    const paths = {
      damaged: drop('damaged', 'damaged'),
      foreign: drop('foreign.tar', 'foreign.tar'),
    };
    run('ln', '-s', '/etc/shadow', join(media, 'link.tar'));
    const told = async (path: string) =>
      await bundleAt(
        path,
        'is judged',
        (one) => one.state !== 'copying' && one.state !== 'reading',
      );
    expect((await told(paths.damaged)).fault?.code).toMatch(/^source\./);
    expect((await told(paths.foreign)).fault?.code).toBe('trust.threshold');
    const linked = await told(join(media, 'link.tar'));
    expect(linked.fault).toMatchObject({
      code: 'source.layout',
      message: expect.stringContaining('link'),
    });
    const { also = [] } = await device.explain();
    expect(also.map(({ verdict }) => verdict).join('\n')).toContain(paths.foreign);
    expect(also.every(({ cure }) => cure !== '')).toBe(true);
    const text = (await device.command(['bundles'])).out;
    expect(text).toContain('is refused');
    expect(device.read('speed.conf')).toBe('speed=2\n');
    await device.stop();
    for (const path of [...Object.values(paths), join(media, 'link.tar')])
      rmSync(path, { recursive: true });
    await other.remove();
  });
});

describe('with consent: ask', () => {
  real(title('nothing is applied until somebody at the device says so'), async () => {
    await start('press-2', 'ask');
    const point = await stick('asked.tar', 7, 'oci-archive');
    const path = drop('asked.tar', 'asked.tar');
    await bundleAt(path, 'is offered', ({ state }) => state === 'offered');
    const [channel] = (await device.status()).channels;
    expect(channel).toMatchObject({ applied: null, desired: null });
    const { also = [] } = await device.explain();
    expect(also).toContainEqual(
      expect.objectContaining({ verdict: `${path}: canary ${point} waits for consent` }),
    );
    const listed = await device.command(['bundles']);
    expect(listed.code).toBe(1);
    expect(listed.out).toMatch(/install\s+conf\s+files/);
    const [bundle] = await json<readonly BundleView[]>('bundles');
    expect(bundle).toMatchObject({
      point,
      plan: { steps: [{ action: 'install', deployment: 'conf' }] },
    });
    const silent = await device.command(['consent', path]);
    expect([silent.code !== 0, silent.err]).toEqual([
      true,
      expect.stringContaining('control.not-confirmed'),
    ]);
    expect((await device.status()).channels[0]?.applied).toBeNull();
    const given = await device.command(['consent', '-y', '-o', 'json']);
    expect(JSON.parse(given.out)).toMatchObject({ result: 'applied', offered: point });
    expect(device.read('speed.conf')).toBe('speed=7\n');
    const none = await device.command(['consent', '-y']);
    expect(none.err).toContain('agent.no-consent');
    expect((await device.command(['bundles', '-q'])).out).toBe('');
  });
});
