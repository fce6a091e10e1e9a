/**
 * One device on a small disk of its own, whose disk fails at a chosen call of an apply: the agent is
 * stopped right after that call (or the call itself fails), the fault is switched on, the agent goes
 * on. What is in force, what the device says, and whether it gets to the new state by itself once
 * the disk is well again, is looked at from outside.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ChannelView } from '#control/api.ts';
import { type Device, programsOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { type DiskCall, type Held, type Hold, holdCalls } from '../support/held-call.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { filesSpec, makePlant, type Parts, type Plant, processSpec } from '../support/plant.ts';
import { type SmallDisk, smallDisk } from '../support/small-disk.ts';

export type DiskFault = 'full' | 'no inode' | 'EIO' | 'EROFS' | 'broken down';
export type Kind = 'files' | 'process';

export const FAULTS: readonly DiskFault[] = ['full', 'no inode', 'EIO', 'EROFS', 'broken down'];

/** One line of the table. */
export interface DiskResult {
  readonly fault: DiskFault;
  readonly kind: Kind;
  /** the call, and what it was about */
  readonly step: string;
  /** what the device said meanwhile: a code, or `applied` */
  readonly told: string;
  /** ms from a disk that is well again to the new state */
  readonly backMs: number;
  /** what was wrong; empty: nothing */
  readonly bad: readonly string[];
}

export interface DiskLane {
  /** The calls of one apply, in order, each a step at which the disk may fail. */
  steps(kind: Kind): Promise<readonly DiskCall[]>;
  /** Null: the apply made no such call this time. */
  fails(fault: DiskFault, kind: Kind, at: DiskCall): Promise<DiskResult | null>;
  remove(): Promise<void>;
}

const CHANNEL = 'canary';
const QUICKLY = { interval: '1s', jitter: 0, backoffMax: '1s' };
const SIZE = { megabytes: 12, inodes: 600 };
const LONG = 'keeps a page of its own '.repeat(400);
/** ms in which a call of the apply comes, on a machine that does much else */
const CALL_MS = 60_000;
/** ms in which the device has to say how it is */
const TOLD_MS = 30_000;
/** ms: the longest pause between two tries of an accepted state, and the try */
const BACK_MS = 60_000;

interface Moving {
  readonly plant: Plant;
  readonly device: Device;
  readonly disk: SmallDisk;
  readonly putRun: () => void;
  number: number;
  /** in force: version by kind */
  files: string;
  process: string;
}

export async function makeDiskLane(parts: Parts, index: number): Promise<DiskLane> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const id = `disk-${index}`;
  const folder = join(plant.folder, id);
  const disk = smallDisk(folder, SIZE);
  const device = plant.device(id, {
    settings: { schedule: QUICKLY, keep: { reserve: '0' }, log: { level: 'info' } },
  });
  // Records of programs lie in memory, on a mount that outlives that of the disk.
  const run = mountTmpfs(join(plant.folder, `run-${index}`), 'size=1m');
  const putRun = () => {
    mkdirSync(device.runDir, { recursive: true });
    spawnSync('mount', ['--bind', run.path, device.runDir]);
  };
  putRun();
  mkdirSync(join(device.opt, 'line'));
  const lane: Moving = { plant, device, disk, putRun, number: 0, files: '', process: '' };
  // What the test itself put there is not to be lost with a broken disk.
  spawnSync('sync', ['-f', folder]);
  await device.start();
  await device.linked();
  write(lane, 'files');
  write(lane, 'process');
  await device.applied((await plant.publish(CHANNEL)).point);
  return {
    steps: (kind) => steps(lane, kind),
    fails: (fault, kind, at) => fails(lane, fault, kind, at),
    async remove() {
      await device.stop('SIGKILL');
      for (const pid of programsOf(device.stateDir)) process.kill(pid, 'SIGKILL');
      disk.end();
      run.end();
      await plant.remove();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The next version of one kind, not yet published. */
function write(lane: Moving, kind: Kind): string {
  const { plant, device } = lane;
  lane.number += 1;
  const name = `v${lane.number}`;
  lane[kind] = name;
  const at = (path: string) => join(device.opt, 'line', path);
  if (kind === 'files') {
    plant.write(CHANNEL, 'one.conf', `one of ${name}\n${LONG}`);
    plant.write(CHANNEL, 'tree/two.conf', `two of ${name}\n${LONG}`);
    plant.write(CHANNEL, 'tree/deep/three.conf', `three of ${name}\n`);
    const one = { blob: 'one.conf', target: at('one.conf') };
    const tree = { blob: 'tree', target: at('tree') };
    plant.deploy(CHANNEL, 'settings', filesSpec({ one, tree }));
  } else {
    plant.write(CHANNEL, 'run', `#!/bin/sh\n# ${name}\n# ${LONG}\nexec sleep 1000000\n`, 0o755);
    const env = { LINE_VERSION: name };
    plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run', aliveFor: '100ms', env }));
  }
  return name;
}

async function steps(lane: Moving, kind: Kind): Promise<readonly DiskCall[]> {
  const { device } = lane;
  const held = await hold(lane, { kind: 'watch' });
  write(lane, kind);
  const { point } = await lane.plant.publish(CHANNEL);
  await device.applied(point);
  await held.letGo();
  const ours = held.calls().filter(({ path }) => isOnDisk(device, path));
  // Neighbours of one kind at one place are one step.
  return ours.filter((call, index) => {
    const before = ours[index - 1];
    return !before || before.name !== call.name || placeOf(before.path) !== placeOf(call.path);
  });
}

function isOnDisk(device: Device, path: string): boolean {
  return /^\/proc\/self\/fd\//.test(path)
    ? placeOf(path) !== 'other'
    : path.startsWith(device.stateDir) || path.startsWith(device.opt);
}

/** What a call is about, from the names in its path. */
function placeOf(path: string): string {
  if (path.endsWith('data.mdb')) return 'store';
  if (/\/[0-9a-f]{64}\.(blob(\.tmp)?|part)$/.test(path)) return 'blob';
  if (/\/[0-9a-f]{64}\.statement(\.tmp)?$/.test(path)) return 'statement';
  if (path.endsWith('/content')) return 'content';
  if (/\/(\.part-\w+|generations|\.holdfast\/)/.test(path)) return 'generation';
  if (/\/\.holdfast-[^/]*\.tmp$/.test(path)) return 'new target';
  if (/\/(one\.conf|tree|line)$/.test(path)) return 'target';
  if (path.endsWith('.log')) return 'program log';
  return 'other';
}

export function stepText({ name, nth, path }: DiskCall): string {
  return `${name} ${nth} ${placeOf(path)}`;
}

function hold(lane: Moving, what: Hold): Promise<Held> {
  const file = join(lane.plant.folder, `trace-${lane.number}`);
  return holdCalls(lane.device.pid(), file, what);
}

async function fails(
  lane: Moving,
  fault: DiskFault,
  kind: Kind,
  at: DiskCall,
): Promise<DiskResult | null> {
  const { device } = lane;
  const before = lane[kind];
  const pid = device.pid();
  const held = await hold(lane, holdOf(fault, at));
  const next = write(lane, kind);
  const { point } = await lane.plant.publish(CHANNEL);
  const hit = await eventually(
    'the call comes, or the apply ends',
    async () => {
      return held.hit() ? 'hit' : (await isApplied(device, point)) && 'missed';
    },
    CALL_MS,
  ).catch(async (error) => {
    // Whatever held it lets go, so that the next case finds an agent that runs.
    await held.letGo();
    process.kill(pid, 'SIGCONT');
    throw new Error(`${error}\n${device.log().slice(-3_000)}`);
  });
  if (hit === 'missed') {
    await held.letGo();
    return null;
  }
  const injected = fault === 'EIO' || fault === 'EROFS';
  if (!injected) {
    await held.letGo();
    try {
      begin(lane.disk, fault);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  }
  const versions = { before, next };
  const { told, bad } = await looked(lane, kind, point, versions);
  if (injected) await held.letGo();
  await end(lane, fault);
  const from = performance.now();
  const back = await eventually('the new state comes', () => isApplied(device, point), BACK_MS)
    .then(() => true)
    .catch(() => false);
  const backMs = Math.round(performance.now() - from);
  if (!back) bad.push(`never ${point}: ${JSON.stringify((await device.status()).channels[0])}`);
  bad.push(...inForce(lane, kind, [next]));
  if (fault !== 'broken down' && device.pid() !== pid) bad.push('the agent is another process');
  if (bad.length > 0) bad.push(device.log().slice(-1_500));
  return { fault, kind, step: stepText(at), told, backMs, bad };
}

/**
 * What it says, and whether that is so. The device goes on trying meanwhile, and may get through with
 * the room that collecting made: what changes between two questions is asked again.
 */
async function looked(
  lane: Moving,
  kind: Kind,
  point: string,
  { before, next }: { readonly before: string; readonly next: string },
): Promise<{ readonly told: string; readonly bad: string[] }> {
  const until = Date.now() + TOLD_MS;
  for (;;) {
    const told = await saysWhy(lane.device, point).catch((error) => `silence (${error})`);
    const bad = [...(await whileFailing(lane, told, kind, told === 'applied' ? next : before))];
    if (bad.length === 0 || Date.now() > until) return { told, bad };
  }
}

/** Of a phase that is open the status says that it is neither state: its undo waits for the disk. */
async function whileFailing(lane: Moving, told: string, kind: Kind, version: string) {
  const bad = await explained(lane.device, told);
  return told.includes(' ') ? bad : [...bad, ...inForce(lane, kind, [version])];
}

function holdOf(fault: DiskFault, { name, nth }: DiskCall): Hold {
  if (fault !== 'EIO' && fault !== 'EROFS') return { kind: 'stop', call: name, nth };
  // Sockets and logs are opened and written by the same calls: of those, one fails.
  const onwards = name !== 'openat' && name !== 'write';
  return { kind: 'fail', call: name, nth, errno: fault, onwards };
}

function begin(disk: SmallDisk, fault: DiskFault): void {
  if (fault === 'full') disk.fill(0);
  if (fault === 'no inode') disk.fillInodes(0);
  if (fault === 'broken down') disk.breakDown();
}

/** Only a file system that the kernel has shut needs the agent to be started again. */
async function end(lane: Moving, fault: DiskFault): Promise<void> {
  if (fault !== 'broken down') {
    lane.disk.empty();
    return;
  }
  await lane.device.stop();
  lane.disk.repair();
  lane.putRun();
  await lane.device.start();
}

async function isApplied(device: Device, point: string): Promise<boolean> {
  const channel = await channelOf(device);
  return channel?.applied?.point === point && channel.phase === 'idle';
}

/** Null from an agent that is stopped: its socket takes the question and does not answer. */
async function channelOf(device: Device): Promise<ChannelView | null> {
  const late = new Promise<null>((resolve) => setTimeout(resolve, 300, null));
  const status = await Promise.race([device.status().catch(() => null), late]);
  return status?.channels[0] ?? null;
}

/** The code that the device gives for the state that is offered, or `applied`. */
function saysWhy(device: Device, point: string): Promise<string> {
  return eventually(
    `says how ${point} is`,
    async () => {
      const channel = await channelOf(device);
      if (!channel) return null;
      if (channel.applied?.point === point && channel.phase === 'idle') return 'applied';
      const { waitingFor: why, phase } = channel;
      if (why) return phase === 'idle' || phase === 'waiting' ? why.code : `${phase} ${why.code}`;
      return channel.refused?.offered === point ? `refused ${channel.refused.code}` : null;
    },
    TOLD_MS,
  );
}

/** `holdfast status` and `holdfast explain` name the code, and the latter what to do. */
async function explained(device: Device, told: string): Promise<readonly string[]> {
  if (told === 'applied') return [];
  const code = /^(?:\w+ )?((?:apply|store|platform)\..*)$/.exec(told)?.[1];
  if (code === undefined) return [`it said ${told}`];
  const bad: string[] = [];
  const [status, view] = await Promise.all([device.command(['status']), device.explain()]);
  if (!status.out.includes(code)) bad.push(`status does not name ${told}: ${status.out}`);
  if (!view.verdict.includes(code)) bad.push(`explain says ${view.verdict}`);
  if (view.cure === null) bad.push(`explain has no cure for ${told}`);
  return bad;
}

/** Each of files and process is whole and of one of the versions it may be of. */
function inForce(lane: Moving, kind: Kind, mayBe: readonly string[]): readonly string[] {
  const bad: string[] = [];
  const files = versionsOfFiles(lane);
  const wantFiles = kind === 'files' ? mayBe : [lane.files];
  if (new Set(files).size !== 1 || !wantFiles.includes(files[0] ?? '')) {
    bad.push(`files are of ${files.join(', ')} instead of ${wantFiles.join(' or ')}`);
  }
  const programs = versionsOfPrograms(lane.device);
  const wantPrograms = kind === 'process' ? mayBe : [lane.process];
  if (programs.length !== 1 || !wantPrograms.includes(programs[0] ?? '')) {
    bad.push(`programs ${programs.join(', ') || 'none'} instead of ${wantPrograms.join(' or ')}`);
  }
  return bad;
}

function versionsOfFiles({ device }: Moving): readonly string[] {
  return ['one.conf', 'tree/two.conf', 'tree/deep/three.conf'].map((path) => {
    try {
      const text = readFileSync(join(device.opt, 'line', path), 'utf8');
      const whole = path.includes('three') || text.endsWith(LONG);
      return whole ? (/ of (v\d+)\n/.exec(text)?.[1] ?? '?') : 'torn';
    } catch (error) {
      return String(error);
    }
  });
}

function versionsOfPrograms(device: Device): readonly string[] {
  return programsOf(device.stateDir).flatMap((pid) => {
    try {
      if (readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')) return [];
      const environ = readFileSync(`/proc/${pid}/environ`, 'utf8');
      return [/LINE_VERSION=(v\d+)/.exec(environ)?.[1] ?? '?'];
    } catch {
      return [];
    }
  });
}
