/**
 * Spread and maintenance windows with the compiled executable, a real registry and broker: what
 * waits says so and for how long, an agent that is killed waits on, an operator passes it where the
 * owner lets him, and a signed `urgent` always does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  linesOf,
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

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: ['canary', 'device.*'] });
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

function policy(of: Readonly<Record<string, unknown>>): void {
  const file = join(plant.fleetFolder, 'fleet.yaml');
  const fleet = Bun.YAML.parse(readFileSync(file, 'utf8')) as { channels: { canary: object } };
  const { canary } = fleet.channels;
  const channels = { ...fleet.channels, canary: { ...canary, policy: of } };
  writeFileSync(file, JSON.stringify({ ...fleet, channels }));
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
    const planned = JSON.parse((await device.command(['plan', '-o', 'json'])).out);
    expect(planned).toMatchObject({ result: 'changes', waits: { code: 'plan.spread' } });
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
      expect((await device.command(['plan'])).out).toContain('waits: plan.window-closed: ');
      const now = await device.command(['apply', '--now', '-o', 'json']);
      expect(JSON.parse(now.out).fault.code).toBe('agent.now-not-allowed');
      expect(device.read('file')).toBe('three\n');
      policy({ windows: [closedWindow()], urgent: true });
      await device.command(['pause']);
      const urgent = await publish(device, 'five\n');
      expect(JSON.parse((await device.command(['plan', '-o', 'json'])).out).waits).toBeNull();
      await device.command(['resume']);
      await device.applied(urgent);
      await device.stop();
    },
  );

  real(title('other values of a device wait for the window of the state in force'), async () => {
    const device = plant.device('press-values');
    const serial = (value: string) => {
      const document = { apiVersion: 'holdfast/v1', kind: 'Values', id: 'plain' };
      plant.write(
        'device.press-values',
        'plain.yaml',
        JSON.stringify({ ...document, values: { serial: { value } } }),
      );
      return plant.publish('device.press-values');
    };
    const journal = join(device.folder, 'journal');
    const program = `#!/bin/sh\necho "$SERIAL" >> ${journal}\nexec sleep 600\n`;
    plant.write('canary', 'bin/press', program, 0o755);
    const target = { pointer: 'SERIAL', components: ['main'] };
    const serialOf = { valueFrom: { deviceValue: 'serial' }, targets: [target] };
    plant.deploy(
      'canary',
      'press',
      processSpec({ blob: 'bin/press' }, { parameters: { serial: serialOf } }),
    );
    policy({ windows: [closedWindow()], urgent: true });
    await serial('one');
    plant.unwrite('canary', 'file.yaml');
    await plant.publish('canary', '--no-nudge', '--allow-removal');
    policy({ windows: [closedWindow()] });
    await device.start();
    await eventually('it runs', async () => linesOf(journal).includes('one'));
    // The same state, no longer urgent: nothing to change here, so it is in force at once.
    const { point } = await plant.publish('canary');
    await device.applied(point);
    await serial('two');
    expect(await waits(device, 'plan.window-closed')).toContain(`${point} waits`);
    expect(linesOf(journal)).toEqual(['one']);
    policy({ windows: [closedWindow()], urgent: true });
    await plant.publish('canary');
    await eventually('the values follow', async () => linesOf(journal).includes('two'));
    await device.stop();
    plant.unwrite('canary', 'press.yaml');
  });

  real(title('a window that no device could open is not signed'), async () => {
    policy({ windows: [{ ...closedWindow(), timeZone: 'Mars/Olympus' }] });
    const ended = await plant.holdfast(['publish', 'canary', '-y']);
    expect(ended.code).toBe(2);
    expect(ended.err).toContain('an IANA time zone');
    policy({});
  });
});
