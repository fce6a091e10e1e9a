/** What doctor says of the time: who may tell it, by which way, and what is asked of it. */
import { expect, test } from 'bun:test';
import { judgeTimeWays, knownTime } from '#agent/doctor-time.ts';
import type { Finding } from '#agent/finding.ts';
import { root, rootWithTime } from '../trust/world.ts';

const config = (unattestedMaxMs: number, url: string | null) => ({
  trust: { root: '/r', clock: 'lenient' as const, allowDemo: false, unattestedMaxMs },
  time: {
    authority: url === null ? null : { url, tls: null, proxy: null, insecure: false },
    intervalMs: 1,
  },
  mqtt: null,
});
const said = (findings: readonly Finding[]) =>
  findings.map(({ severity, message }) => `${severity}: ${message}`).join();

test('a root without the role is a note, and a warning where states wait for it', () => {
  expect(said(judgeTimeWays(config(0, null), root()))).toStartWith('note: the root names no role');
  const waits = said(judgeTimeWays(config(86_400_000, null), root()));
  expect(waits).toStartWith('warning: the root names no role');
  expect(waits).toContain('older than 1d wait');
});

test('a device that can ask nobody is told, one with an authority is well', () => {
  expect(said(judgeTimeWays(config(0, null), rootWithTime()))).toStartWith('note: no way to ask');
  expect(said(judgeTimeWays(config(1_000, null), rootWithTime()))).toStartWith('warning: no way');
  expect(judgeTimeWays(config(1_000, 'https://time.example/'), rootWithTime())).toEqual([]);
});

test('what the agent knows, and since when', () => {
  const known = knownTime({ timeGrade: 'attested', attestedAgoMs: 7_250_400 });
  expect(known.message).toBe('the agent goes by attested time, attested 2h50s ago');
  const unknown = knownTime({ timeGrade: 'estimated', attestedAgoMs: null });
  expect(unknown.message).toBe('the agent goes by estimated time');
});
