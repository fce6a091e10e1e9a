/**
 * One device whose agent is killed again and again: publishes a state, watches the outside world for
 * the moment (log lines, names in the content store), kills with SIGKILL, looks, starts again, waits
 * until it has settled, and lets the witness compare. Several lanes run beside each other.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { endChild } from '../support/command.ts';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { makePlant, type Parts, type Plant } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import type { Report } from '../support/status-watch.ts';
import { chainFault, type Effect, journalFaults } from './lane-journal.ts';
import { type LanePlace, type LaneState, writeState } from './lane-states.ts';
import { fileFaults, programFaults, programsOf, tornFiles, versionFaults } from './lane-witness.ts';
import { type AtKill, contentOf, phaseAtKill } from './phase-at-kill.ts';

/** What a kill aims at; where it landed is read from the store afterwards. */
export type Aim =
  | 'idle'
  | 'waiting'
  | 'preparing'
  | 'activating'
  | 'proving'
  | 'undoing'
  | 'stuck'
  | 'anywhere';

export interface Kill {
  readonly aim: Aim;
  /** of the transition table, as the store has it */
  readonly phase: string;
}

export interface Lane {
  readonly heldStill: () => number;
  /** Throws when the journal's chain is not whole, up to the head that the device signs. */
  audited(): Promise<void>;
  /** One change and the kills aimed at it, in order; throws what the witness found. */
  change(aims: readonly Aim[]): Promise<readonly Kill[]>;
  remove(): Promise<void>;
}

const CHANNEL = 'canary';
const BULK_BYTES = 4_000_000;
const SMALL_BYTES = 5_000;
const ANYWHERE_MS = 1_500;
/** the agent is held still meanwhile: only what it had started already can come */
const EXEC_MS = 2_000;
/** after the line that shows the phase: within what that phase takes at least */
const DELAY_MS: Readonly<Record<Aim, number>> = {
  ...{ idle: 0, waiting: 0, preparing: 20, activating: 100, proving: 180, undoing: 80 },
  ...{ stuck: 40, anywhere: ANYWHERE_MS },
};

interface Moving {
  readonly plant: Plant;
  readonly device: Device;
  readonly place: LanePlace;
  readonly random: () => number;
  child: ChildProcess | null;
  /** in force, by what was published and what the device said of it */
  state: LaneState | null;
  number: number;
  /** how often the device was seen between recovery and the next try */
  held: number;
  /** points that no status may ever call applied */
  readonly refused: Set<string>;
  /** what became of every change, oldest first */
  readonly effects: Effect[];
}

/** One change on its way. */
interface Offer {
  readonly point: string;
  /** hex state digest */
  readonly digest: string;
  readonly before: LaneState | null;
  readonly next: LaneState;
  /** in the content store before it was published */
  readonly names: ReadonlySet<string>;
}

export async function makeLane(parts: Parts, index: number, seed: number): Promise<Lane> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const settings = { log: { level: 'info' }, schedule: { interval: '1h' } };
  const device = plant.device(`lane-${index}`, { channel: CHANNEL, settings });
  const line = join(device.opt, 'line');
  mkdirSync(line, { recursive: true });
  const place: LanePlace = {
    channel: CHANNEL,
    line,
    port: await freePort(),
    mark: `${process.pid}-${index}-${seed}`,
    starts: join(plant.folder, 'keeper-starts'),
  };
  const { unit: random } = seededRandom(seed * 31 + index);
  const refused = new Set<string>();
  const lane: Moving = {
    plant,
    device,
    place,
    random,
    child: null,
    state: null,
    number: 0,
    held: 0,
    refused,
    effects: [],
  };
  lane.child = device.launch();
  return {
    heldStill: () => lane.held,
    change: (aims) => change(lane, aims),
    async audited() {
      const fault = await chainFault(device, lane.effects);
      if (fault !== null) throw new Error(fault);
    },
    async remove() {
      if (lane.child) await endChild(lane.child, 'SIGKILL');
      for (const { pid } of programsOf(place)) process.kill(pid, 'SIGKILL');
      await plant.remove();
    },
  };
}

async function change(lane: Moving, aims: readonly Aim[]): Promise<readonly Kill[]> {
  const kills: Kill[] = [];
  const before = lane.state;
  const next = nextState(lane, aims);
  const names = new Set(contentOf(lane.device.stateDir));
  writeState(lane.plant, lane.place, next);
  const watches = aims.slice(0, 1).map((aim) => momentOf(lane, aim, names));
  const published = await lane.plant.publish(CHANNEL);
  const digest = published.stateDigest.slice('sha256:'.length);
  const offer: Offer = { point: published.point, digest, before, next, names };
  if (next.broken !== 'nothing') lane.refused.add(offer.point);
  let boot = 0n;
  const stuck = aims.includes('stuck');
  const blocked = stuck ? blockUndo(lane) : Promise.resolve();
  for (const aim of aims) {
    const moment = watches.pop() ?? momentOf(lane, aim, names);
    const end = settled(lane, offer, boot);
    // The change may settle first, the moment never come: that is no failure of the device. An agent
    // that ended is told by `kill`.
    await Promise.race([moment.catch(() => (hasEnded(lane) ? null : end)), end]);
    const found = await kill(lane, offer);
    kills.push({ aim, phase: found.phase });
    boot = found.boot;
    await blocked;
    if (stuck) unblockUndo(lane);
    lane.child = lane.device.launch();
    if (aim === aims.at(-1)) await atReady(lane, offer, found);
  }
  const end = await settled(lane, offer, boot);
  await compare(lane, offer, end).catch((error) => {
    const told = kills.map((each) => `${each.aim} (${each.phase})`).join(', ');
    const log = lane.device.log().slice(-6_000);
    throw new Error(`${offer.point} ${JSON.stringify(next)}, killed in ${told}: ${error}\n${log}`);
  });
  return kills;
}

/** Files alone, a program alone, both; broken ones where the aim is what follows a failure. */
function nextState(lane: Moving, aims: readonly Aim[]): LaneState {
  lane.number += 1;
  const { number, random, state } = lane;
  const fresh = `v${number}`;
  const bulk = aims.includes('preparing') ? BULK_BYTES : SMALL_BYTES;
  if (state === null) return { settings: fresh, server: fresh, bulk, broken: 'nothing' };
  const stuck = aims.includes('stuck');
  const fails = stuck || aims.includes('undoing') || (aims.includes('anywhere') && random() < 0.4);
  const how = (['hangs', 'ends', 'missing'] as const)[Math.floor(random() * 3)] ?? 'hangs';
  const broken = stuck ? 'hangs' : fails ? how : 'nothing';
  const kind = random();
  const slow = aims.some((aim) => aim === 'activating' || aim === 'proving');
  const files = stuck || bulk === BULK_BYTES || kind < 0.66;
  return {
    settings: files ? fresh : state.settings,
    server: fails || slow || kind > 0.33 ? fresh : state.server,
    bulk: files ? bulk : state.bulk,
    broken,
  };
}

/** Resolves when the outside shows that the agent is where the aim wants it. */
async function momentOf(lane: Moving, aim: Aim, names: ReadonlySet<string>): Promise<void> {
  const { child, device, random } = lane;
  const delayMs = random() * DELAY_MS[aim];
  switch (aim) {
    case 'idle':
      return new Promise(() => {});
    case 'anywhere':
      break;
    case 'preparing':
      await eventually('something new is fetched', () => {
        const fetched = contentOf(device.stateDir).some((name) => !names.has(name));
        return fetched || child?.exitCode !== null || child.signalCode !== null;
      });
      break;
    default:
      await logged(child, aim);
  }
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

function logged(child: ChildProcess | null, phase: string): Promise<void> {
  return says(child, `"event":"phase","phase":"${phase}"`);
}

function says(child: ChildProcess | null, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child?.once('exit', () => reject(new Error(`the agent ended before it said ${line}`)));
    // A line may come in two pieces.
    let seen = '';
    child?.stderr?.on('data', (text: Buffer) => {
      seen = `${seen.slice(-line.length)}${text}`;
      if (seen.includes(line)) resolve();
    });
  });
}

/**
 * Recovery is over, the next try has not begun: the agent is held still, and the device has to be in
 * the old or the new state. Where the next try was quicker, the store counts it.
 */
async function atReady(lane: Moving, { digest, before, next, names }: Offer, killed: AtKill) {
  const { child, device, place } = lane;
  await says(child, '"event":"agent.started"');
  child?.kill('SIGSTOP');
  try {
    const { phase, tries } = phaseAtKill(device.stateDir, digest, names);
    const open = phase === 'activating' || phase === 'undoing' || phase === 'stuck';
    if (open && tries > killed.tries) return;
    if (open) throw new Error(`recovery left a try open in ${phase}`);
    // A program that ends by itself may just be between two starts while its proof goes on.
    const mayBeDown = next.broken === 'ends';
    const perState = () =>
      [before, next].map((state) => [
        ...fileFaults(place, state),
        ...(state === next && mayBeDown ? [] : versionFaults(place, state)),
      ]);
    // A program that was just started shows its environment only once it has begun to run.
    const whole = () => perState().some((each) => each.length === 0);
    if (!(await eventually('old or new', whole, EXEC_MS).catch(() => false))) {
      const log = device.log().slice(-4_000);
      const found = JSON.stringify(perState());
      throw new Error(`after recovery (${phase}) neither old nor new: ${found}\n${log}`);
    }
    lane.held += 1;
  } finally {
    child?.kill('SIGCONT');
  }
}

/** While it is proven, somebody puts a directory in the place of a file: the undo cannot go through. */
async function blockUndo(lane: Moving): Promise<void> {
  await logged(lane.child, 'proving');
  const target = join(lane.place.line, 'b.conf');
  rmSync(target);
  mkdirSync(target);
  writeFileSync(join(target, 'mine'), 'not to be removed');
}

function unblockUndo({ place }: Moving): void {
  rmSync(join(place.line, 'b.conf'), { force: true, recursive: true });
}

function hasEnded({ child }: Moving): boolean {
  return child === null || child.exitCode !== null || child.signalCode !== null;
}

async function kill(lane: Moving, { digest, before, next, names }: Offer) {
  const { child, place, device } = lane;
  if (child === null || hasEnded(lane)) {
    throw new Error(`the agent ended by itself\n${device.log().slice(-4_000)}`);
  }
  await endChild(child, 'SIGKILL');
  const found = phaseAtKill(device.stateDir, digest, names);
  const torn = tornFiles(place, [before, next]).filter((path) => !path.startsWith('b.conf/'));
  if (torn.length > 0) throw new Error(`torn after a kill in ${found.phase}: ${torn.join(', ')}`);
  const running = programsOf(place);
  const many = ['server', 'keeper'].filter(
    (role) => running.filter((program) => program.role === role).length > 1,
  );
  if (many.length > 0)
    throw new Error(`doubled after a kill in ${found.phase}: ${many.join(', ')}`);
  return found;
}

/** A signed status of a later boot that calls nothing of this change open. */
function settled({ device }: Moving, { point }: Offer, boot: bigint): Promise<Report> {
  return device.reports(
    `${point} settled after boot ${boot}`,
    ({ order, phase, desired, applied, refused, health }) =>
      order[0] > boot &&
      phase === 'IDLE' &&
      desired === point &&
      (applied === point || !!refused) &&
      // After a start the first look of the checks is still to come.
      Object.values(health).every((each) => each !== 'starting'),
  );
}

async function compare(lane: Moving, { before, next, point }: Offer, end: Report): Promise<void> {
  const { place, device, refused } = lane;
  const applied = end.applied === point;
  if (applied !== (next.broken === 'nothing')) {
    throw new Error(`${point} ended ${applied ? 'applied' : `refused: ${end.refused?.code}`}`);
  }
  const state = applied ? next : before;
  const faults = [...fileFaults(place, state), ...(await programFaults(place, state))];
  const ill = Object.entries(end.health).filter(([, health]) => health !== 'healthy');
  faults.push(...ill.map(([id, health]) => `the signed status calls ${id} ${health}`));
  if (end.degraded) faults.push('the signed status says degraded');
  const lied = device.allReports().filter((report) => refused.has(report.applied));
  faults.push(...lied.map((report) => `a status called ${report.applied} applied`));
  lane.effects.push({ point, applied });
  faults.push(...(await journalFaults(device, lane.effects)));
  if (faults.length > 0) throw new Error(faults.join('; '));
  lane.state = state;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
