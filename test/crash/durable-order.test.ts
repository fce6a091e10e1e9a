/**
 * What a power cut would need, seen from the kernel: the compiled agent under strace. Bytes are
 * durable before their name is, names before the commit that counts on them, the acceptance before
 * anything visible, and nothing is synced that need not be. A missing fsync changes no result that
 * could be looked at afterwards: only this test sees it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  startParts,
} from '../support/plant.ts';
import { type FileCall, fileCalls, linesOfTrace, strace, traced } from '../support/syscalls.ts';

const CHANNEL = 'canary';
/** more than comes along with a pushed statement */
const DOWNLOAD_BYTES = 300_000;
const reason = missing ?? (strace === null ? 'no strace' : null);
const real = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);

let parts: Parts;
let plant: Plant;
let device: Device;
let trace = '';

beforeAll(async () => {
  if (reason !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: [CHANNEL] });
  device = plant.device('press-7', {
    settings: { log: { level: 'debug' }, schedule: { interval: '1s', jitter: 0 } },
  });
  trace = join(plant.folder, 'trace');
  mkdirSync(join(device.opt, 'line'));
  await device.start({ wrap: traced(trace) });
  await change('v1');
}, 60_000);
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
}, 60_000);

/** Publishes and gives what the agent asked of the kernel for it. */
async function change(version: string, only: 'file' | 'all' = 'all'): Promise<readonly FileCall[]> {
  const from = linesOfTrace(trace);
  const target = (name: string) => join(device.opt, 'line', name);
  plant.write(CHANNEL, 'a.conf', `a of ${version}\n`);
  plant.deploy(CHANNEL, 'file', filesSpec({ a: { blob: 'a.conf', target: target('a.conf') } }));
  if (only === 'all') {
    plant.write(CHANNEL, 'tree/one', `one of ${version}\n`);
    plant.write(CHANNEL, 'tree/deep/two', `two of ${version}\n`);
    plant.write(CHANNEL, 'run', `#!/bin/sh\n# ${version}\nexec sleep 1000000\n`, 0o755);
    plant.deploy(CHANNEL, 'tree', filesSpec({ t: { blob: 'tree', target: target('tree') } }));
    plant.deploy(CHANNEL, 'program', processSpec({ blob: 'run' }));
  }
  const { point } = await plant.publish(CHANNEL);
  await device.reports(`${point} applied`, ({ applied, phase }) => {
    return applied === point && phase === 'IDLE';
  });
  return fileCalls(trace, device.pid(), from).filter(({ path }) => path.startsWith(device.folder));
}

const isStore = (path: string) => path.endsWith('/store/data.mdb');
/** run/ is a tmpfs on a device, log files are a program's own */
const counts = (path: string) => !path.startsWith(device.runDir) && !path.includes('/logs/');

/** The indices of commits: LMDB syncs its data once in each. */
function commitsOf(calls: readonly FileCall[]): readonly number[] {
  return calls.flatMap(({ kind, path }, at) => (kind === 'sync' && isStore(path) ? [at] : []));
}

/** Files and directories that got a name by rename although what is in them could still be lost. */
function namedTooEarly(calls: readonly FileCall[]): readonly string[] {
  const dirty = new Set<string>();
  const early: string[] = [];
  for (const call of calls) {
    if (!counts(call.path) || isStore(call.path)) continue;
    if (call.kind === 'sync') dirty.delete(call.path);
    else if (call.kind !== 'rename') dirty.add(call.path);
    if (call.kind === 'mkdir') dirty.delete(call.path); // empty so far
    if (call.kind === 'symlink') dirty.delete(call.path); // has no bytes of its own
    if (call.kind === 'rename') {
      const inside = (path: string) => path === call.from || path.startsWith(`${call.from}/`);
      early.push(...[...dirty].filter(inside).map((path) => `${path} as ${call.path}`));
    }
    if (call.kind !== 'sync' && call.kind !== 'write') dirty.add(dirname(call.path));
  }
  return early;
}

/** Names that a commit counted on although their directory was not synced since they were made. */
function unsyncedNames(calls: readonly FileCall[]): readonly string[] {
  const open = new Map<string, string[]>();
  const found: string[] = [];
  for (const call of calls) {
    if (call.kind === 'sync' && isStore(call.path)) found.push(...[...open.values()].flat());
    if (call.kind === 'sync') open.delete(call.path);
    if (!counts(call.path)) continue;
    const durable = call.kind === 'rename' || call.kind === 'mkdir';
    if (!durable) continue;
    const parent = dirname(call.path);
    open.set(parent, [...(open.get(parent) ?? []), call.path]);
  }
  return [...new Set(found)];
}

describe('check 19: a change with a file, a tree and a program', () => {
  real(title('makes bytes durable before names, names before the commit'), async () => {
    const calls = await change('v2');
    expect(calls.filter(({ kind }) => kind === 'rename').length).toBeGreaterThan(6);
    expect(namedTooEarly(calls)).toEqual([]);
    expect(unsyncedNames(calls)).toEqual([]);
  });

  real(title('accepts before anything visible, and commits after everything visible'), async () => {
    const calls = await change('v3');
    const commits = commitsOf(calls);
    const switched = calls.flatMap(({ kind, path }, at) =>
      kind === 'rename' && dirname(path) === join(device.opt, 'line') ? [at] : [],
    );
    const accepted = calls.findIndex(({ kind, path }) => {
      return kind === 'rename' && path.endsWith('.statement');
    });
    expect(switched).toHaveLength(2);
    const [first = 0, last = 0] = switched;
    expect(accepted).toBeGreaterThan(-1);
    // accepted; proving and applied
    expect(commits.filter((at) => at > accepted && at < first)).toHaveLength(1);
    expect(commits.filter((at) => at > first && at < last)).toEqual([]);
    expect(commits.filter((at) => at > last)).toHaveLength(2);
  });
});

describe('a change of one small file', () => {
  real(title('costs two commits and at most eight fsyncs'), async () => {
    const calls = await change('v4', 'file');
    expect(namedTooEarly(calls)).toEqual([]);
    expect(unsyncedNames(calls)).toEqual([]);
    const syncs = calls.filter(({ kind }) => kind === 'sync').map(({ path }) => path);
    expect(commitsOf(calls)).toHaveLength(2);
    expect(syncs.length).toBeLessThanOrEqual(8);
  });

  real(title('and none at all when nothing is new'), async () => {
    const looks = () => device.log().match(/"event":"look.unchanged","wake":"schedule"/g) ?? [];
    const lookedAgain = async () => {
      const before = looks().length;
      await eventually('another look by the schedule', () => looks().length > before);
    };
    // What was told of the change before may still be settling.
    await eventually('a look that costs nothing', async () => {
      await lookedAgain();
      const from = linesOfTrace(trace);
      await lookedAgain();
      const calls = fileCalls(trace, device.pid(), from);
      return !calls.some(({ path }) => path.startsWith(device.folder) && counts(path));
    });
  });
});

describe('a blob too large to come with its statement', () => {
  real(title('is durable before its name as well'), async () => {
    const big = Buffer.alloc(DOWNLOAD_BYTES, 'of the first version\n');
    plant.write(CHANNEL, 'big.bin', big);
    const target = join(device.opt, 'line/big.bin');
    plant.deploy(CHANNEL, 'download', filesSpec({ big: { blob: 'big.bin', target } }));
    const calls = await change('v5', 'file');
    expect(calls.some(({ path }) => path.endsWith('.part'))).toBe(true);
    expect(namedTooEarly(calls)).toEqual([]);
    expect(unsyncedNames(calls)).toEqual([]);
  });
});

describe('a start', () => {
  real(title('counts itself in one commit, durable like any other'), async () => {
    await device.stop();
    const again = join(plant.folder, 'trace-again');
    await device.start({ wrap: traced(again) });
    await device.reports('the second start', ({ order }) => order[0] === 2n);
    const calls = fileCalls(again, device.pid(), 0).filter(({ path }) =>
      path.startsWith(device.folder),
    );
    expect(namedTooEarly(calls)).toEqual([]);
    expect(unsyncedNames(calls)).toEqual([]);
    expect(commitsOf(calls)).toHaveLength(1);
  });
});
