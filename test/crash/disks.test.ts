/**
 * A disk that fails at a step of an apply: full, without an inode, with errors, read-only, shut by the
 * kernel. Here a few steps of each; HOLDFAST_DISKS=all (`npm run disks`) takes every one of them and
 * writes its table to the file that HOLDFAST_DISKS_TABLE names.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { missing, type Parts, startParts } from '../support/plant.ts';
import { canBreakDown, noDisks } from '../support/small-disk.ts';
import { strace } from '../support/syscalls.ts';
import {
  type DiskFault,
  type DiskLane,
  type DiskResult,
  FAULTS,
  type Kind,
  makeDiskLane,
  stepText,
} from './disk-lane.ts';

const ALL = process.env.HOLDFAST_DISKS === 'all';
const TABLE = process.env.HOLDFAST_DISKS_TABLE;
const KINDS: readonly Kind[] = ['files', 'process'];
/** of each fault and kind, when not all are asked for */
const STEPS_FEW = 3;
const MINUTE = 60_000;

const reason =
  missing ?? noDisks ?? (strace === null ? 'no strace' : canBreakDown ? null : 'no /sys/fs/ext4');
const real = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);

let parts: Parts;
let lanes: readonly DiskLane[] = [];

beforeAll(async () => {
  if (reason !== null) return;
  parts = await startParts();
  lanes = await Promise.all(KINDS.map((_, index) => makeDiskLane(parts, index)));
}, MINUTE);
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.remove()));
  await parts?.remove();
}, MINUTE);

/** Evenly spread, and others for each fault: together they reach all of the apply. */
function chosen<T>(steps: readonly T[], fault: DiskFault): readonly T[] {
  if (ALL) return steps;
  const each = steps.length / STEPS_FEW;
  const from = (FAULTS.indexOf(fault) / FAULTS.length) * each;
  return Array.from(
    { length: STEPS_FEW },
    (_, index) => steps[Math.floor(from + index * each)],
  ).filter((step) => step !== undefined);
}

async function runKind(lane: DiskLane, kind: Kind): Promise<readonly DiskResult[]> {
  const results: DiskResult[] = [];
  const steps = await lane.steps(kind);
  expect(steps.length).toBeGreaterThan(20);
  for (const fault of FAULTS) {
    for (const step of chosen(steps, fault)) {
      const result = await lane.fails(fault, kind, step).catch((error) => {
        return { fault, kind, step: stepText(step), told: 'nothing', backMs: 0, bad: [`${error}`] };
      });
      if (result) results.push(result);
    }
  }
  return results;
}

function lineOf({ fault, kind, step, told, backMs, bad }: DiskResult): string {
  const cells = [fault.padEnd(12), kind.padEnd(8), step.padEnd(26), told.padEnd(30)];
  return `${cells.join(' ')} ${String(backMs).padStart(6)} ms ${bad.length === 0 ? 'ok' : 'BAD'}`;
}

describe('B09, B10, B16: the disk fails at a step of an apply', () => {
  real(
    title('what runs is kept, the device says why, and the new state comes by itself'),
    async () => {
      const ran = await Promise.all(
        KINDS.map(async (kind, index) => {
          const lane = lanes[index];
          return lane ? await runKind(lane, kind) : [];
        }),
      );
      const results = ran.flat();
      if (TABLE) writeFileSync(TABLE, `${results.map(lineOf).join('\n')}\n`);
      const bad = results.filter((result) => result.bad.length > 0);
      expect(bad.map((result) => [lineOf(result), ...result.bad].join('\n'))).toEqual([]);
      expect(new Set(results.map(({ fault }) => fault))).toEqual(new Set(FAULTS));
      // The faults were felt: not all of them struck when everything was over.
      expect(results.filter(({ told }) => told !== 'applied').length).toBeGreaterThan(
        results.length / 2,
      );
    },
    ALL ? 90 * MINUTE : 4 * MINUTE,
  );
});
