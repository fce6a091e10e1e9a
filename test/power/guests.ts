/**
 * Power cuts of whole machines: the agent in a guest of QEMU, changes by real registry and broker of
 * this host, the guest killed and its disk cut in the same moment, booted again; each change is cut
 * several times, in the apply and in the start after it. The guest's own shell tells which files and
 * programs are there; the signed statuses that came in tell what was promised.
 *
 * Run as a program: `guests.ts ARCH CUTS SEED KERNEL INITRAMFS ROOT`.
 */
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { filesOf } from '../crash/lane-states.ts';
import { output } from '../support/command.ts';
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
import { makePlatters, type Platters } from './rig.ts';
import { stopOnSignal } from './stop.ts';

export interface GuestsAsked {
  readonly cuts: number;
  readonly seed: number;
  /** machines beside each other */
  readonly lanes: number;
  readonly kit: GuestKit;
  say?(line: string): void;
  /** asked between two changes */
  stopped?(): boolean;
}

export interface GuestsTally {
  cuts: number;
  /** cuts that came before a start had ended its recovery */
  early: number;
  /** states that were given up because cuts had ended too many of their tries */
  givenUp: number;
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
  readonly platters: Platters;
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
/** an apply is some 100 writes */
const CUT_WRITES = 120;
/** a start, its recovery and what it resumes */
const EARLY_WRITES = 60;
/** of one change; how likely one is followed by another, and how likely that one comes early */
const CUTS_MAX = 5;
const AGAIN = 0.6;
const EARLY = 0.4;
const FIRST = 0.5;
/** tries of a state, of which every cut may end one (agent.yaml: the default) */
const ATTEMPTS_MAX = 3;
/** states of one device; then another begins, with an empty disk */
const CHANGES_OF_A_LANE = 12;
const BROKEN_SHARE = 0.12;

export async function cutGuests(asked: GuestsAsked): Promise<GuestsTally> {
  const counts = { cuts: 0, early: 0, givenUp: 0, held: 0, statuses: 0 };
  const tally: GuestsTally = { ...counts, flushes: 0, waiting: 0, dirty: 0, bad: [] };
  const parts = await startParts();
  const goesOn = () => tally.cuts < asked.cuts && !asked.stopped?.();
  try {
    const running = Array.from({ length: asked.lanes }, async (_, index) => {
      for (let again = 0; goesOn(); again += 1) {
        await lifeOf(parts, asked, tally, index + again * asked.lanes);
      }
    });
    await Promise.all(running);
  } finally {
    await parts.remove();
  }
  return tally;
}

/** One device from its first boot on, until something is wrong or enough was cut. */
async function lifeOf(parts: Parts, asked: GuestsAsked, tally: GuestsTally, index: number) {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const image = join(plant.folder, 'data.img');
  const { unit } = seededRandom(asked.seed * 31 + index);
  await makeData(plant, image);
  const platters = makePlatters(image);
  const moving = { plant, asked, tally, platters, random: unit };
  const lane: Moving = { ...moving, guest: null, state: null, number: 0 };
  const goesOn = () => tally.cuts < asked.cuts && !asked.stopped?.();
  try {
    await boot(lane);
    if (unit() < FIRST) {
      await cutEarly(lane);
      await boot(lane);
    }
    for (let changes = 0; goesOn() && changes < CHANGES_OF_A_LANE; changes += 1) {
      await change(lane);
      asked.say?.(`${tally.cuts} cuts, ${tally.held} seen at ready, ${tally.bad.length} bad`);
    }
  } catch (error) {
    tally.bad.push(`seed ${asked.seed}, device ${index}, ${tally.cuts} cuts: ${error}`);
    asked.say?.(`${error}\n${lane.guest?.console().slice(-40).join('\n')}`);
    if (tally.cuts === 0) throw error;
  } finally {
    tally.statuses += plant.watch.all(DEVICE).length;
    await lane.guest?.end();
    await platters.end();
    await plant.remove();
  }
}

async function boot(lane: Moving): Promise<void> {
  lane.guest = await startGuest(lane.asked.kit, lane.platters, lane.plant.folder);
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
  const { plant, random, tally, asked } = lane;
  const before = lane.state;
  lane.number += 1;
  const broken = before !== null && random() < BROKEN_SHARE;
  const next: GuestState = { version: `v${lane.number}`, broken };
  write(lane, next);
  // The disk waits for its cut before the device hears of anything: what it counts is the apply.
  const published = { point: '' };
  const first = cutIn(lane, published);
  published.point = (await plant.publish(CHANNEL)).point;
  const { point } = published;
  let told = await first;
  let cuts = 1;
  for (;;) {
    await boot(lane);
    const again = cuts < CUTS_MAX && tally.cuts < asked.cuts && random() < AGAIN;
    const early = again && random() < EARLY;
    if (!early) {
      await atReady(lane, before, next);
      await kept(lane, told.newest, told.count);
    }
    if (!again) break;
    told = await (early ? cutEarly(lane) : cutIn(lane, published));
    cuts += 1;
  }
  const end = await settled(lane, point, told.newest?.order[0] ?? 0n);
  const applied = end.applied === point;
  const state = applied ? next : before;
  const faults = [...faultsOf((await lane.guest?.look()) ?? NOTHING, state)];
  if (!applied && end.refused?.code === 'apply.crash-loop' && cuts >= ATTEMPTS_MAX) {
    tally.givenUp += 1;
  } else if (applied === next.broken) {
    faults.push(`${point} ended ${end.refused?.code ?? 'applied'}`);
  }
  if (end.degraded) faults.push('the signed status says degraded');
  const moved = lane.guest?.console().some((line) => line.includes('store.quarantined'));
  if (moved) faults.push('the store was moved aside');
  if (faults.length > 0) throw new Error(`${point}: ${faults.join('; ')}`);
  lane.state = state;
}

const NOTHING: GuestLook = { files: new Map(), programs: [] };

/** In the middle of what is written for this state, or once it has settled. */
async function cutIn(lane: Moving, published: { readonly point: string }) {
  const boots = newestOf(lane)?.order[0] ?? 0n;
  const isOver = () => published.point !== '' && isSettled(lane, published.point, boots - 1n);
  return await cut(lane, CUT_WRITES, isOver);
}

/** In a start, or once its recovery is over. */
async function cutEarly(lane: Moving) {
  lane.tally.early += 1;
  return await cut(lane, EARLY_WRITES, () => lane.guest?.ready());
}

/** The machine stands still in the moment in which its disk has no power any more. */
async function cut(lane: Moving, most: number, isOver: () => unknown) {
  const { guest, platters, random, tally, plant } = lane;
  const seed = Math.floor(random() * 2 ** 31);
  const { gone, hurry } = platters.cut(seed, 1 + Math.floor(random() * most));
  const power = { isGone: false };
  const count = gone.then((counted) => {
    power.isGone = true;
    return counted;
  });
  // What the machine complains about meanwhile may be the cut: it is not looked at here.
  await guest?.until('the power goes', () => power.isGone || isOver());
  if (!power.isGone) hurry();
  const { flushes, waiting } = await count;
  await guest?.end();
  const told = plant.watch.all(DEVICE);
  tally.cuts += 1;
  tally.flushes += flushes;
  tally.waiting += waiting;
  tally.dirty += waiting > 0 ? 1 : 0;
  return { newest: told.at(-1), count: told.length };
}

function newestOf({ plant }: Moving): Report | undefined {
  return plant.watch.all(DEVICE).at(-1);
}

/** Throws when the machine itself says that something is wrong. */
function alive<T>({ guest }: Moving, holds: () => T): T {
  const lost = guest?.console().find((line) => /^GUEST|^QEMU|Kernel panic/.test(line));
  if (lost) throw new Error(lost);
  return holds();
}

/** Between recovery and the next try: old or new. A try that was quicker is seen at its end only. */
async function atReady(lane: Moving, before: GuestState | null, next: GuestState): Promise<void> {
  const { guest, tally } = lane;
  const seen = await guest?.until('the guest is ready', () => alive(lane, () => guest.ready()));
  const look = seen ?? NOTHING;
  const whole = [before, next].some((state) => faultsOf(look, state).length === 0);
  if (whole) tally.held += 1;
  else if (!guest?.console().some((line) => line.includes('"phase":"activating"'))) {
    const faults = [before, next].map((state) => faultsOf(look, state));
    throw new Error(`at ready neither old nor new: ${JSON.stringify(faults)}`);
  }
}

/** The first status after the cut knows all that the newest one before it had told. */
async function kept(lane: Moving, newest: Report | undefined, count: number): Promise<void> {
  if (newest === undefined) return;
  const after = () =>
    lane.plant.watch
      .all(DEVICE)
      .slice(count)
      .find(({ order }) => order[0] > newest.order[0]);
  const first = await lane.guest?.until('a status after the cut', () => alive(lane, after));
  if (first === undefined) return;
  const sequence = (point: string) => Number(point.split('.')[1] ?? 0);
  const lost = (['desired', 'applied'] as const).filter(
    (what) => sequence(first[what]) < sequence(newest[what]),
  );
  const now = lost.map((what) => `${what} ${newest[what]}, now ${first[what] || 'none'}`);
  if (lost.length > 0) throw new Error(`acknowledged and lost: ${now.join(', ')}`);
}

function isSettled({ plant }: Moving, point: string, after: bigint): Report | undefined {
  return plant.watch
    .all(DEVICE)
    .find(
      ({ order, phase, desired, applied, refused, health }) =>
        order[0] > after &&
        phase === 'IDLE' &&
        desired === point &&
        (applied === point || !!refused) &&
        Object.values(health).every((each) => each !== 'starting'),
    );
}

async function settled(lane: Moving, point: string, after: bigint): Promise<Report> {
  const found = () => alive(lane, () => isSettled(lane, point, after));
  const report = await lane.guest?.until(`${point} settled`, found);
  if (!report) throw new Error('there is no guest');
  return report;
}

if (import.meta.main) {
  const [arch = '', cuts = '', seed = '', kernel = '', initramfs = '', root = ''] =
    process.argv.slice(2);
  const kit = { arch, kernel, initramfs, root };
  const lanes = Math.max(2, availableParallelism());
  const asked = { cuts: Number(cuts), seed: Number(seed), lanes, kit };
  const stopped = stopOnSignal();
  const tally = await cutGuests({ ...asked, stopped, say: (line) => console.log(line) });
  for (const each of tally.bad) console.log(each);
  const { early, givenUp, held, flushes, dirty, waiting, statuses, bad } = tally;
  console.log(`${flushes} flushes; ${dirty} cuts found ${waiting} writes not flushed;`);
  console.log(`  ${early} before a start was ready; ${held} seen whole at ready;`);
  console.log(`  ${statuses} delivered statuses; ${givenUp} states given up after their tries`);
  console.log(`guests: ${tally.cuts} cuts on ${arch}, ${bad.length} bad`);
  process.exit(bad.length === 0 ? 0 : 1);
}
