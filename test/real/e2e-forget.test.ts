/**
 * What a channel left on a device that no longer follows it: told, kept running, and taken away by the
 * operator's `forget` alone, with the compiled executable.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Device, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7', { settings: { mqtt: undefined } });
  const target = join(device.opt, 'old.conf');
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, 'before holdfast\n');
  plant.write('canary', 'old', 'old\n');
  plant.deploy('canary', 'old-conf', filesSpec({ conf: { blob: 'old', target } }));
  plant.write('canary', 'run.sh', '#!/bin/sh\nexec sleep 600\n', 0o755);
  plant.deploy('canary', 'old-run', processSpec({ blob: 'run.sh' }, { dependsOn: ['old-conf'] }));
  const { point } = await plant.publish('canary');
  plant.write('stable', 'new', 'new\n');
  const kept = filesSpec({ conf: { blob: 'new', target: join(device.opt, 'new.conf') } });
  plant.deploy('stable', 'new-conf', kept);
  await plant.publish('stable');
  await device.start();
  await device.applied(point);
  await device.stop();
  device.configure({ channels: [{ name: 'stable', allow: { roots: [device.opt] } }] });
  await device.start();
  await eventually('stable is applied', () => existsSync(join(device.opt, 'new.conf')));
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

real(title('it runs on and is listed; nothing goes without a yes'), async () => {
  expect(programsOf(device.stateDir)).toHaveLength(1);
  expect((await device.command(['forget'])).out).toMatch(/canary\s+1\.1\s+.*old-/);
  const unasked = await device.command(['forget', 'canary']);
  expect(unasked.code).toBe(2);
  expect(unasked.err).toContain('control.not-confirmed');
  const followed = await device.command(['forget', 'stable', '-y']);
  expect(followed.err).toContain('agent.not-orphaned');
  expect(programsOf(device.stateDir)).toHaveLength(1);
  expect(device.read('old.conf')).toBe('old\n');
  expect((await device.command(['wait', '--for', 'healthy', '--timeout', '5s'])).code).toBe(0);
});

real(
  title('forget stops its programs, gives back what stood there, and leaves the rest'),
  async () => {
    const done = await device.command(['forget', 'canary', '-y', '-o', 'json']);
    expect(done.code).toBe(0);
    const { removed } = JSON.parse(done.out) as { readonly removed: readonly string[] };
    expect([...removed].sort()).toEqual(['old-conf', 'old-run']);
    expect(programsOf(device.stateDir)).toEqual([]);
    expect(readFileSync(join(device.opt, 'old.conf'), 'utf8')).toBe('before holdfast\n');
    expect(device.read('new.conf')).toBe('new\n');
    const { channels } = await device.status();
    expect(channels.map(({ channel }) => channel)).not.toContain('canary');
    expect((await device.command(['events'])).out).toContain('channel.forgotten');
    expect((await device.command(['audit'])).out).toMatch(/forgotten\s+operator\s+canary/);
    await device.stop();
    await device.start();
    expect(programsOf(device.stateDir)).toEqual([]);
    expect((await device.command(['forget', '-o', 'name'])).out).toBe('');
  },
);
