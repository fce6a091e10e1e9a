/** What the kernel lets this process do, and what its programs and other users would get of it. */
import { afterAll, describe, expect, test } from 'bun:test';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bequeathsGrave,
  canBecomeOthers,
  canFindOthers,
  isOpenToOthers,
  ownCapabilities,
  parseCapabilities,
} from '#platform/node/capabilities.ts';

const SETGID_SETUID = (1n << 6n) | (1n << 7n);
const KILL_PTRACE = (1n << 5n) | (1n << 19n);
const PORTS_AND_ALARMS = (1n << 10n) | (1n << 35n);
const folder = mkdtempSync(join(tmpdir(), 'holdfast-capabilities-'));
const executable = join(folder, 'holdfast');
writeFileSync(executable, '');
afterAll(() => rmSync(folder, { recursive: true }));

test('are read from /proc/self/status; what does not say has none', () => {
  const status = 'Name:\tx\nCapEff:\t00000000000000c0\nCapAmb:\t0000000800000400\n';
  expect(parseCapabilities(status)).toEqual({
    effective: SETGID_SETUID,
    ambient: PORTS_AND_ALARMS,
  });
  expect(parseCapabilities('Name:\tx\n')).toEqual({ effective: 0n, ambient: 0n });
  expect(ownCapabilities().ambient).toBe(0n);
});

describe('become other users', () => {
  for (const [uid, effective, can] of [
    [0, 0n, true],
    [1000, SETGID_SETUID | KILL_PTRACE, true],
    [1000, SETGID_SETUID, false],
    [1000, KILL_PTRACE, false],
    [1000, (1n << 7n) | KILL_PTRACE, false],
    [1000, SETGID_SETUID | (1n << 19n), false],
    [1000, 0n, false],
  ] as const) {
    test(`uid ${uid} with ${effective.toString(16)}: ${can}`, () => {
      expect(canBecomeOthers(uid, { effective, ambient: 0n })).toBe(can);
    });
  }
});

test('find the programs of others: with CAP_SYS_PTRACE alone', () => {
  expect(canFindOthers({ effective: 1n << 19n, ambient: 0n })).toBe(true);
  expect(canFindOthers({ effective: ~(1n << 19n), ambient: 0n })).toBe(false);
});

describe('hand down what is grave', () => {
  for (const [uid, ambient, does] of [
    [0, SETGID_SETUID, false],
    [1000, SETGID_SETUID, true],
    [1000, PORTS_AND_ALARMS, false],
    [1000, 0n, false],
  ] as const) {
    test(`uid ${uid} with ${ambient.toString(16)} ambient: ${does}`, () => {
      expect(bequeathsGrave(uid, { effective: ambient, ambient })).toBe(does);
    });
  }
});

describe('a file whose capabilities others would have', () => {
  for (const [uid, mode, capabilities, open] of [
    [1000, 0o755, { effective: SETGID_SETUID, ambient: 0n }, true],
    [1000, 0o750, { effective: SETGID_SETUID, ambient: 0n }, false],
    [1000, 0o755, { effective: SETGID_SETUID, ambient: SETGID_SETUID }, false],
    [1000, 0o755, { effective: PORTS_AND_ALARMS, ambient: 0n }, false],
    [0, 0o755, { effective: SETGID_SETUID, ambient: 0n }, false],
  ] as const) {
    const { effective, ambient } = capabilities;
    const sets = `${effective.toString(16)}, ambient ${ambient.toString(16)}`;
    test(`uid ${uid}, mode ${mode.toString(8)}, effective ${sets}: ${open}`, () => {
      chmodSync(executable, mode);
      expect(isOpenToOthers(uid, capabilities, executable)).toBe(open);
    });
  }
});
