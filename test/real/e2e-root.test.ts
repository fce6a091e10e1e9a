/**
 * `holdfast root` and a device, end to end with the compiled executable: keys are replaced while a
 * program runs, a stolen key is answered by a new epoch, and a device that has no registry is managed
 * over the broker alone.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  programText,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: ['stable', 'canary'] });
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

async function holdfast(...args: string[]): Promise<string> {
  const ended = await plant.holdfast(args);
  if (ended.code !== 0)
    throw new Error(`${args.join(' ')}: ${ended.code}\n${ended.err}${ended.out}`);
  return ended.out;
}

/** Edits, then request, signature and publication. */
async function changeRoot(edits: readonly string[][], ...flags: string[]): Promise<string> {
  for (const edit of edits) await holdfast('root', ...edit);
  const { file } = JSON.parse(await holdfast('root', 'request', '-o', 'json')) as { file: string };
  await holdfast('root', 'sign', file, '--key', 'keys/root/root-1.pem', '-y');
  return holdfast('root', 'publish', ...flags);
}

async function newSigner(channel: string, name: string): Promise<readonly string[][]> {
  await holdfast('key', 'create', name, '--no-passphrase');
  const file = join(plant.fleetFolder, 'fleet.yaml');
  const text = readFileSync(file, 'utf8');
  const signers = new RegExp(`( ${channel}:\\s+signers: )\\[.*?\\]`);
  writeFileSync(file, text.replace(signers, `$1[${name}]`));
  return [
    ['add-key', name, '--role', `channel.${channel}`],
    ['remove-key', channel],
  ];
}

real(
  title('a device follows new keys and a new epoch, and what runs is never started again'),
  async () => {
    const device = plant.device('press-1', { channel: 'stable' });
    const journal = join(plant.folder, 'press-1', 'runs');
    plant.write('stable', 'run.sh', programText('one', journal), 0o755);
    plant.deploy('stable', 'run', processSpec({ blob: 'run.sh' }));
    await plant.publish('stable');
    await device.start();
    await device.applied('1.1');
    expect(linesOf(journal)).toHaveLength(1);

    await changeRoot(await newSigner('stable', 'fresh'));
    await eventually('root 2 is held', async () => device.log().includes('root.replaced'));
    plant.deploy('stable', 'more', processSpec({ blob: 'run.sh' }));
    await plant.publish('stable');
    await device.applied('1.2');

    await changeRoot([['bump-epoch', 'stable']]);
    await device.applied('2.1');
    expect(linesOf(journal).filter((line) => line.startsWith('one'))).toHaveLength(2);
    expect(linesOf(journal).filter((line) => line.startsWith('end'))).toHaveLength(0);

    // one that has slept since the first root walks to the newest at once
    const late = plant.device('press-2', { channel: 'stable' });
    await late.start();
    await late.applied('2.1');
  },
  120_000,
);

real(
  title('a device without a registry follows states and roots that are pushed over the broker'),
  async () => {
    const device = plant.device('press-3', {
      channel: 'canary',
      settings: { registries: [] },
    });
    const target = join(device.opt, 'line.conf');
    plant.deploy('canary', 'line', filesSpec({ conf: { blob: 'line.conf', target } }));
    plant.write('canary', 'line.conf', 'speed=1\n');
    await plant.publish('canary', '--push');
    await device.start(); // the push is retained: it was sent before
    await device.applied('1.1');
    expect(readFileSync(target, 'utf8')).toBe('speed=1\n');
    await changeRoot(await newSigner('canary', 'later'), '--push');
    plant.write('canary', 'line.conf', 'speed=2\n');
    await plant.publish('canary', '--push');
    await device.applied('1.2');
    expect(readFileSync(target, 'utf8')).toBe('speed=2\n');
  },
  120_000,
);
