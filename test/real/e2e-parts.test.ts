/**
 * `atomicity: deployment` with the compiled executable: a deployment that fails is undone alone, what
 * needs it waits, the others come into force; so it stays over a kill, until the next state.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
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
let device: Device;

const ILL = { name: 'answers', tcp: { host: '127.0.0.1', port: 1 }, interval: '100ms', retries: 2 };

function write(id: string, version: number, beside: Readonly<Record<string, unknown>> = {}): void {
  plant.write('canary', `${id}.conf`, `${id}=${version}\n`);
  const target = join(device.opt, `${id}.conf`);
  plant.deploy('canary', id, filesSpec({ conf: { blob: `${id}.conf`, target } }, beside));
}

const stands = () => ['a', 'b', 'c'].map((id) => device.read(`${id}.conf`));

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  const file = join(plant.fleetFolder, 'fleet.yaml');
  const fleet = Bun.YAML.parse(readFileSync(file, 'utf8')) as { channels: { canary: object } };
  const canary = { ...fleet.channels.canary, policy: { atomicity: 'deployment' } };
  writeFileSync(file, JSON.stringify({ ...fleet, channels: { ...fleet.channels, canary } }));
  device = plant.device('press-7');
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

describe('deployment by deployment', () => {
  real(
    title('all that is well comes into force, what fails is undone alone and told'),
    async () => {
      await device.start();
      for (const id of ['a', 'b', 'c']) write(id, 1);
      await plant.publish('canary');
      await device.reports('1.1', ({ applied }) => applied === '1.1');
      write('a', 2);
      write('b', 2, { health: [ILL] });
      write('c', 2, { dependsOn: ['b'] });
      await plant.publish('canary');
      const report = await device.reports(
        'what is refused',
        ({ refused, phase }) => refused?.code === 'apply.health-failed' && phase === 'IDLE',
      );
      expect(report).toMatchObject({ applied: '1.1', desired: '1.2', degraded: true });
      expect(stands()).toEqual(['a=2\n', 'b=1\n', 'c=1\n']);
      const [channel] = (await device.status()).channels;
      expect(channel?.deployments.map(({ id, code }) => [id, code]).sort()).toEqual([
        ['a', ''],
        ['b', 'apply.health-failed'],
        ['c', 'apply.held-back'],
      ]);
      await device.reports('the event', ({ events }) => events.includes('state.partly'));
    },
  );

  real(title('it stays so over a kill, and is not tried again'), async () => {
    const rows = (await device.history()).length;
    await device.stop('SIGKILL');
    await device.start();
    await device.reports(
      'the start',
      ({ applied, phase }) => applied === '1.1' && phase === 'IDLE',
    );
    await device.command(['apply', '-o', 'json']);
    expect(stands()).toEqual(['a=2\n', 'b=1\n', 'c=1\n']);
    expect((await device.history()).length).toBe(rows);
    const explained = await device.command(['explain']);
    expect(explained.out).toContain('1.2 in part');
  });

  real(title('the next state is planned from there and makes it whole'), async () => {
    write('b', 3);
    const { point } = await plant.publish('canary');
    await device.reports(point, ({ applied, degraded }) => applied === point && !degraded);
    expect(stands()).toEqual(['a=2\n', 'b=3\n', 'c=2\n']);
  });

  real(title('rollback goes back to what was in force before: in part, as it was'), async () => {
    await device.command(['rollback', '-o', 'json']);
    expect(stands()).toEqual(['a=2\n', 'b=1\n', 'c=1\n']);
    expect((await device.status()).channels[0]).toMatchObject({ heldByOperator: true });
  });
});
