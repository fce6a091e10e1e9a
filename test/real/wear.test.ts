/**
 * Flash wear, in counts: what costs no write at all, and what an apply costs at most. `npm run wear`
 * (HOLDFAST_WEAR_IDLE_SECONDS, HOLDFAST_WEAR_TABLE) measures longer and prints the table.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { missing, type Parts, startParts } from '../support/plant.ts';
import { noDisks } from '../support/small-disk.ts';
import { makeWearBench, type Wear, type WearBench } from './wear-run.ts';

const IDLE_SECONDS = Number(process.env.HOLDFAST_WEAR_IDLE_SECONDS ?? 8);
const TABLE = process.env.HOLDFAST_WEAR_TABLE;
const TIMES = TABLE ? 20 : 5;
const MINUTE = 60_000;
const KIB = 1024;
const PAGE = 4096;

const reason = missing ?? noDisks;
const real = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);

let parts: Parts;
let bench: WearBench;
const table: Wear[] = [];
const kept = (wear: Wear): Wear => {
  table.push(wear);
  return wear;
};

beforeAll(async () => {
  if (reason !== null) return;
  parts = await startParts();
  bench = await makeWearBench(parts);
}, MINUTE);
afterAll(async () => {
  if (TABLE) writeFileSync(TABLE, JSON.stringify(table));
  await bench?.remove();
  await parts?.remove();
}, MINUTE);

describe('nothing is written', () => {
  const nothing = ({ commits, processBytes }: Wear) => {
    expect(commits).toBe(0);
    // All of them together: a page that something before them left to be written.
    expect(processBytes).toBeLessThanOrEqual(2 * PAGE);
  };
  real(title('by a poll that finds nothing new'), async () => {
    nothing(kept(await bench.poll(TIMES)));
  });
  real(title('by asking for the status'), async () => {
    nothing(kept(await bench.status(TIMES)));
  });
  real(title('by a refused state that comes again'), async () => {
    nothing(kept(await bench.refusedAgain(TIMES)));
  });
});

describe('reading', () => {
  // lmdb's published addon, which is taken elsewhere, maps its lock file.
  const ours = process.arch === 'x64' ? real : test.skip;
  ours(title('marks no page of a file: nothing on the disk is mapped to be written to'), () => {
    const maps = readFileSync(`/proc/${bench.device.pid()}/maps`, 'utf8').split('\n');
    const stored = maps.filter((line) => line.includes(bench.device.stateDir));
    expect(stored.filter((line) => line.endsWith('data.mdb'))).not.toEqual([]);
    expect(stored.filter((line) => / .w.s /.test(line))).toEqual([]);
  });
});

describe('a bounded number of writes', () => {
  real(title('refused states that are new: a commit each at most'), async () => {
    expect(kept(await bench.refusedNew(TIMES)).commits).toBeLessThanOrEqual(TIMES);
  });
  real(title('an apply of one file: two commits and its report'), async () => {
    const { commits, deviceBytes } = kept(await bench.applyFiles(TIMES));
    expect(commits).toBeGreaterThanOrEqual(2 * TIMES);
    expect(commits).toBeLessThanOrEqual(4 * TIMES);
    expect(deviceBytes).toBeLessThan(TIMES * 512 * KIB);
  });
  real(title('an apply of a program: three commits and its report'), async () => {
    const { commits, deviceBytes } = kept(await bench.applyProcess(TIMES));
    expect(commits).toBeGreaterThanOrEqual(3 * TIMES);
    expect(commits).toBeLessThanOrEqual(6 * TIMES);
    expect(deviceBytes).toBeLessThan(TIMES * 768 * KIB);
  });
});

describe('idle', () => {
  real(
    title(`${IDLE_SECONDS} s without an event: no commit`),
    async () => {
      const { commits, deviceBytes } = kept(await bench.idle(IDLE_SECONDS));
      // Collecting what the applies above replaced comes half a minute after them.
      expect(commits).toBeLessThanOrEqual(1);
      expect(deviceBytes).toBeLessThan(256 * KIB);
    },
    (IDLE_SECONDS + 120) * 1_000,
  );
});
