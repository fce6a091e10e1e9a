/**
 * Values of one device, named by two channels of it: both wait until they are there, both follow when
 * they change, and values that one of them cannot live with are taken back from both.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
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
import { volatileRunDir } from '../support/sealed-plant.ts';

const CHANNELS = ['oem', 'stable'] as const;
type Name = (typeof CHANNELS)[number];
const OWN = 'device.press-7';
const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
let removeRunDir: () => void;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: [...CHANNELS, 'device.*'] });
  device = plant.device('press-7');
  removeRunDir = volatileRunDir(device);
  const allow = { roots: [device.opt] };
  device.configure({ channels: CHANNELS.map((name) => ({ name, allow })) });
  for (const name of CHANNELS) write(name);
  await device.start();
  await device.linked();
});
afterAll(async () => {
  await plant?.remove();
  removeRunDir?.();
  await parts?.remove();
});

const journal = (name: Name) => join(device.folder, `${name}.journal`);
const last = (name: Name) => linesOf(journal(name)).at(-1);

/** Notes its serial number; that of stable does not live with 13. */
function write(name: Name): void {
  const refuses = name === 'stable' ? 'test "$SERIAL" = 13 && exit 1' : ':';
  const text = `#!/bin/sh
echo "$SERIAL" >> ${journal(name)}
${refuses}
trap 'exit 0' TERM
while :; do sleep 60 & wait $!; done
`;
  plant.write(name, 'run', text, 0o755);
  const parameters = {
    serial: {
      valueFrom: { deviceValue: 'serial' },
      targets: [{ pointer: 'SERIAL', components: ['main'] }],
    },
  };
  const spec = processSpec({ blob: 'run', restart: { backoff: '100ms' } }, { parameters });
  plant.deploy(name, `run-${name}`, spec);
}

async function serial(value: string): Promise<void> {
  const document = { apiVersion: 'holdfast/v1', kind: 'Values', id: 'plain' };
  const values = { serial: { value } };
  plant.write(OWN, 'plain.yaml', JSON.stringify({ ...document, values }));
  await plant.publish(OWN);
}

async function view(name: string) {
  const { channels } = await device.status();
  return channels.find(({ channel }) => channel === name);
}

real(title('both channels wait for a value by its name'), async () => {
  for (const name of CHANNELS) await plant.publish(name);
  for (const name of CHANNELS) {
    await eventually(`${name} waits`, async () => {
      return (await view(name))?.waitingFor?.code === 'values.unresolved';
    });
  }
});

real(title('both go on when it comes, and both follow when it changes'), async () => {
  await serial('47');
  for (const name of CHANNELS) {
    await eventually(`${name} has 47`, () => last(name) === '47');
    await eventually(`${name} is applied`, async () => (await view(name))?.phase === 'idle');
  }
  await serial('48');
  for (const name of CHANNELS) await eventually(`${name} has 48`, () => last(name) === '48');
});

real(title('what one of them cannot live with is taken back from both'), async () => {
  await eventually('both are idle', async () => {
    const all = await Promise.all(CHANNELS.map(view));
    return all.every((one) => one?.phase === 'idle');
  });
  await serial('13');
  await eventually('the values are refused', async () => (await view(OWN))?.refused);
  for (const name of CHANNELS) {
    await eventually(`${name} has 48 again`, async () => {
      return last(name) === '48' && (await view(name))?.phase === 'idle';
    });
  }
  expect(linesOf(journal('stable'))).toContain('13');
  expect((await view(OWN))?.applied?.point).toBe('1.2');
});
