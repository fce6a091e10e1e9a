/**
 * Downloads over a link that breaks: the agent goes on where it was, in the same look, after kill -9,
 * and where the registry ignores Range; and it waits as long as the registry asks it to.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
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

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const SIZE = 6 * 1024 * 1024;

let parts: Parts;
let proxy: RegistryProxy;
let plant: Plant;
let device: Device;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  proxy = await startRegistryProxy(parts.registry.port);
  plant = await makePlant(parts, { registry: `http://127.0.0.1:${proxy.port}/plant/state` });
  device = plant.device('press-7', { settings: { mqtt: undefined } });
  await device.start();
});
afterAll(async () => {
  await plant?.remove();
  await proxy?.down();
  await parts?.remove();
});

/** A state with one new large blob. */
async function publishLarge(): Promise<{ readonly point: string; readonly bytes: Buffer }> {
  const bytes = randomBytes(SIZE);
  plant.write('canary', 'large.bin', bytes);
  const large = { blob: 'large.bin', target: join(device.opt, 'large.bin') };
  plant.deploy('canary', 'large', filesSpec({ large }));
  const { point } = await plant.publish('canary');
  proxy.asked.length = 0;
  return { point, bytes };
}

const isBlob = ({ method, path }: { method: string; path: string }) =>
  method === 'GET' && path.includes('/blobs/');
const blobs = () => proxy.asked.filter(isBlob);
const received = () => blobs().reduce((sum, { bytes }) => sum + bytes, 0);

async function applies(point: string, bytes: Buffer): Promise<void> {
  const ended = await device.command(['apply', '-o', 'json']);
  expect(JSON.parse(ended.out)).toMatchObject({ result: 'applied', offered: point });
  expect(readFileSync(join(device.opt, 'large.bin')).equals(bytes)).toBe(true);
}

describe('a download that is cut', () => {
  real(title('goes on by Range in the same look, where it was'), async () => {
    const { point, bytes } = await publishLarge();
    let cuts = 0;
    proxy.trick = (asked) => {
      if (!isBlob(asked) || cuts === 3) return null;
      cuts += 1;
      return { kind: 'cut', afterBytes: SIZE / 4 };
    };
    await applies(point, bytes);
    expect(blobs().map(({ range }) => range)).toEqual([
      null,
      ...blobs()
        .slice(1)
        .map(() => expect.stringMatching(/^bytes=[1-9]\d*-/)),
    ] as never);
    expect(cuts).toBe(3);
    expect(received()).toBeGreaterThanOrEqual(SIZE);
    // What lies in the buffers of a connection when it breaks is lost; starting over would be 1.75.
    expect(received()).toBeLessThan(SIZE * 1.25);
  });

  real(title('goes on by Range after kill -9 and a new start'), async () => {
    const { point, bytes } = await publishLarge();
    proxy.trick = (asked) => {
      if (!isBlob(asked)) return null;
      return blobs().length === 0
        ? { kind: 'cut', afterBytes: SIZE / 2 }
        : { kind: 'answer', status: 503 };
    };
    const cut = await device.command(['apply', '-o', 'json']);
    expect(cut.code).toBe(4);
    expect((await device.status()).channels[0]?.desired?.point).not.toBe(point);
    await device.stop('SIGKILL');
    proxy.asked.length = 0;
    proxy.trick = () => null;
    await device.start();
    await device.applied(point);
    expect(readFileSync(join(device.opt, 'large.bin')).equals(bytes)).toBe(true);
    expect(blobs()[0]?.range).toMatch(/^bytes=[1-9]\d*-/);
    expect(received()).toBeLessThan(SIZE * 0.75);
  });

  real(title('starts over where the registry ignores Range, and the bytes are right'), async () => {
    const { point, bytes } = await publishLarge();
    proxy.trick = (asked) => {
      if (!isBlob(asked)) return null;
      return blobs().length === 0 ? { kind: 'cut', afterBytes: SIZE / 2 } : { kind: 'whole' };
    };
    await applies(point, bytes);
    expect(blobs().some(({ range }) => range !== null)).toBe(true);
    proxy.trick = () => null;
  });
});

describe('C16: a registry that asks for time', () => {
  real(
    title('Retry-After moves the next look, exit code 4 says that there is no link'),
    async () => {
      const before = device.tree();
      proxy.trick = ({ path }) =>
        path.includes('/manifests/')
          ? { kind: 'answer', status: 503, headers: { 'retry-after': '1800' } }
          : null;
      const ended = await device.command(['apply', '-o', 'json']);
      expect(ended.code).toBe(4);
      expect(JSON.parse(ended.out)).toMatchObject({ result: 'unreachable' });
      const { nextLookInMs } = await device.status();
      expect(nextLookInMs).toBeGreaterThan(1_700_000);
      expect(device.tree()).toEqual(before);
    },
  );

  real(title('one of 10^9 seconds is capped'), async () => {
    proxy.trick = () => ({ kind: 'answer', status: 429, headers: { 'retry-after': '1000000000' } });
    expect((await device.command(['apply'])).code).toBe(4);
    expect((await device.status()).nextLookInMs).toBeLessThan(25 * 3_600_000);
    proxy.trick = () => null;
    expect((await device.command(['apply'])).code).toBe(0);
    expect((await device.status()).nextLookInMs).toBeLessThan(400_000);
  });
});

describe('the link is down', () => {
  real(
    title('what runs goes on, explain works and names the cure; back up, the next look is soon'),
    async () => {
      await proxy.down();
      const ended = await device.command(['apply', '-o', 'json']);
      expect(ended.code).toBe(4);
      const explained = await device.command(['explain', '-o', 'json']);
      expect(explained.code).toBe(0);
      expect(JSON.parse(explained.out)).toMatchObject({
        look: { result: 'unreachable', fault: { code: expect.stringMatching(/^link\./) } },
      });
      await proxy.up();
      device.configure({ schedule: { interval: '1s', backoffMax: '1s' } });
      const pid = device.pid();
      process.kill(pid, 'SIGHUP');
      const { point } = await publishLarge();
      await device.applied(point);
      expect(device.pid()).toBe(pid);
      await eventually('looks come by the schedule', async () => {
        const { lastLook } = await device.status();
        return lastLook?.wake === 'schedule' && lastLook.result === 'current';
      });
    },
  );
});
