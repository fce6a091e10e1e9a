/**
 * Nothing grows: after a busy while (HOLDFAST_SOAK_SECONDS, `npm run soak`) the agent has as many
 * handles and threads as before it, and its memory and disk are what they were. The samples go to the
 * file that HOLDFAST_SOAK_SAMPLES names.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { makePlant, missing, type Parts, type Plant, startParts } from '../support/plant.ts';
import { type SwitchProxy, startSwitchProxy } from '../support/switch-proxy.ts';
import { CHANNEL, type SoakWorld, soak } from './soak-run.ts';

const SECONDS = Number(process.env.HOLDFAST_SOAK_SECONDS ?? 30);
const SEED = Number(process.env.HOLDFAST_SOAK_SEED ?? 1);
const SAMPLES = process.env.HOLDFAST_SOAK_SAMPLES;
const MINUTE = 60_000;
/** handles that one connection, one timer or one directory under way may hold */
const UNDER_WAY = 2;
const PRIVATE_KIB_MORE = 24 * 1024;
const STORE_KIB_MAX = 8 * 1024;

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
const proxies: SwitchProxy[] = [];
let world: SoakWorld;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  const [toRegistry, toBroker] = await Promise.all([
    startSwitchProxy(parts.registry.port),
    startSwitchProxy(parts.broker.port),
  ]);
  proxies.push(toRegistry, toBroker);
  plant = await makePlant(parts, { channels: [CHANNEL] });
  const device = plant.device('press-7', {
    settings: {
      registries: [
        { url: plant.registry.replace(`:${parts.registry.port}/`, `:${toRegistry.port}/`) },
      ],
      mqtt: { url: `mqtt://127.0.0.1:${toBroker.port}` },
      schedule: { interval: '5s', jitter: 0, backoffMax: '5s' },
      log: { level: 'info' },
    },
  });
  await device.start();
  await device.linked();
  const { broker, registry } = parts;
  world = { plant, device, broker, registryPort: registry.port, toBroker, toRegistry };
}, MINUTE);
afterAll(async () => {
  await plant?.remove();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  await parts?.remove();
}, MINUTE);

real(
  title(`${SECONDS} s of changes, refusals and cut links leave no handle, thread or memory behind`),
  async () => {
    const ran = await soak(world, SECONDS, SEED);
    const reconnects = world.device.log().split('"event":"mqtt.up"').length - 1;
    if (SAMPLES) writeFileSync(SAMPLES, JSON.stringify({ ...ran, reconnects, seed: SEED }));
    const { before, after, counts } = ran;
    expect(counts.applies).toBeGreaterThan(0);
    expect(after.handles).toBeLessThanOrEqual(before.handles + UNDER_WAY);
    expect(after.threads).toBeLessThanOrEqual(before.threads + UNDER_WAY);
    expect(after.privateKib).toBeLessThan(before.privateKib + PRIVATE_KIB_MORE);
    expect(Math.max(...ran.samples.map(({ storeKib }) => storeKib))).toBeLessThan(STORE_KIB_MAX);
  },
  (SECONDS + 20 * 60) * 1_000,
);
