/** The self-test passes on real parts, finds broken ones, and leaves nothing behind. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfTest } from '#agent/self-test.ts';
import { ok } from '#errors/fault.ts';
import { sqliteLocks } from '#platform/bun/sqlite-locks.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { systemKeyFiles } from '#platform/node/key-files.ts';
import { systemRandom } from '#platform/node/random.ts';

type Parts = Parameters<typeof selfTest>[0];

const real: Parts = {
  clock: systemClock(),
  random: systemRandom(),
  files: systemFiles(),
  locks: sqliteLocks(),
  processes: {
    self: { pid: process.pid, uid: process.getuid?.() ?? 0, isInit: false },
  } as Parts['processes'],
  inflate: systemInflate(),
  keyFiles: systemKeyFiles(),
};

let under = '';
beforeAll(() => {
  under = mkdtempSync(join(tmpdir(), 'self-test-'));
});
afterAll(() => rmSync(under, { recursive: true, force: true }));

describe('the self-test', () => {
  test('passes on this machine and leaves its directory empty', async () => {
    const rows = await selfTest(real, under);
    expect(rows.map(({ name, fault }) => [name, fault])).toEqual([
      ['sha-256', null],
      ['ed25519', null],
      ['device key', null],
      ['randomness', null],
      ['gzip', null],
      ['store', null],
    ]);
    expect(readdirSync(under)).toEqual([]);
  });

  for (const [broken, name, code] of [
    [
      { random: { ...real.random, bytes: (n: number) => new Uint8Array(n) } },
      'randomness',
      'agent.self-test',
    ],
    [
      { inflate: { ...real.inflate, gunzip: () => [ok(new Uint8Array(1))] } },
      'gzip',
      'agent.self-test',
    ],
    [{ locks: { take: () => ok(null) } }, 'store', 'store.locked'],
  ] as const) {
    test(`says ${code} where ${name} does not work`, async () => {
      const rows = await selfTest({ ...real, ...broken }, under);
      const failed = rows.filter(({ fault }) => fault !== null);
      expect(failed.map((row) => [row.name, row.fault?.code])).toEqual([[name, code]]);
      expect(readdirSync(under)).toEqual([]);
    });
  }

  test('says platform.missing where there is no such directory', async () => {
    const rows = await selfTest(real, join(under, 'missing'));
    expect(rows.at(-1)?.fault?.code).toBe('platform.missing');
  });
});
