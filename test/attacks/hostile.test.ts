/**
 * A registry and a broker that turn hostile under a running device: it keeps running what it has, in
 * bounded memory, and converges within seconds once they are honest again. HOLDFAST_HOSTILE_SECONDS
 * makes it longer (`npm run hostile -- --minutes 10`).
 */
import { afterAll, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
import { type HostilePeer, hostileBroker, hostileRegistry } from '../support/hostile-peers.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';
import { type SwitchProxy, startSwitchProxy } from '../support/switch-proxy.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

const SECONDS = Number(process.env.HOLDFAST_HOSTILE_SECONDS ?? 20);
const MIB = 1024 * 1024;
/** of the 150 MiB that a device may take, the pages of the executable's file included */
const RESIDENT_MAX = 130 * MIB;
const CONVERGES_WITHIN_MS = 15_000;
const SAMPLE_MS = 100;
/** a twentieth of the time, so that a short run sees them as well */
const TRICK_MS = SECONDS * 50;

let parts: Parts;
let plant: Plant;
const proxies: SwitchProxy[] = [];
const peers: HostilePeer[] = [];
afterAll(async () => {
  await plant?.remove();
  await Promise.all([...proxies, ...peers].map((part) => part.close()));
  await parts?.remove();
});

function write(device: Device, speed: number): void {
  plant.write('stable', 'speed.conf', `speed=${speed}\n`);
  const conf = { blob: 'speed.conf', target: join(device.opt, 'speed.conf') };
  plant.deploy('stable', 'conf', filesSpec({ conf }));
}

interface Memory {
  /** bytes that only this process has */
  readonly own: number;
  /** bytes, with the pages of the executable's file, which the kernel may drop at any time */
  readonly resident: number;
}

function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
  return { own: bytes('RssAnon'), resident: bytes('VmRSS') };
}

function most(a: Memory, b: Memory): Memory {
  return { own: Math.max(a.own, b.own), resident: Math.max(a.resident, b.resident) };
}

const shown = ({ own, resident }: Memory): string =>
  `${Math.round(own / MIB)} MiB (${Math.round(resident / MIB)} MiB with the file's pages)`;

const counts = ({ played }: HostilePeer): string =>
  [...played].map(([name, times]) => `${name} ${times}`).join(', ');

real(
  title(`M01, M07, M13, B04, C07: ${SECONDS} s of a hostile broker and registry change nothing`),
  async () => {
    parts = await startParts();
    const toRegistry = await startSwitchProxy(parts.registry.port);
    const toBroker = await startSwitchProxy(parts.broker.port);
    proxies.push(toRegistry, toBroker);
    plant = await makePlant(parts, {
      registry: `http://127.0.0.1:${toRegistry.port}/hostile/state`,
      mqtt: `mqtt://127.0.0.1:${toBroker.port}`,
    });
    const schedule = { interval: '1s', backoffMax: '2s' };
    const device = plant.device('press-7', {
      channel: 'stable',
      settings: { schedule, log: { level: 'info' } },
    });
    write(device, 1);
    await plant.publish('stable');
    await device.start();
    await device.applied('1.1');
    const tree = device.tree();
    const pid = device.pid();

    const registry = await hostileRegistry();
    const broker = await hostileBroker(plant.topicRoot, 'stable');
    peers.push(registry, broker);
    toRegistry.turnTo(registry.port);
    toBroker.turnTo(broker.port);
    const before = memoryOf(pid);
    let peak = before;
    const end = Date.now() + SECONDS * 1000;
    for (let turned = Date.now(); Date.now() < end; ) {
      peak = most(peak, memoryOf(pid));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
      if (Date.now() - turned < TRICK_MS) continue;
      // The next trick: the agent itself would wait for a slow one until its time limit.
      turned = Date.now();
      toRegistry.turnTo(registry.port);
      toBroker.turnTo(broker.port);
    }
    const status = await device.status();
    expect(status.agent.pid).toBe(pid);
    expect(status.channels[0]?.applied?.point).toBe('1.1');
    expect(device.tree()).toEqual(tree);

    toRegistry.turnTo(parts.registry.port);
    toBroker.turnTo(parts.broker.port);
    write(device, 2);
    const since = Date.now();
    const { point } = await plant.publish('stable');
    await device.applied(point);
    const tookMs = Date.now() - since;
    peak = most(peak, memoryOf(pid));
    console.log(`hostile: registry: ${counts(registry)}`);
    console.log(`hostile: broker: ${counts(broker)}`);
    console.log(
      `hostile: ${SECONDS} s, ${shown(before)} before, ${shown(peak)} at most, converged ${tookMs} ms after the publish`,
    );
    expect(device.read('speed.conf')).toBe('speed=2\n');
    expect(peak.resident).toBeLessThan(RESIDENT_MAX);
    expect(tookMs).toBeLessThan(CONVERGES_WITHIN_MS);
    expect(registry.played.size).toBeGreaterThan(1);
    expect(broker.played.size).toBeGreaterThan(1);
  },
  SECONDS * 1000 + 60_000,
);
