/** Freeze: what a time authority names against what the sources show. It tells, and stops nothing. */
import { beforeEach, describe, expect, test } from 'bun:test';
import type { CycleEnd } from '#agent/cycle.ts';
import { type Alarm, FREEZE_LASTS_MS, type HeadsWatch, headsWatch } from '#agent/heads-watch.ts';
import { fault } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';
import type { Point } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import type { TimeStatement } from '#state/time-statement.ts';
import { type ManualClock, manualClock } from '../../support/manual-clock.ts';
import { DAY, FLEET, NOW } from '../trust/world.ts';

const digest = (text: string) => sha256(Buffer.from(text));
const point = (sequence: bigint, text = `${sequence}`, epoch = 1n): Point => ({
  ...{ epoch, sequence, digest: digest(text) },
});
const accepted = ({ epoch, sequence, digest: stateDigest }: Point): StatusPoint => ({
  ...{ epoch, sequence, stateDigest, at: 0 },
});
const unchanged: CycleEnd = { kind: 'unchanged', source: 'mirror' };
const unreachable: CycleEnd = { kind: 'unreachable', fault: fault('link.down', { peer: 'x' }) };

let clock: ManualClock;
let floor: StatusPoint | null;
let shown: Point | null;
let wakes: number;
let told: string[];
let watch: HeadsWatch;

beforeEach(() => {
  clock = manualClock(NOW);
  [floor, shown, wakes, told] = [accepted(point(57n)), null, 0, []];
  watch = headsWatch({
    ...{ clock, channel: 'stable', floor: () => floor, shown: () => shown },
    wake: () => {
      wakes += 1;
    },
    tell: (alarm) => void told.push(text(alarm)),
    changed: () => void told.push('changed'),
  });
});

const text = ({ fault: why, attack }: Alarm) => `${why.code}${attack ? ' attack' : ''}`;
const statement = (head: Point, at = NOW): TimeStatement => ({
  ...{ fleet: FLEET, at, nonce: new Uint8Array(), deviceId: '', rootVersion: 1n },
  ...{ heads: [{ channel: 'stable', ...head }], notAfter: 0, critical: [] },
});
const alarm = () => {
  const now = watch.alarm();
  return now && text(now);
};

describe('freeze: a head that no source shows', () => {
  test('wakes a look at once, is told as lag by the first that finds nothing, and as an attack after an hour', async () => {
    watch.saw(statement(point(58n)), false);
    expect([wakes, alarm()]).toEqual([1, null]);
    watch.looked(unchanged);
    expect(alarm()).toBe('trust.freeze');
    await clock.advance(FREEZE_LASTS_MS);
    expect(wakes).toBe(2);
    watch.looked(unchanged);
    expect(alarm()).toBe('trust.freeze attack');
    watch.looked(unchanged);
    expect(told).toEqual(['trust.freeze', 'trust.freeze attack']);
    floor = accepted(point(58n));
    watch.looked(unchanged);
    expect([alarm(), told.at(-1)]).toEqual([null, 'changed']);
  });

  test('is nobody’s doing while no source can be reached', async () => {
    watch.saw(statement(point(58n)), false);
    await clock.advance(5 * FREEZE_LASTS_MS);
    watch.looked(unreachable);
    expect(alarm()).toBeNull();
  });

  test('is none when a source has shown it, whatever became of it', () => {
    shown = point(58n);
    watch.saw(statement(point(58n)), false);
    watch.looked(unchanged);
    expect([wakes, alarm()]).toEqual([0, null]);
  });

  test('counts its hour from the head that is missing, while a channel goes on', async () => {
    watch.saw(statement(point(58n)), false);
    watch.looked(unchanged);
    await clock.advance(FREEZE_LASTS_MS - 1);
    watch.saw(statement(point(59n), NOW + 1), false);
    floor = accepted(point(58n));
    await clock.advance(1);
    watch.looked(unchanged);
    expect(alarm()).toBe('trust.freeze');
    await clock.advance(FREEZE_LASTS_MS);
    watch.looked(unchanged);
    expect(alarm()).toBe('trust.freeze attack');
  });

  test('of another channel, or older than another, says nothing', () => {
    const other = statement(point(99n));
    watch.saw({ ...other, heads: [{ channel: 'canary', ...point(99n) }] }, true);
    watch.saw(statement(point(57n), NOW), false);
    watch.saw(statement(point(60n), NOW - DAY), false);
    expect([wakes, alarm(), watch.proven()]).toEqual([0, null, null]);
  });

  test('before anything was accepted is the first look', () => {
    floor = null;
    watch.saw(statement(point(1n)), false);
    expect(wakes).toBe(1);
  });

  test('costs four events an hour at most', async () => {
    for (let sequence = 60n; sequence < 80n; sequence += 1n) {
      watch.saw(statement(point(sequence), NOW + Number(sequence)), false);
      watch.looked(unchanged);
      floor = accepted(point(sequence));
    }
    expect(told.filter((what) => what !== 'changed')).toHaveLength(4);
  });
});

describe('R16: a head with the number of what was accepted', () => {
  test('and its digest is the proof that it is the newest', () => {
    watch.saw(statement(point(57n)), true);
    expect([alarm(), watch.proven()?.digest]).toEqual([null, digest('57')]);
    watch.forget();
    expect(watch.proven()).toBeNull();
  });

  test('and another digest is an alarm, until a higher one is accepted', () => {
    watch.saw(statement(point(57n, 'other')), false);
    expect([alarm(), told]).toEqual(['trust.equivocation attack', ['trust.equivocation attack']]);
    floor = accepted(point(58n));
    watch.looked(unchanged);
    expect(alarm()).toBeNull();
  });
});
