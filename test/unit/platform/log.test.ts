/** Log lines: one per event, whatever is in the fields. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogLevel } from '#platform/log.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemLog } from '#platform/node/log.ts';

const clock = { ...systemClock(), wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) };
let folder = '';
let fd = -1;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-log-'));
  fd = openSync(join(folder, 'log'), 'w');
});
afterEach(() => {
  closeSync(fd);
  rmSync(folder, { recursive: true });
});

const written = (): string => readFileSync(join(folder, 'log'), 'utf8');
const logAs = (format: 'json' | 'human', level: LogLevel = 'info') =>
  systemLog({ level, format, clock, fd });

describe('the log', () => {
  test('JSON lines carry time, level, event and fields', () => {
    logAs('json').write('warn', 'link.down', { tries: 3, size: 2n ** 60n, up: false, why: null });
    expect(JSON.parse(written())).toEqual({
      time: '2026-01-02T03:04:05.006Z',
      level: 'warn',
      event: 'link.down',
      tries: 3,
      size: '1152921504606846976',
      up: false,
      why: null,
    });
  });

  test('a field cannot replace time, level or event', () => {
    logAs('json').write('info', 'real', { event: 'forged', level: 'error' });
    expect(JSON.parse(written())).toMatchObject({ event: 'real', level: 'info' });
  });

  test('what is below the level is left out', () => {
    const log = logAs('json', 'warn');
    log.write('debug', 'a');
    log.write('info', 'b');
    log.write('error', 'c');
    expect(JSON.parse(written()).event).toBe('c');
  });

  test('at level debug every line says how far the monotonic clock was', () => {
    const log = logAs('json', 'debug');
    log.write('info', 'a');
    log.write('debug', 'b');
    const [a, b] = written()
      .trim()
      .split('\n')
      .map((line) => Number(JSON.parse(line).mono));
    expect(a).toBeGreaterThan(0);
    expect(b).toBeGreaterThan(a ?? 0);
  });

  test('a value can neither start a line of its own nor move the cursor', () => {
    const hostile = 'x\n2026 ERROR forged \u001b[2J \u009b1m \u202e';
    logAs('human').write('info', 'event', { text: hostile, word: 'plain/path:1' });
    expect(written().match(/\n/g)?.length).toBe(1);
    expect(written()).toMatch(/^[\x20-\x7e]+\n$/);
    expect(written()).toContain('word=plain/path:1');
  });

  test('a long value is cut', () => {
    logAs('json').write('info', 'event', { text: 'x'.repeat(100_000) });
    expect(written().length).toBeLessThan(3_000);
  });

  test('a descriptor that takes nothing loses the line and throws nothing', () => {
    const log = systemLog({ level: 'info', format: 'json', clock, fd: 9_999 });
    expect(() => log.write('info', 'event')).not.toThrow();
  });
});
