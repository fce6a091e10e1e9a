/**
 * Spread and maintenance windows with the compiled executable, a real registry and broker: what
 * waits says so and for how long, an agent that is killed waits on, an operator passes it where the
 * owner lets him, and a signed `urgent` always does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
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

let parts: Parts;
let plant: Plant;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

function policy(of: Readonly<Record<string, unknown>>): void {
  const settings = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Fleet', name: 'plant' },
    ...{ registry: { url: plant.registry }, mqtt: { url: plant.mqtt } },
    channels: { canary: { signers: ['canary'], policy: of }, stable: { signers: ['stable'] } },
  };
  writeFileSync(join(plant.fleetFolder, 'fleet.yaml'), JSON.stringify(settings));
}

async function publish(device: Device, text: string): Promise<string> {
  plant.write('canary', 'file', text);
  const file = { blob: 'file', target: join(device.opt, 'file') };
  plant.deploy('canary', 'file', filesSpec({ file }));
  return (await plant.publish('canary')).point;
}

async function waits(device: Device, code: string): Promise<string> {
  const found = await eventually(`${device.id} waits: ${code}`, async () => {
    const { channels } = await device.status();
    return channels.find(({ waitingFor }) => waitingFor?.code === code)?.waitingFor;
  });
  return found.message;
}

/** Tomorrow at this hour: closed now, in every zone that keeps UTC. */
function closedWindow() {
  const start = new Date(Date.now() + 12 * 3_600_000).toISOString().slice(11, 16);
  return { start, duration: '1h', timeZone: 'UTC' };
}

describe('what waits for its hour', () => {
  real(title('a spread is told, survives kill -9, and `apply --now` passes it'), async () => {
    const device = plant.device('spread');
    policy({});
    const before = await publish(device, 'one\n');
    await device.start();
    await device.applied(before);
    policy({ spread: '20d' });
    const point = await publish(device, 'two\n');
    const told = await waits(device, 'plan.spread');
    expect(told).toContain(`${point} waits for its place in the spread, until 2`);
    expect((await device.explain()).verdict).toContain('waits: plan.spread');
    const due = await eventually('due', async () => /until (\S+),/.exec(told)?.[1]);
    await device.stop('SIGKILL');
    await device.start();
    const again = await waits(device, 'plan.spread');
    const dueAgain = /until (\S+),/.exec(again)?.[1] ?? '';
    // To the second of rounding: what was waited counts, and nothing is waited twice.
    expect(Math.abs(Date.parse(dueAgain) - Date.parse(due))).toBeLessThan(3_000);
    expect(device.read('file')).toBe('one\n');
    const plain = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(plain.out)).toMatchObject({
      result: 'waiting',
      fault: { code: 'plan.spread' },
    });
    const now = await device.command(['apply', '--now', '-o', 'json']);
    expect(JSON.parse(now.out)).toMatchObject({ result: 'applied', offered: point });
    expect(device.read('file')).toBe('two\n');
    await device.stop();
  });

  real(
    title('a closed window holds a state back that is here; a signed urgent one passes'),
    async () => {
      const device = plant.device('window', { settings: { apply: { now: 'refuse' } } });
      policy({});
      const before = await publish(device, 'three\n');
      await device.start();
      await device.applied(before);
      policy({ windows: [closedWindow()] });
      const point = await publish(device, 'four\n');
      expect(await waits(device, 'plan.window-closed')).toContain(
        `${point} waits for a maintenance`,
      );
      const now = await device.command(['apply', '--now', '-o', 'json']);
      expect(JSON.parse(now.out).fault.code).toBe('agent.now-not-allowed');
      expect(device.read('file')).toBe('three\n');
      policy({ windows: [closedWindow()], urgent: true });
      await device.applied(await publish(device, 'five\n'));
      await device.stop();
    },
  );

  real(title('a window that no device could open is not signed'), async () => {
    policy({ windows: [{ ...closedWindow(), timeZone: 'Mars/Olympus' }] });
    const ended = await plant.holdfast(['publish', 'canary', '-y']);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain('an IANA time zone');
    policy({});
  });
});
