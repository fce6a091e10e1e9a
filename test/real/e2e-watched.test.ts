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
  symlinkSync,
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

/** what takes time is the watching, so they watch side by side */
const real = missing === null ? test.concurrent : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const run = (...command: readonly string[]) => {
  const [file = '', ...args] = command;
  return spawnSync(file, args, { encoding: 'utf8' });
};

let parts: Parts;
const folder = mkdtempSync(join(tmpdir(), 'holdfast-sticks-'));
const plants: Plant[] = [];

beforeAll(async () => {
  if (missing === null) parts = await startParts();
});
afterAll(async () => {
  run('umount', join(folder, 'press-1/stick'));
  await Promise.all(plants.map((plant) => plant.remove()));
  await parts?.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface World {
  readonly device: Device;
  /** what it watches */
  readonly media: string;
  /** where its bundles are made: two desks cannot write to one place at once */
  readonly desk: string;
  /** A state that goes to a bundle alone. @returns its point */
  stick(name: string, speed: number, channel?: string): Promise<string>;
  /** Whole under another name first, as a file manager does at its best. */
  drop(name: string): string;
  /** Until the status says so of this path. */
  lies(path: string, what: string, holds: (one: BundleView) => boolean): Promise<BundleView>;
}

/** A fleet of its own and a device without any network. */
async function world(id: string, consent: 'policy' | 'ask'): Promise<World> {
  const [media, desk] = [join(folder, id), join(folder, `${id}-desk`)];
  for (const path of [media, desk]) mkdirSync(path);
  const plant = await makePlant(parts);
  plants.push(plant);
  const bundles = { watch: [media, join(media, 'stick')], consent };
  const settings = { bundles, registries: [], mqtt: undefined };
  const device = plant.device(id, { settings });
  const allow = { roots: [device.opt] };
  device.configure({ channels: ['canary', 'stable'].map((name) => ({ name, allow })) });
  await device.start();
  return {
    ...{ device, media, desk },
    async stick(name, speed, channel = 'canary') {
      const file = channel === 'canary' ? 'speed.conf' : `${channel}.conf`;
      plant.write(channel, file, `speed=${speed}\n`);
      const id = channel === 'canary' ? 'conf' : channel;
      const target = join(device.opt, file);
      plant.deploy(channel, id, filesSpec({ conf: { blob: file, target } }));
      const kind = name.endsWith('.tar') ? 'oci-archive' : 'oci';
      const to = `${kind}:${join(desk, name)}`;
      return (await plant.publish(channel, '--to', to, '--no-nudge')).point;
    },
    drop(name) {
      const path = join(media, name);
      cpSync(join(desk, name), `${path}.part`, { recursive: true, preserveTimestamps: true });
      renameSync(`${path}.part`, path);
      return path;
    },
    lies: (path, what, holds) =>
      eventually(
        `${path} ${what}`,
        async () => (await device.status()).bundles?.find((one) => one.path === path && holds(one)),
        30_000,
      ),
  };
}

describe('by policy', () => {
  const mounts = noMounts === null && run('mkfs.ext4', '-V').status === 0;
  const onStick = missing === null && mounts ? test.concurrent : test.skip;
  const why = mounts ? '' : ' (nothing can be mounted here)';

  onStick(
    title(`a read-only stick is applied, can be pulled at once, and no bit of it changed${why}`),
    async () => {
      const { device, media, desk, stick } = await world('press-1', 'policy');
      const point = await stick('on-stick', 1);
      const [image, at] = [join(folder, 'stick.img'), join(media, 'stick')];
      writeFileSync(image, '');
      truncateSync(image, 16 * 1024 * 1024);
      mkdirSync(at);
      run('mkfs.ext4', '-q', '-d', join(desk, 'on-stick'), image);
      const digest = () => createHash('sha256').update(readFileSync(image)).digest('hex');
      const before = digest();
      expect(run('mount', '-o', 'loop,ro,noload', image, at).stderr).toBe('');
      await device.applied(point);
      expect(run('umount', at).stderr).toBe('');
      expect(digest()).toBe(before);
      const gone = async () => (await device.status()).bundles?.length === 0;
      await eventually('it is gone', gone, 30_000);
      expect(device.read('speed.conf')).toBe('speed=1\n');
    },
  );

  real(title('one that is still copied is read when it is whole; access times stay'), async () => {
    const { device, media, desk, stick, lies } = await world('press-2', 'policy');
    const point = await stick('slow', 2);
    const path = join(media, 'slow');
    mkdirSync(join(path, 'blobs/sha256'), { recursive: true });
    for (const name of ['oci-layout', 'index.json'])
      cpSync(join(desk, 'slow', name), join(path, name));
    const waits = await lies(path, 'is read too early', (one) => one.fault !== null);
    expect(waits.nextReadMs).not.toBeNull();
    expect(waits.fault?.code).toMatch(/^(source|platform)\./);
    cpSync(join(desk, 'slow/blobs'), join(path, 'blobs'), { recursive: true });
    const old = new Date(1_600_000_000_000);
    utimesSync(join(path, 'index.json'), old, new Date(1_700_000_000_000));
    await device.applied(point);
    expect(statSync(join(path, 'index.json')).atimeMs).toBe(old.getTime());
    await lies(path, 'is applied', ({ state }) => state === 'applied' || state === 'current');
  });

  real(title('damaged, foreign and linked ones are refused, each with its reason'), async () => {
    const { device, media, desk, stick, drop, lies } = await world('press-3', 'policy');
    const other = await world('press-4', 'policy');
    await Promise.all([stick('damaged', 3), other.stick('foreign.tar', 4)]);
    cpSync(join(other.desk, 'foreign.tar'), join(desk, 'foreign.tar'));
    const index = join(desk, 'damaged/index.json');
    const another = (_: string, first: string) => `sha256:${first === '0' ? '1' : '0'}`;
    const wrong = readFileSync(index, 'utf8').replaceAll(/sha256:([0-9a-f])/g, another);
    writeFileSync(index, wrong);
    const paths = [drop('damaged'), drop('foreign.tar'), join(media, 'link.tar')] as const;
    symlinkSync('/etc/shadow', paths[2]);
    const judged = ({ state }: BundleView) => state !== 'copying' && state !== 'reading';
    const [damaged, foreign, linked] = await Promise.all(
      paths.map((path) => lies(path, 'is judged', judged)),
    );
    expect(damaged?.fault?.code).toMatch(/^source\./);
    expect(foreign?.fault?.code).toBe('trust.threshold');
    const link = { code: 'source.layout', message: expect.stringContaining('link') };
    expect(linked?.fault).toMatchObject(link);
    const { also = [] } = await device.explain();
    const told = also.filter(({ verdict }) => verdict.startsWith(media));
    expect([told.length, told.every(({ cure }) => cure !== '')]).toEqual([3, true]);
    const text = (await device.command(['bundles'])).out;
    expect(text).toContain(`${foreign?.path}  is refused\n  trust.threshold: 0 of 1`);
    expect(text).toMatch(/damaged {2}waits \(read again in \d+ s\)\n {2}source\./);
    expect((await device.status()).channels[0]?.applied).toBeNull();
  });
});

describe('with consent: ask', () => {
  real(title('nothing is applied until somebody at the device says so'), async () => {
    const { device, stick, drop, lies } = await world('press-5', 'ask');
    const point = await stick('asked.tar', 7);
    const path = drop('asked.tar');
    await lies(path, 'is offered', ({ state }) => state === 'offered');
    const [channel] = (await device.status()).channels;
    expect(channel).toMatchObject({ applied: null, desired: null });
    const { also = [] } = await device.explain();
    const verdict = `${path}: canary ${point} waits for consent`;
    expect(also).toContainEqual(expect.objectContaining({ verdict }));
    const listed = await device.command(['bundles']);
    expect(listed.code).toBe(1);
    expect(listed.out).toMatch(/install\s+conf\s+files/);
    const silent = await device.command(['consent', path]);
    expect(silent.err).toContain('control.not-confirmed');
    expect((await device.status()).channels[0]?.applied).toBeNull();
    const given = await device.command(['consent', '-y', '-o', 'json']);
    expect(JSON.parse(given.out)).toMatchObject({ result: 'applied', offered: point });
    expect(device.read('speed.conf')).toBe('speed=7\n');
    expect((await device.command(['consent', '-y'])).err).toContain('agent.no-consent');
    expect((await device.command(['bundles', '-q'])).out).toBe('');
  });

  real(title('a bundle for two channels shows both, and consent is to both'), async () => {
    const { device, desk, stick, drop, lies } = await world('press-6', 'ask');
    const canary = await stick('both', 11);
    const stable = await stick('beside', 12, 'stable');
    const index = (name: string) => join(desk, name, 'index.json');
    const [one, two] = ['both', 'beside'].map((name) =>
      JSON.parse(readFileSync(index(name), 'utf8')),
    );
    one.manifests.push(...two.manifests);
    writeFileSync(index('both'), JSON.stringify(one));
    cpSync(join(desk, 'beside/blobs'), join(desk, 'both/blobs'), { recursive: true });
    const path = drop('both');
    const bundle = await lies(path, 'is offered', ({ state }) => state === 'offered');
    const { channel, point, more } = bundle;
    expect([channel, point, more.map((one) => [one.channel, one.point])]).toEqual([
      ...['canary', canary],
      [['stable', stable]],
    ]);
    expect((await device.command(['consent', '-y', path])).code).toBe(0);
    expect(device.read('speed.conf')).toBe('speed=11\n');
    expect(device.read('stable.conf')).toBe('speed=12\n');
  });
});
