/**
 * What a state costs the device: requests counted in front of the registry, transactions by the ids
 * in the metas of the store's file, bytes by the kernel's count of the process.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
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
import { type RegistryProxy, startRegistryProxy } from '../support/registry-proxy.ts';
import { transactionId } from '../support/store-file.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const COUNT = 500;

let parts: Parts;
let proxy: RegistryProxy;
let plant: Plant;
let device: Device;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
  device = plant.device('press-7', { settings: { schedule: { interval: '1h' } } });
  await device.start();
  await device.reports('itself', () => true);
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await parts?.remove();
});

const name = (index: number) => `d${String(index).padStart(3, '0')}`;

/** bytes that the process caused to be sent to the disk */
function writtenBytes(): number {
  const io = readFileSync(`/proc/${device.pid()}/io`, 'utf8');
  return Number(/^write_bytes: (\d+)$/m.exec(io)?.[1]);
}

/** Until the agent has told what it had to tell. */
async function settled(): Promise<void> {
  await eventually('the status is delivered', async () => {
    const { channels } = await device.status();
    return device.allReports().at(-1)?.applied === channels[0]?.applied?.point;
  });
}

describe(`${COUNT} deployments of one shared file`, () => {
  real(title('cold: at most 10 requests, one transaction accepts and one commits'), async () => {
    plant.write('canary', 'shared.conf', 'speed=1\n');
    for (let index = 0; index < COUNT; index += 1) {
      const target = join(device.opt, name(index), 'shared.conf');
      plant.deploy('canary', name(index), filesSpec({ conf: { blob: 'shared.conf', target } }));
    }
    const before = transactionId(device.stateDir);
    const { point } = await plant.publish('canary', '--no-nudge');
    proxy.asked.length = 0;
    const ended = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ result: 'applied', offered: point });
    expect(proxy.asked.length).toBeLessThanOrEqual(10);
    expect(transactionId(device.stateDir) - before).toBe(2n);
    for (let index = 0; index < COUNT; index += 1) {
      expect(device.read(`${name(index)}/shared.conf`)).toBe('speed=1\n');
    }
    const report = await device.reports(point, ({ applied }) => applied === point);
    expect(Object.values(report.health)).toEqual(Array(COUNT).fill('healthy'));
  });

  real(title('one of them changed: only it is touched'), async () => {
    const inodes = () =>
      Array.from({ length: COUNT }, (_, index) => inodeOf(`${name(index)}/shared.conf`));
    const before = inodes();
    const written = writtenBytes();
    plant.write('canary', 'other.conf', 'speed=2\n');
    const target = join(device.opt, name(7), 'shared.conf');
    plant.deploy('canary', name(7), filesSpec({ conf: { blob: 'other.conf', target } }));
    const { point } = await plant.publish('canary');
    await device.applied(point);
    expect(device.read(`${name(7)}/shared.conf`)).toBe('speed=2\n');
    expect(inodes().filter((inode, index) => inode !== before[index])).toHaveLength(1);
    expect(writtenBytes()).toBeGreaterThan(written);
  });

  real(
    title('unchanged: one request without a body, no transaction, no byte written'),
    async () => {
      device.configure({ schedule: { interval: '500ms', jitter: 0 } });
      process.kill(device.pid(), 'SIGHUP');
      await eventually('polls come', async () => {
        const status = await device.status().catch(() => null);
        return status?.lastLook?.wake === 'schedule';
      });
      await settled();
      const before = { id: transactionId(device.stateDir), bytes: writtenBytes() };
      proxy.asked.length = 0;
      await eventually('three polls', () => proxy.asked.length >= 3);
      for (const asked of proxy.asked) expect(asked).toMatchObject({ method: 'HEAD', bytes: 0 });
      expect({ id: transactionId(device.stateDir), bytes: writtenBytes() }).toEqual(before);
      device.configure({ schedule: { interval: '1h' } });
      process.kill(device.pid(), 'SIGHUP');
      await eventually('it is rare again', async () => {
        const status = await device.status().catch(() => null);
        return (status?.nextLookInMs ?? 0) > 60_000;
      });
    },
  );

  real(title('a reconnect with equal digests does nothing'), async () => {
    await settled();
    const before = {
      id: transactionId(device.stateDir),
      bytes: writtenBytes(),
      history: await device.history(),
    };
    const at = (await device.status()).lastLook?.at ?? 0;
    proxy.asked.length = 0;
    await parts.broker.stop();
    await eventually('the link is down', async () => (await device.status()).mqtt?.state !== 'up');
    await parts.broker.start();
    await eventually(
      'the look after it',
      async () => {
        const { lastLook } = await device.status();
        return lastLook?.wake === 'reconnect' && lastLook.at > at;
      },
      40_000,
    );
    expect(proxy.asked.every(({ method }) => method === 'HEAD')).toBe(true);
    expect(transactionId(device.stateDir)).toBe(before.id);
    expect(writtenBytes()).toBe(before.bytes);
    expect(await device.history()).toEqual(before.history);
  });

  real(title('a restart applies nothing anew and costs one transaction'), async () => {
    const before = { id: transactionId(device.stateDir), history: await device.history() };
    const inode = inodeOf(`${name(3)}/shared.conf`);
    await device.stop();
    await device.start();
    await eventually('a look', async () => (await device.status()).lastLook?.result === 'current');
    expect(transactionId(device.stateDir) - before.id).toBe(1n);
    expect(inodeOf(`${name(3)}/shared.conf`)).toBe(inode);
    expect(await device.history()).toEqual(before.history);
  });
});

function inodeOf(path: string): number {
  return statSync(join(device.opt, path)).ino;
}
