/**
 * kill -9 while another sealed value is being brought into force: at each phase, and again while the
 * agent recovers. What runs afterwards has the old value or the new one, in the end the new one, and
 * neither was ever written where it stays.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { run } from '../support/command.ts';
import { type Device, holdfast } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import { filesWith, sealFor, spellings, volatileRunDir } from '../support/sealed-plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const OWN = 'device.press-7';
/** ms: long enough to be killed in */
const PROVING_MS = 400;

let parts: Parts;
let plant: Plant;
let device: Device;
let removeRunDir: () => void;
const secrets: string[] = [];

const journal = () => join(device.folder, 'journal');
const hashed = (text: string) => createHash('sha256').update(text).digest('hex');
const last = () => linesOf(journal()).at(-1) ?? '';

async function publishSecret(): Promise<string> {
  const secret = `kill-me-${secrets.length}-c29tZSBsb25nIHRleHQ`;
  secrets.push(secret);
  await sealFor(plant, device, { name: 'pin', secret });
  return secret;
}

function traces(): readonly string[] {
  const texts = secrets.flatMap(spellings);
  const folders = [device.folder, plant.fleetFolder, parts.registry.folder];
  const own = join(device.runDir, 'secrets/press/main/PIN_FILE');
  const kept = filesWith(folders, texts).filter((path) => path !== own);
  return [...kept, ...texts.filter((text) => device.log().includes(text))];
}

/** Resolves as soon as the log says this phase once more. */
async function phase(name: string, seen: number): Promise<void> {
  await eventually(`phase ${name}`, () => count(name) > seen);
}

function count(name: string): number {
  return device.log().split(`"phase":"${name}"`).length - 1;
}

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  const signers = { canary: { signers: ['canary'] }, 'device.*': { signers: ['device'] } };
  plant = await makePlant(parts, {
    channels: ['canary', 'device.*'],
    settings: { channels: signers },
  });
  device = plant.device('press-7');
  removeRunDir = volatileRunDir(device);
  const program = `#!/bin/sh
h() { printf %s "$1" | sha256sum | cut -d' ' -f1; }
echo "start $(h "$PIN") $(h "$(cat "$PIN_FILE")")" >> ${journal()}
trap 'exit 0' TERM
while :; do sleep 60 & wait $!; done
`;
  const to = (pointer: string, more = {}) => ({ pointer, components: ['main'], ...more });
  const targets = [to('PIN'), to('PIN_FILE', { as: 'file' })];
  plant.write('canary', 'bin/press', program, 0o755);
  plant.deploy(
    'canary',
    'press',
    processSpec(
      { blob: 'bin/press', aliveFor: `${PROVING_MS}ms` },
      { parameters: { pin: { valueFrom: { deviceValue: 'pin' }, targets } } },
    ),
  );
  await device.start();
  await device.linked();
  await publishSecret();
  await plant.publish(OWN);
  await plant.publish('canary');
  await device.applied('1.1');
});
afterAll(async () => {
  await plant?.remove();
  removeRunDir?.();
  await parts?.remove();
});

describe('kill -9 while another value comes into force', () => {
  for (const [name, again] of [
    ['activating', false],
    ['proving', false],
    ['proving', true],
  ] as const) {
    const what = again ? `${name}, and again while it recovers` : name;
    real(
      title(`N13: in ${what}: the new value runs in the end, and no trace of any is kept`),
      async () => {
        const before = last();
        const seen = count(name);
        const secret = await publishSecret();
        await plant.publish(OWN);
        await phase(name, seen);
        await device.stop('SIGKILL');
        expect(traces()).toEqual([]);
        if (again) {
          device.launch();
          await eventually('recovery', () => device.log().includes('"event":"recovery"'));
          await device.stop('SIGKILL');
          expect(traces()).toEqual([]);
        }
        expect([before, wanted(secret)]).toContain(last());
        await device.start();
        await device.linked();
        await eventually('the new value', () => last() === wanted(secret));
        await device.applied('1.1');
        expect(traces()).toEqual([]);
      },
    );
  }
});

describe('another value while one is being proven', () => {
  real(title('the newest runs in the end'), async () => {
    const seen = count('proving');
    await publishSecret();
    await plant.publish(OWN);
    await phase('proving', seen);
    const newest = await publishSecret();
    await plant.publish(OWN);
    await eventually('the newest', () => last() === wanted(newest));
    await device.applied('1.1');
  });

  real(title('an agent that looks once brings it into force before it ends'), async () => {
    await device.stop();
    // The key of the device is known at the desk by now; its status is retained.
    const newest = 'kill-me-once-c29tZSBsb25nIHRleHQ';
    secrets.push(newest);
    const names = ['--device', 'press-7', '--name', 'pin'];
    const sealed = await plant.holdfast(['seal', ...names], { input: newest });
    expect(sealed.err).toBe('');
    await plant.publish(OWN);
    const ended = await run([holdfast, 'agent', '--once', '--config', device.configFile]);
    expect(ended.code).toBe(0);
    expect(last()).toBe(wanted(newest));
    expect(traces()).toEqual([]);
  });
});

function wanted(secret: string): string {
  return `start ${hashed(secret)} ${hashed(secret)}`;
}
