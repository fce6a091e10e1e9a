/**
 * What the agent makes a flash disk write, by what happens: counted by the kernel (the process's
 * write_bytes; the loop device's sectors after a sync, the journal of its ext4 included) and by the
 * transaction number in LMDB's meta pages. The compiled agent, its store and its targets on one disk.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { pushNudge } from '../support/forge-root.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { filesSpec, makePlant, type Parts, type Plant, processSpec } from '../support/plant.ts';
import { type SmallDisk, smallDisk } from '../support/small-disk.ts';

export interface Wear {
  readonly what: string;
  readonly times: number;
  /** all of them together */
  readonly commits: number;
  readonly processBytes: number;
  readonly deviceBytes: number;
  readonly deviceWrites: number;
}

export interface WearBench {
  readonly device: Device;
  /** Seconds in which nothing happens; polls and daily events are counted by themselves. */
  idle(seconds: number): Promise<Wear>;
  poll(times: number): Promise<Wear>;
  status(times: number): Promise<Wear>;
  /** The same forged state again and again. */
  refusedAgain(times: number): Promise<Wear>;
  /** A forged state that was never seen, each time. */
  refusedNew(times: number): Promise<Wear>;
  applyFiles(times: number): Promise<Wear>;
  applyProcess(times: number): Promise<Wear>;
  remove(): Promise<void>;
}

const CHANNEL = 'canary';
const META_PAGES = [0, 4096] as const;
/** MDB_page_header 24, MDB_meta 144 with the transaction 16 before its end (src/store/guard.ts) */
const TRANSACTION_AT = 24 + 144 - 16;
const SETTLE_MS = 400;
/** s from which an idle time stands for a day */
const LONG_IDLE = 60;
/** collecting what a change replaced comes half a minute after it; the journal's commit 5 s later */
const COLLECTED_MS = 45_000;

export async function makeWearBench(parts: Parts): Promise<WearBench> {
  const plant = await makePlant(parts, { channels: [CHANNEL] });
  const folder = join(plant.folder, 'press-7');
  const disk = smallDisk(folder, { megabytes: 48, inodes: 2_000 });
  const device = plant.device('press-7', { settings: { log: { level: 'info' } } });
  mkdirSync(device.runDir, { recursive: true });
  const run = mountTmpfs(device.runDir, 'size=1m');
  await device.start();
  await device.linked();
  const bench = { plant, device, disk, number: 0 };
  for (const kind of ['files', 'process'] as const) await apply(bench, kind);
  const over = (what: string, times: number, once: (n: number) => Promise<unknown>) =>
    measured(bench, { what, times }, once);
  return {
    device,
    async idle(seconds) {
      // A day is made of these seconds: what follows the last change is none of them.
      if (seconds >= LONG_IDLE) await pause(COLLECTED_MS);
      return over('idle second', seconds, () => pause(1_000));
    },
    poll: (times) => over('poll, nothing new', times, () => device.command(['apply', '-q'])),
    status: (times) => over('holdfast status', times, () => device.command(['status'])),
    refusedAgain: (times) => over('refused nudge, seen', times, () => forge(bench, 0)),
    refusedNew: (times) => over('refused nudge, new', times, (n) => forge(bench, n + 1)),
    applyFiles: (times) => over('apply of a 1 KiB file', times, () => apply(bench, 'files')),
    applyProcess: (times) => over('apply of a program', times, () => apply(bench, 'process')),
    async remove() {
      await device.remove().catch(() => undefined);
      run.end();
      disk.end();
      await plant.remove();
    },
  };
}

interface Bench {
  readonly plant: Plant;
  readonly device: Device;
  readonly disk: SmallDisk;
  number: number;
}

async function measured(
  bench: Bench,
  { what, times }: { readonly what: string; readonly times: number },
  once: (n: number) => Promise<unknown>,
): Promise<Wear> {
  // The first of a kind may find something to write that the next ones do not.
  await once(times);
  const before = await countersOf(bench);
  for (let n = 0; n < times; n += 1) await once(n);
  const after = await countersOf(bench);
  return {
    what,
    times,
    commits: after.commits - before.commits,
    processBytes: after.processBytes - before.processBytes,
    deviceBytes: after.bytes - before.bytes,
    deviceWrites: after.writes - before.writes,
  };
}

async function countersOf({ device, disk }: Bench) {
  // What follows a change (status, report) is part of it.
  await pause(SETTLE_MS);
  spawnSync('sync', ['-f', disk.path]);
  const io = readFileSync(`/proc/${device.pid()}/io`, 'utf8');
  const processBytes = Number(/^write_bytes: (\d+)/m.exec(io)?.[1] ?? 0);
  return { processBytes, commits: commitsOf(device), ...disk.written() };
}

function commitsOf(device: Device): number {
  const bytes = readFileSync(join(device.stateDir, 'store/data.mdb'));
  return Math.max(
    ...META_PAGES.map((page) => Number(bytes.readBigUInt64LE(page + TRANSACTION_AT))),
  );
}

async function apply(bench: Bench, kind: 'files' | 'process'): Promise<void> {
  const { plant, device } = bench;
  bench.number += 1;
  const line = `version ${bench.number} of what is written here\n`;
  const text = line.repeat(Math.ceil(1_024 / line.length)).slice(0, 1_024);
  if (kind === 'files') {
    plant.write(CHANNEL, 'line.conf', text);
    const target = join(device.opt, 'line.conf');
    plant.deploy(CHANNEL, 'settings', filesSpec({ line: { blob: 'line.conf', target } }));
  } else {
    plant.write(CHANNEL, 'run', `#!/bin/sh\n# ${bench.number}\nexec sleep 1000000\n`, 0o755);
    plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run', aliveFor: '100ms' }));
  }
  await device.applied((await plant.publish(CHANNEL)).point);
}

/** A whole envelope that nobody of this fleet signed, above the floor. */
async function forge({ plant, device }: Bench, number: number): Promise<void> {
  const payloadType = 'application/vnd.holdfast.desired-state.v1+protobuf';
  const payload = Buffer.from(`forged ${number}`).toString('base64');
  const sig = Buffer.alloc(64, number).toString('base64');
  const signatures = [{ keyid: '', sig }];
  const envelope = Buffer.from(JSON.stringify({ payload, payloadType, signatures }));
  await pushNudge(plant, CHANNEL, { epoch: 1n, sequence: 1_000_000n, envelope });
  await eventually('it is refused', async () => {
    return (await device.status()).channels[0]?.refused?.code?.startsWith('trust.');
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
