/**
 * The disk under the store fails at each call that LMDB makes of its data file while the compiled
 * agent starts for the first time, and while it starts again: never a signal, always a fault that
 * says what to do, and nothing that was committed is lost.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { ChildProcess } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '#store/open.ts';
import { endChild } from '../support/command.ts';
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
import { noDisks, smallDisk } from '../support/small-disk.ts';
import { channelRow, codeOf, scratch, storePlatform, value } from '../support/store.ts';
import { strace } from '../support/syscalls.ts';

const CHANNEL = 'canary';
const reason = missing ?? (strace === null ? 'no strace' : null);
const real = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);

let parts: Parts;
let plant: Plant;
let made = 0;

beforeAll(async () => {
  if (reason !== null) return;
  parts = await startParts();
  plant = await makePlant(parts, { channels: [CHANNEL] });
}, 60_000);
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
}, 60_000);

/** The k-th call of this name on the data file fails once. */
function failing(device: Device, call: string, errno: string, k: number): readonly string[] {
  const files = ['store', 'store.new'].flatMap((name) => [
    '-P',
    join(device.stateDir, name, 'data.mdb'),
  ]);
  const what = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${errno}:when=${k}`];
  return [
    strace ?? '',
    '-D',
    '-f',
    '-qq',
    '-e',
    'signal=none',
    ...files,
    ...what,
    '-o',
    traceOf(device),
  ];
}

const traceOf = (device: Device) => join(device.folder, 'trace');

function injected(device: Device): boolean {
  return readFileSync(traceOf(device), 'latin1').includes('(INJECTED)');
}

/** Ready, or ended with a code; null: by a signal. */
async function started(device: Device, child: ChildProcess): Promise<'ready' | number | null> {
  return await eventually('ready or ended', async () => {
    if (child.exitCode !== null || child.signalCode !== null) return { end: child.exitCode };
    const ready = (await device.status().catch(() => null))?.agent.ready;
    return ready ? { end: 'ready' as const } : null;
  }).then(({ end }) => end);
}

/** k = 1, 2, … until the start makes no k-th call; every one of them is looked at. */
async function eachCall(device: Device, call: string, errno: string, before: () => void) {
  let failed = 0;
  for (let k = 1; ; k += 1) {
    before();
    const from = device.log().length;
    const child = device.launch({ wrap: failing(device, call, errno, k) });
    const end = await started(device, child);
    const hit = injected(device);
    await endChild(child, 'SIGTERM');
    expect(child.signalCode).toBeNull();
    if (!hit) return { calls: k - 1, failed };
    if (end === 'ready') continue;
    failed += 1;
    expect(end).toBe(2);
    expect(device.log().slice(from)).toMatch(/store\.(io|no-space)|platform\.(io|no-space)/);
  }
}

function fresh(): Device {
  made += 1;
  return plant.device(`store-${made}`, { settings: { log: { level: 'info' } } });
}

describe('L06, B09: a disk that fails under LMDB ends no agent with a signal', () => {
  for (const call of ['openat', 'pwrite64', 'writev', 'fdatasync']) {
    for (const errno of call === 'fdatasync' ? ['EIO'] : ['EIO', 'ENOSPC']) {
      real(title(`${errno} at each ${call} of a first start`), async () => {
        const device = fresh();
        const empty = () => rmSync(device.stateDir, { recursive: true, force: true });
        const { calls } = await eachCall(device, call, errno, empty);
        expect(calls).toBeGreaterThan(0);
        await device.start();
        await device.remove();
      });
    }
  }

  real(
    title('EIO at each open of a later start: the next one has what was committed'),
    async () => {
      const device = fresh();
      plant.write(CHANNEL, 'plc.conf', 'speed=1\n');
      const target = join(device.opt, 'plc.conf');
      plant.deploy(CHANNEL, 'plc', filesSpec({ conf: { blob: 'plc.conf', target } }));
      const { point } = await plant.publish(CHANNEL);
      await device.start();
      await device.applied(point);
      await device.stop();
      const { calls, failed } = await eachCall(device, 'openat', 'EIO', () => undefined);
      expect(calls).toBeGreaterThan(1);
      expect(failed).toBeGreaterThan(0);
      expect(device.read('plc.conf')).toBe('speed=1\n');
      await device.start();
      await device.applied(point);
      await device.remove();
    },
  );
});

describe('B16: a disk that the kernel has shut', () => {
  const able = noDisks === null ? test : test.skip;
  able(noDisks === null ? 'is still read' : `is still read (${noDisks})`, () => {
    const folder = scratch('shut');
    const disk = smallDisk(join(folder.path, 'disk'), { megabytes: 8, inodes: 64 });
    try {
      const { store } = value(openStore(storePlatform, join(disk.path, 'state')));
      const put = (sequence: number) =>
        codeOf(store.transaction((tx) => tx.putChannel(channelRow(sequence))));
      const floor = () => value(store.channels())[0]?.floor?.sequence;
      expect(put(10)).toBe('ok');
      disk.breakDown();
      for (let n = 0; n < 5; n += 1) {
        expect(put(11 + n)).toMatch(/^(store\.io|store\.no-space|platform\.read-only)$/);
        expect(floor()).toBe(10n);
      }
      store.close();
      disk.repair();
      const again = value(openStore(storePlatform, join(disk.path, 'state')));
      expect(again.recovered).toBe('opened');
      expect(value(again.store.channels())[0]?.floor?.sequence).toBe(10n);
      again.store.close();
    } finally {
      disk.end();
      folder.remove();
    }
  });
});
