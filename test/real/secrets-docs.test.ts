/** docs/secrets.md, run: every command of it, against a real registry and broker, with a device. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { output, run } from '../support/command.ts';
import { type Device, holdfast, makeDevice } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { ROOT } from '../support/parts.ts';
import { linesOf, missing, type Parts, startParts } from '../support/plant.ts';
import { deviceKey, volatileRunDir } from '../support/sealed-plant.ts';
import { type StatusWatch, watchStatus } from '../support/status-watch.ts';

const page = readFileSync(join(ROOT, 'docs/secrets.md'), 'utf8');
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(
    ([, text = '']) => text,
  );

let parts: Parts;
let watch: StatusWatch | null = null;
let device: Device | null = null;
let removeRunDir = () => {};
const folder = mkdtempSync(join(tmpdir(), 'holdfast-secrets-'));

beforeAll(async () => {
  if (missing === null) parts = await startParts();
});
afterAll(async () => {
  await device?.remove();
  await watch?.stop();
  await parts?.remove();
  removeRunDir();
  rmSync(folder, { recursive: true, force: true });
});

const real = missing === null ? test : test.skip;

real(`docs/secrets.md: its commands bring its values to its program${missing ?? ''}`, async () => {
  const [init = '', seal = '', publish = '', ...more] = blocks('sh');
  const [plate = '', press = '', ...others] = blocks('yaml');
  expect([more, others]).toEqual([[], []]);
  const registry = `http://127.0.0.1:${parts.registry.port}/docs/secrets`;
  const mqtt = `mqtt://127.0.0.1:${parts.broker.port}`;
  const env = { REGISTRY: registry, BROKER: mqtt, SECRET: 'correct horse', OTHER: 'another' };
  const PATH = `${dirname(holdfast)}:${process.env.PATH}`;
  const shell = (script: string, cwd = folder, own = {}) =>
    output(['sh', '-eu', '-c', script], { cwd, env: { ...env, ...own, PATH } });
  await shell(init);
  const plant = join(folder, 'plant');
  const fleet = /fleet +([0-9a-f]{32})/.exec(await shell('holdfast root show', plant));
  const root = join(plant, 'root/1.root.json');
  watch = watchStatus(['-p', `${parts.broker.port}`], `holdfast/v1/${fleet?.[1] ?? ''}`);
  const site = { folder, root, registry, mqtt, watch };
  device = makeDevice(site, 'press-7', { channel: 'stable' });
  removeRunDir = volatileRunDir(device);
  await device.start();
  await device.linked();
  const found = await run([holdfast, 'doctor', '--config', device.configFile, '-o', 'json']);
  const key = await deviceKey(device);
  expect(found.out).toContain(key);
  await shell(seal, folder, { DEVICE_KEY: key });
  writeFileSync(join(plant, 'channels/device.press-7/plate.yaml'), plate);
  await shell(publish, plant);
  const journal = join(device.folder, 'journal');
  const says = `#!/bin/sh\necho "$DB_PASSWORD $(cat $DB_PASSWORD_FILE) $SERIAL" > ${journal}\nexec sleep 1000\n`;
  mkdirSync(join(plant, 'channels/stable/bin'), { recursive: true });
  writeFileSync(join(plant, 'channels/stable/bin/press'), says, { mode: 0o755 });
  writeFileSync(join(plant, 'channels/stable/press.yaml'), press.replace(', user: plc', ''));
  await shell('rm -f channels/stable/hello*; holdfast publish stable', plant);
  await eventually('what it got', () => linesOf(journal)[0]);
  expect(linesOf(journal)).toEqual(['correct horse correct horse 0047-11']);
});
