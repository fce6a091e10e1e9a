/**
 * Disks that are full, out of inodes, or read-only, under the store and under the targets: the old
 * or the new state, whole, at every fill level; and once the world is put right, the new one without
 * anybody's help. Small tmpfs mounts, the compiled executable, real broker and registry.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Device, programsOf } from '../support/device.ts';
import { type Mount, mountTmpfs, noMounts } from '../support/mounts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import type { Report } from '../support/status-watch.ts';

const CHANNEL = 'canary';
const reason = missing ?? noMounts;
const real = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);
/** the agent looks again this often, so that "by itself" is soon */
const QUICKLY = { interval: '1s', jitter: 0, backoffMax: '1s' };
const KIB = 1024;

let parts: Parts;
let plant: Plant;
const mounts: Mount[] = [];

beforeAll(async () => {
  if (reason !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: [CHANNEL] });
}, 60_000);
afterAll(async () => {
  for (const mount of mounts) mount.empty();
  for (const mount of mounts) mount.end();
  await plant?.remove();
  await parts?.remove();
}, 60_000);

/** A device whose state or targets lie on a small file system. */
async function deviceOn(id: string, where: 'state' | 'opt', options: string) {
  const device = plant.device(id, {
    settings: { schedule: QUICKLY, keep: { reserve: '0' }, log: { level: 'info' } },
  });
  const mount = mountTmpfs(join(device.folder, where), options);
  if (where === 'state') chmodSync(mount.path, 0o700);
  mounts.push(mount);
  await device.start();
  return { device, mount };
}

let version = 0;

/** Targets of this device, all of one version. */
function write(device: Device): string {
  version += 1;
  const name = `v${version}`;
  const line = join(device.opt, 'line');
  mkdirSync(line, { recursive: true });
  const bytes = (of: string) => `${of} of ${name}\n${`${name} `.repeat(3_000)}`;
  plant.write(CHANNEL, 'one.conf', bytes('one'));
  plant.write(CHANNEL, 'tree/two.conf', bytes('two'));
  plant.write(CHANNEL, 'tree/deep/three.conf', bytes('three'));
  plant.write(CHANNEL, 'run', `#!/bin/sh\n# ${name}\nexec sleep 1000000\n`, 0o755);
  const targets = {
    one: { blob: 'one.conf', target: join(line, 'one.conf') },
    tree: { blob: 'tree', target: join(line, 'tree') },
  };
  plant.deploy(CHANNEL, 'files', filesSpec(targets));
  plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run', aliveFor: '100ms' }));
  return name;
}

/** The one version that everything on the device is of; throws when it is a mixture. */
function inForce(device: Device): string {
  const line = join(device.opt, 'line');
  const found = ['one.conf', 'tree/two.conf', 'tree/deep/three.conf'].map((path) => {
    const text = readFileSync(join(line, path), 'utf8');
    const name = / of (v\d+)\n/.exec(text)?.[1] ?? '?';
    expect(text).toEndWith(`${name} `.repeat(3_000));
    return name;
  });
  const programs = programsOf(device.stateDir).map((pid) => {
    const script = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return script.find((entry) => entry.startsWith('HOLDFAST_INSTANCE=')) ?? '';
  });
  expect(programs).toHaveLength(1);
  expect(new Set(found).size).toBe(1);
  return found[0] ?? '';
}

async function applies(device: Device, point: string): Promise<Report> {
  return await device.reports(`${point} applied`, ({ applied, phase }) => {
    return applied === point && phase === 'IDLE';
  });
}

/** Waits for what follows a publish: applied, or a reason to wait. */
async function outcome(device: Device, point: string): Promise<'applied' | string> {
  const from = device.allReports().length;
  const report = await device.reports(`${point} applied or waiting`, (each) => {
    const fresh = device.allReports().indexOf(each) >= from - 1;
    return each.applied === point || (fresh && each.waitingFor !== '');
  });
  return report.applied === point ? 'applied' : report.waitingFor;
}

describe('B09: the disk under the store is full', () => {
  real(
    title('at every fill level: the old or the new state, then the new by itself'),
    async () => {
      const { device, mount } = await deviceOn('full-state', 'state', 'size=6m');
      let last = write(device);
      await applies(device, (await plant.publish(CHANNEL)).point);
      const seen = new Set<string>();
      for (const free of [0, 8, 12, 16, 24, 48, 96, 192]) {
        mount.fill(free * KIB);
        const name = write(device);
        const { point } = await plant.publish(CHANNEL);
        const how = await outcome(device, point);
        seen.add(how);
        if (how !== 'applied') {
          expect(how).toMatch(/^(apply|store|platform)\.no-space$/);
          expect(inForce(device)).toBe(last);
        }
        mount.empty();
        await applies(device, point);
        expect(inForce(device)).toBe(name);
        last = name;
      }
      expect(seen.size).toBeGreaterThan(1);
      await device.command(['stop']);
    },
    120_000,
  );
});

describe('B09, B10: the file system of the targets', () => {
  for (const [name, options, use] of [
    ['is full', 'size=400k', (mount: Mount) => mount.fill(0)],
    ['has no inode left', 'size=4m,nr_inodes=80', (mount: Mount) => mount.fillInodes(0)],
    ['has one inode left', 'size=4m,nr_inodes=80', (mount: Mount) => mount.fillInodes(1)],
    ['has three inodes left', 'size=4m,nr_inodes=80', (mount: Mount) => mount.fillInodes(3)],
  ] as const) {
    real(
      title(`${name}: the old state stays, then the new one comes by itself`),
      async () => {
        const { device, mount } = await deviceOn(name.replaceAll(' ', '-'), 'opt', options);
        const last = write(device);
        await applies(device, (await plant.publish(CHANNEL)).point);
        use(mount);
        const next = write(device);
        const { point } = await plant.publish(CHANNEL);
        expect(await outcome(device, point)).toMatch(/\.no-space$/);
        expect(inForce(device)).toBe(last);
        mount.empty();
        await applies(device, point);
        expect(inForce(device)).toBe(next);
        await device.command(['stop']);
      },
      60_000,
    );
  }
});

describe('B16: the file system of the targets becomes read-only', () => {
  real(
    title('the old state stays and is reported; writable again, the new one comes'),
    async () => {
      const { device, mount } = await deviceOn('read-only', 'opt', 'size=4m');
      const last = write(device);
      await applies(device, (await plant.publish(CHANNEL)).point);
      mount.readOnly(true);
      const next = write(device);
      const { point } = await plant.publish(CHANNEL);
      expect(await outcome(device, point)).toBe('platform.read-only');
      expect(inForce(device)).toBe(last);
      mount.readOnly(false);
      await applies(device, point);
      expect(inForce(device)).toBe(next);
      await device.command(['stop']);
    },
    60_000,
  );
});
