/**
 * Power cuts of whole machines: the agent in a guest of QEMU, changes by real registry and broker of
 * this host, the guest killed and its disk cut in the same moment, booted again. The guest's own shell
 * tells which files and programs are there; the signed statuses that came in tell what was promised.
 *
 * Run as a program: `guests.ts ARCH CUTS SEED KERNEL INITRAMFS ROOT`.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesOf } from '../crash/lane-states.ts';
import { output } from '../support/command.ts';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  makePlant,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import type { Report } from '../support/status-watch.ts';
import { type Guest, type GuestKit, type GuestLook, startGuest } from './guest.ts';
import { stopOnSignal } from './stop.ts';

export interface GuestsAsked {
  readonly cuts: number;
  readonly seed: number;
  readonly kit: GuestKit;
  say?(line: string): void;
  /** asked between two changes */
  stopped?(): boolean;
}

export interface GuestsTally {
  cuts: number;
  /** seen whole while the agent stood still after its recovery */
  held: number;
  statuses: number;
  flushes: number;
  waiting: number;
  dirty: number;
  readonly bad: string[];
}

/** One version of everything; `broken` ends at once and is refused. */
interface GuestState {
  readonly version: string;
  readonly broken: boolean;
}

interface Moving {
  readonly plant: Plant;
  readonly asked: GuestsAsked;
  readonly tally: GuestsTally;
  readonly image: string;
  readonly random: () => number;
  guest: Guest | null;
  state: GuestState | null;
  number: number;
}

const CHANNEL = 'canary';
const DEVICE = 'press-1';
const HOST = '10.0.2.2';
const LINE = '/data/opt/line';
const DISK_MIB = 96;
const BULK_BYTES = 200_000;
const BOOT_MS = 300_000;
const SETTLE_MS = 300_000;
const CUT_AFTER_MS = 6_000;
const CUT_WRITES = 200;
const BROKEN_SHARE = 0.12;

export async function cutGuests(asked: GuestsAsked): Promise<GuestsTally> {
  const counts = { cuts: 0, held: 0, statuses: 0, flushes: 0, waiting: 0, dirty: 0 };
  const tally: GuestsTally = { ...counts, bad: [] };
  const parts = await startParts();
  try {
    while (tally.cuts < asked.cuts && !asked.stopped?.()) await lifeOf(parts, asked, tally);
  } finally {
    await parts.remove();
  }
  return tally;
}

/** One device from its first boot on, until something is wrong or enough was cut. */
async function lifeOf(parts: Parts, asked: GuestsAsked, tally: GuestsTally): Promise<void> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const image = join(plant.folder, 'data.img');
  const { unit } = seededRandom(asked.seed + tally.cuts * 7);
  const moving = { plant, asked, tally, image, random: unit };
  const lane: Moving = { ...moving, guest: null, state: null, number: 0 };
  try {
    await makeData(plant, image);
    lane.guest = await startGuest(asked.kit, image, plant.folder);
    while (tally.cuts < asked.cuts && !asked.stopped?.()) {
      await change(lane);
      asked.say?.(`${tally.cuts} cuts, ${tally.held} seen at ready, ${tally.bad.length} bad`);
    }
  } catch (error) {
    tally.bad.push(`seed ${asked.seed}, ${tally.cuts} cuts: ${error}`);
    asked.say?.(`${error}\n${lane.guest?.console().slice(-40).join('\n')}`);
    if (tally.cuts === 0) throw error;
  } finally {
    tally.statuses += plant.watch.all(DEVICE).length;
    await lane.guest?.end();
    await plant.remove();
  }
}

/** The data disk of a device as it is delivered: configuration and root document. */
async function makeData(plant: Plant, image: string): Promise<void> {
  const content = join(plant.folder, 'data');
  mkdirSync(join(content, 'etc'), { recursive: true });
  cpSync(plant.root, join(content, 'etc/root.json'));
  const there = (url: string) => url.replace('127.0.0.1', HOST);
  const config = {
    ...{ apiVersion: 'holdfast/v1', kind: 'Agent', device: { id: DEVICE } },
    ...{ stateDir: '/data/state', runDir: '/run/holdfast' },
    trust: { root: '/data/etc/root.json', allowDemo: true },
    channels: [{ name: CHANNEL, allow: { roots: ['/data/opt'] } }],
    registries: [{ url: there(plant.registry), insecure: true }],
    mqtt: { url: there(plant.mqtt), insecure: true },
    ...{ nudges: { perMinute: 600 }, runtimes: { process: { allowRoot: true } } },
    ...{ keep: { reserve: '1Mi' }, log: { level: 'info' }, schedule: { interval: '1h' } },
  };
  writeFileSync(join(content, 'etc/agent.yaml'), JSON.stringify(config));
  const options = ['-q', '-t', 'ext4', '-J', 'size=4', '-d', content];
  await output(['mke2fs', ...options, image, `${DISK_MIB}M`]);
  rmSync(content, { recursive: true });
}

function write({ plant }: Moving, { version, broken }: GuestState): void {
  const blobs = filesOf({ settings: version, bulk: BULK_BYTES });
  rmSync(join(plant.fleetFolder, 'channels', CHANNEL, 'settings'), {
    recursive: true,
    force: true,
  });
  for (const [path, bytes] of blobs) plant.write(CHANNEL, `settings/${path}`, bytes);
  const targets = {
    a: { blob: 'settings/a.conf', target: `${LINE}/a.conf` },
    b: { blob: 'settings/b.conf', target: `${LINE}/b.conf` },
    site: { blob: 'settings/site', target: `${LINE}/site` },
  };
  plant.deploy(CHANNEL, 'settings', filesSpec(targets));
  plant.write(CHANNEL, 'run', `#!/bin/sh\n${broken ? 'exit 1' : 'exec sleep 1000000'}\n`, 0o755);
  const env = { LANE_ROLE: 'server', LANE_VERSION: version };
  plant.deploy(CHANNEL, 'server', processSpec({ blob: 'run', env, aliveFor: '300ms' }));
  plant.write(CHANNEL, 'keeper', '#!/bin/sh\nexec sleep 1000000\n', 0o755);
  const kept = { LANE_ROLE: 'keeper', LANE_VERSION: '0' };
  plant.deploy(CHANNEL, 'keeper', processSpec({ blob: 'keeper', env: kept, aliveFor: '100ms' }));
}

/** What differs between a look and a state; empty: nothing. */
function faultsOf({ files, programs }: GuestLook, state: GuestState | null): readonly string[] {
  const blobs = state ? filesOf({ settings: state.version, bulk: BULK_BYTES }) : new Map();
  const wanted = new Map([...blobs].map(([path, bytes]) => [path, sha256(bytes)]));
  const paths = [...new Set([...wanted.keys(), ...files.keys()])];
  const faults = paths
    .filter((path) => files.get(path) !== wanted.get(path))
    .map((path) => `${path} is ${files.get(path) ?? 'missing'}`);
  const version = state?.version ?? '';
  const running = state
    ? ['LANE_ROLE=keeper LANE_VERSION=0', `LANE_ROLE=server LANE_VERSION=${version}`]
    : [];
  if (!state?.broken && programs.join() !== running.join())
    faults.push(`programs: ${programs.join()}`);
  return faults;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function change(lane: Moving): Promise<void> {
  const { plant, random, tally, asked, image } = lane;
  const before = lane.state;
  lane.number += 1;
  const broken = before !== null && random() < BROKEN_SHARE;
  const next: GuestState = { version: `v${lane.number}`, broken };
  write(lane, next);
  const { point } = await plant.publish(CHANNEL);
  await new Promise((resolve) => setTimeout(resolve, random() * CUT_AFTER_MS));
  const to = join(plant.folder, 'after.img');
  const seed = Math.floor(random() * 2 ** 31);
  const writes = random() < 0.3 ? 0 : 1 + Math.floor(random() * random() * CUT_WRITES);
  const count = await lane.guest?.cut(seed, to, writes);
  const told = plant.watch.all(DEVICE);
  const newest = told.at(-1);
  tally.cuts += 1;
  tally.flushes += count?.flushes ?? 0;
  tally.waiting += count?.waiting ?? 0;
  tally.dirty += count?.waiting ? 1 : 0;
  await Bun.write(image, Bun.file(to));
  lane.guest = await startGuest(asked.kit, image, plant.folder);
  await atReady(lane, before, next);
  await kept(lane, newest, told.length);
  const end = await settled(lane, point, newest?.order[0] ?? 0n);
  const applied = end.applied === point;
  const state = applied ? next : before;
  const faults = [...faultsOf(await lane.guest.look(), state)];
  if (applied === next.broken) faults.push(`${point} ended ${end.refused?.code ?? 'applied'}`);
  if (end.degraded) faults.push('the signed status says degraded');
  const moved = lane.guest.console().some((line) => line.includes('store.quarantined'));
  if (moved) faults.push('the store was moved aside');
  if (faults.length > 0) throw new Error(`${point}: ${faults.join('; ')}`);
  lane.state = state;
}

/** Between recovery and the next try: old or new. A try that was quicker is seen at its end only. */
async function atReady({ guest, tally }: Moving, before: GuestState | null, next: GuestState) {
  const look = await eventually(
    'the guest is ready',
    () => {
      const lost = guest?.console().find((line) => /^GUEST|^QEMU|Kernel panic/.test(line));
      if (lost) throw new Error(lost);
      return guest?.ready();
    },
    BOOT_MS,
  );
  const whole = [before, next].some((state) => faultsOf(look, state).length === 0);
  if (whole) tally.held += 1;
  else if (!guest?.console().some((line) => line.includes('"phase":"activating"'))) {
    const faults = [before, next].map((state) => faultsOf(look, state));
    throw new Error(`at ready neither old nor new: ${JSON.stringify(faults)}`);
  }
}

/** The first status after the cut knows all that the newest one before it had told. */
async function kept({ plant }: Moving, newest: Report | undefined, count: number): Promise<void> {
  if (newest === undefined) return;
  const first = await eventually(
    'a status after the cut',
    () =>
      plant.watch
        .all(DEVICE)
        .slice(count)
        .find(({ order }) => order[0] > newest.order[0]),
    BOOT_MS,
  );
  const sequence = (point: string) => Number(point.split('.')[1] ?? 0);
  const lost = (['desired', 'applied'] as const).filter(
    (what) => sequence(first[what]) < sequence(newest[what]),
  );
  const now = lost.map((what) => `${what} ${newest[what]}, now ${first[what] || 'none'}`);
  if (lost.length > 0) throw new Error(`acknowledged and lost: ${now.join(', ')}`);
}

async function settled({ plant }: Moving, point: string, after: bigint): Promise<Report> {
  const holds = ({ order, phase, desired, applied, refused, health }: Report) =>
    order[0] > after &&
    phase === 'IDLE' &&
    desired === point &&
    (applied === point || !!refused) &&
    Object.values(health).every((each) => each !== 'starting');
  const found = () => plant.watch.all(DEVICE).find(holds);
  return await eventually(`${point} settled`, found, SETTLE_MS);
}

if (import.meta.main) {
  const [arch = '', cuts = '', seed = '', kernel = '', initramfs = '', root = ''] =
    process.argv.slice(2);
  const kit = { arch, kernel, initramfs, root };
  const asked = { cuts: Number(cuts), seed: Number(seed), kit, stopped: stopOnSignal() };
  const tally = await cutGuests({ ...asked, say: (line) => console.log(line) });
  for (const each of tally.bad) console.log(each);
  const { held, flushes, dirty, waiting, statuses, bad } = tally;
  console.log(`${flushes} flushes; ${dirty} cuts found ${waiting} writes not flushed;`);
  console.log(`  ${held} seen whole at ready; ${statuses} delivered statuses`);
  console.log(`guests: ${tally.cuts} cuts on ${arch}, ${bad.length} bad`);
  process.exit(bad.length === 0 ? 0 : 1);
}
