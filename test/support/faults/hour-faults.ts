/** Faults of policy and of the agent's own configuration: what waits, what cuts off, what is barred. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../device.ts';
import { eventually } from '../eventually.ts';
import { freePort } from '../free-port.ts';
import type { Plant } from '../plant.ts';
import { type Fault, publishFile, settled, type World } from './world.ts';

function policy(plant: Plant, of: Readonly<Record<string, unknown>>): void {
  const fleet = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Fleet', name: 'plant' },
    ...{ registry: { url: plant.registry }, mqtt: { url: plant.mqtt } },
    channels: { canary: { signers: ['canary'], policy: of }, stable: { signers: ['stable'] } },
  };
  writeFileSync(join(plant.fleetFolder, 'fleet.yaml'), JSON.stringify(fleet));
}

/** A device whose next state has this policy, after one look. */
async function held(
  world: World,
  id: string,
  of: Readonly<Record<string, unknown>>,
): Promise<Device> {
  const plant = await world.plant();
  const device = await settled(plant, id);
  policy(plant, of);
  publishFile(plant, join(device.opt, 'conf'), 'two');
  await plant.publish('canary');
  await device.command(['apply']);
  return device;
}

/** A device that is sent these sections for its own configuration, when they are refused. */
async function configured(
  world: World,
  id: string,
  sections: Readonly<Record<string, unknown>>,
): Promise<Device> {
  const plant = await world.plant();
  const device = plant.device(id, {
    settings: { channels: [{ name: 'canary', allow: { runtimes: ['agent'] } }] },
  });
  policy(plant, { healthWindow: '2s' });
  const head = { apiVersion: 'holdfast/v1', kind: 'Agent' };
  plant.write('canary', 'agent/sections.yaml', JSON.stringify({ ...head, ...sections }));
  const component = { name: 'config', properties: { blob: 'agent/sections.yaml' } };
  plant.deploy('canary', 'agent', {
    deploymentProfile: { type: 'agent', components: [component] },
  });
  await device.start();
  await device.linked();
  await plant.publish('canary');
  await eventually('it is refused', async () => {
    // Between two runs of the agent nobody answers.
    const status = await device.status().catch(() => null);
    return status?.channels[0]?.refused;
  });
  return device;
}

export const HOUR_FAULTS: readonly Fault[] = [
  {
    name: 'waits for a maintenance window',
    cause: /plan\.window-closed: 1\.2 waits for a maintenance window, which opens at 20/,
    cure: /apply --now/,
    plant(world) {
      const start = new Date(Date.now() + 12 * 3_600_000).toISOString().slice(11, 16);
      const windows = [{ start, duration: '1h', timeZone: 'UTC' }];
      return held(world, 'press-window', { windows });
    },
  },
  {
    name: 'waits for its place in the spread',
    cause: /plan\.spread: 1\.2 waits for its place in the spread, until 20/,
    cure: /it goes on by itself/,
    plant: (world) => held(world, 'press-spread', { spread: '20d' }),
  },
  {
    name: 'a change cut it off',
    cause: /apply\.cut-off: since 1\.1 came into force, broker did not answer within 2s/,
    cure: /Correct the network, the addresses or the certificates/,
    async plant(world) {
      const url = `mqtt://127.0.0.1:${await freePort()}`;
      return configured(world, 'press-cut-off', { mqtt: { url } });
    },
  },
  {
    name: 'a state wants what is the owner’s',
    cause: /apply\.config-key: agent: "trust" of the agent's configuration is for the owner/,
    cure: /Take the key out/,
    plant: (world) => configured(world, 'press-owner', { trust: { root: '/etc/other.json' } }),
  },
];
