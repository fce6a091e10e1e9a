/**
 * A long life in little time: the compiled agent through changes of both runtimes, nudges, polls,
 * refused states, garbage, cut connections and a broker that stops and starts, while its private
 * memory, resident memory, handles, threads and disk are sampled. What comes next is picked by a seed.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { pushNudge } from '../support/forge-root.ts';
import type { Mosquitto } from '../support/mosquitto.ts';
import { filesSpec, type Plant, processSpec } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import type { SwitchProxy } from '../support/switch-proxy.ts';

export interface Sample {
  /** s since the start */
  readonly at: number;
  readonly privateKib: number;
  readonly rssKib: number;
  readonly handles: number;
  readonly threads: number;
  readonly storeKib: number;
}

export interface SoakWorld {
  readonly plant: Plant;
  readonly device: Device;
  readonly broker: Mosquitto;
  readonly registryPort: number;
  readonly toBroker: SwitchProxy;
  readonly toRegistry: SwitchProxy;
}

/** How often each thing was done. */
export type Counts = Readonly<Record<(typeof DEEDS)[number], number>>;

export interface Soak {
  readonly samples: readonly Sample[];
  readonly counts: Counts;
  /** before the first deed and after the last, both after a quiet moment */
  readonly before: Sample;
  readonly after: Sample;
}

export const CHANNEL = 'canary';
const DEEDS = [
  ...(['applies', 'polls', 'nudges', 'refused', 'garbage'] as const),
  ...(['registry cuts', 'broker cuts', 'broker restarts'] as const),
] as const;
type Deed = (typeof DEEDS)[number];

/** chances out of 100; the rest is polls */
const CHANCES: readonly (readonly [Deed, number])[] = [
  ['applies', 22],
  ['nudges', 18],
  ['refused', 10],
  ['garbage', 10],
  ['registry cuts', 12],
  ['broker cuts', 3],
  ['broker restarts', 1],
];
const SAMPLE_MS = 1_000;
const QUIET_MS = 5_000;

export async function soak(world: SoakWorld, seconds: number, seed: number): Promise<Soak> {
  const { device } = world;
  const { unit } = seededRandom(seed);
  const counts = Object.fromEntries(DEEDS.map((deed) => [deed, 0])) as Record<Deed, number>;
  const samples: Sample[] = [];
  const started = performance.now();
  const now = () => (performance.now() - started) / 1_000;
  const state = { number: 0 };
  // Every path has been gone once: what it loads and opens belongs to the baseline.
  for (const deed of DEEDS) await done(world, deed, state);
  await device.linked();
  await quiet();
  const before = sampleOf(device, now());
  const timer = setInterval(() => samples.push(sampleOf(device, now())), SAMPLE_MS);
  try {
    const end = now() + seconds;
    while (now() < end) {
      const deed = pick(unit() * 100);
      await done(world, deed, state);
      counts[deed] += 1;
    }
  } finally {
    clearInterval(timer);
  }
  await eventually('the link is up again', async () => linkUp(device), 16 * 60_000);
  await done(world, 'applies', state);
  await quiet();
  return { samples, counts, before, after: sampleOf(device, now()) };
}

function pick(chance: number): Deed {
  let left = chance;
  for (const [deed, of] of CHANCES) {
    if (left < of) return deed;
    left -= of;
  }
  return 'polls';
}

async function linkUp(device: Device): Promise<boolean> {
  return (await device.status().catch(() => null))?.mqtt?.state === 'up';
}

async function done(world: SoakWorld, deed: Deed, state: { number: number }): Promise<void> {
  const { plant, device, broker, toBroker, toRegistry } = world;
  const nudge = { epoch: 1n, sequence: BigInt(state.number) };
  switch (deed) {
    case 'applies':
      state.number += 1;
      return applies(world, state.number);
    case 'polls':
      await device.command(['apply', '-q']);
      return;
    case 'nudges':
      return tell(plant, nudge);
    case 'refused':
      return tell(plant, {
        ...nudge,
        sequence: nudge.sequence + 1n,
        envelope: forged(state.number),
      });
    case 'garbage':
      return tell(plant, { ...nudge, sequence: nudge.sequence + 1_000n });
    case 'registry cuts':
      toRegistry.turnTo(world.registryPort);
      return;
    case 'broker cuts':
      toBroker.turnTo(broker.port);
      return;
    case 'broker restarts':
      await broker.stop();
      await broker.start();
      return;
  }
}

/** A broker that is just starting takes nothing: that is part of a long life. */
async function tell(plant: Plant, nudge: Parameters<typeof pushNudge>[2]): Promise<void> {
  await pushNudge(plant, CHANNEL, nudge).catch(() => undefined);
}

/** A whole envelope that nobody of this fleet signed. */
function forged(number: number): Buffer {
  const payloadType = 'application/vnd.holdfast.desired-state.v1+protobuf';
  const payload = Buffer.from(`state ${number}`).toString('base64');
  const sig = Buffer.alloc(64, number).toString('base64');
  return Buffer.from(JSON.stringify({ payload, payloadType, signatures: [{ keyid: '', sig }] }));
}

/** Files each time, the program each fifth time. Without a link the device asks by hand. */
async function applies({ plant, device }: SoakWorld, number: number): Promise<void> {
  const text = `speed=${number}\n${'one more line of settings\n'.repeat(40)}`;
  plant.write(CHANNEL, 'line.conf', text);
  plant.write(CHANNEL, 'tree/a.conf', `a of ${number}\n`);
  plant.write(CHANNEL, 'tree/deep/b.conf', `b of ${number}\n`);
  const one = { blob: 'line.conf', target: join(device.opt, 'line.conf') };
  const tree = { blob: 'tree', target: join(device.opt, 'tree') };
  plant.deploy(CHANNEL, 'settings', filesSpec({ one, tree }));
  const version = `${Math.floor(number / 5)}`;
  plant.write(CHANNEL, 'run', `#!/bin/sh\n# ${version}\nexec sleep 1000000\n`, 0o755);
  plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run', aliveFor: '100ms' }));
  const { point } = await plant.publish(CHANNEL, '--no-nudge');
  await device.command(['apply', '-q']);
  await device.applied(point);
}

function quiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, QUIET_MS));
}

function sampleOf(device: Device, at: number): Sample {
  const pid = device.pid();
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const smaps = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const number = (text: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return {
    at,
    privateKib: number(smaps, 'Private_Dirty'),
    rssKib: number(status, 'VmRSS'),
    handles: readdirSync(`/proc/${pid}/fd`).length,
    threads: number(status, 'Threads'),
    storeKib: Math.round(bytesBelow(device.stateDir) / 1024),
  };
}

/** What vanishes while it is looked at counts for nothing. */
function bytesBelow(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true })) {
    try {
      const stat = statSync(join(folder, String(name)));
      if (stat.isFile()) bytes += stat.size;
    } catch {
      // collected meanwhile
    }
  }
  return bytes;
}
