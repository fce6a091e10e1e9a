/** What `explain` and `doctor` know beside the verdict: mounts, the clock, the last start, the broker. */
import { afterAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { judgeClock } from '#agent/clock-check.ts';
import { alsoWrong } from '#agent/explain-also.ts';
import { forgetStartFailure, noteStartFailure, readStartFailure } from '#agent/start-failure.ts';
import { FAULTS, fault } from '#errors/fault.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import type { ChannelStatus } from '#state/status.ts';
import { viewTime } from '#trust/time.ts';
import { scratch } from '../../support/store.ts';

describe('the clock against the Date of a registry', () => {
  const now = Date.UTC(2026, 10, 23, 12);
  test('minutes are no finding; days are, with the way', () => {
    expect(judgeClock(now + 240_000, now, 'https://r')).toEqual([]);
    const [ahead] = judgeClock(now + 3 * 86_400_000, now, 'https://r');
    expect(ahead?.message).toContain('3d ahead of what https://r says');
    const [behind] = judgeClock(now - 3_600_000, now, 'https://r');
    expect(behind?.message).toContain('1h behind what https://r says');
    expect(behind?.remedy).toContain('Set the clock');
  });
});

describe('why the last start failed', () => {
  const { files } = bunPlatform({ logLevel: 'error', logFormat: 'json' });
  const folder = scratch('start-failure');
  afterAll(() => folder.remove());
  const run = join(folder.path, 'run');

  test('is kept until a start succeeds, with the remedy of this program', () => {
    expect(readStartFailure(files, run)).toBeNull();
    const why = fault('platform.listen', { address: '127.0.0.1:1', reason: 'in use' });
    noteStartFailure(files, run, 7, why);
    expect(readStartFailure(files, run)).toMatchObject({
      at: 7,
      code: 'platform.listen',
      message: 'cannot listen at 127.0.0.1:1: in use',
      remedy: why.remedy,
    });
    forgetStartFailure(files, run);
    expect(readStartFailure(files, run)).toBeNull();
  });

  test('what is torn or unknown is nothing', () => {
    noteStartFailure(files, run, 7, fault('trust.demo-root', {}));
    for (const text of ['', '{', 'null', '[]', '{"at":1,"code":"no.such","message":"x"}']) {
      writeFileSync(join(run, 'start-failed'), text);
      expect(readStartFailure(files, run)).toBeNull();
    }
  });
});

describe('what is wrong besides', () => {
  const now = Date.UTC(2026, 10, 23);
  const well = {
    mqtt: null,
    time: viewTime({ floorMs: now, wallMs: now }),
    channels: [],
    events: [],
  };
  test('nothing, when nothing is', () => {
    expect(alsoWrong(well)).toEqual([]);
    const up = { kind: 'up', lastFault: fault('link.down', { peer: 'b' }) };
    expect(alsoWrong({ ...well, mqtt: up })).toEqual([]);
  });

  test('values of this device that were refused, and not what the verdict is about', () => {
    const refused = {
      code: 'values.unopened',
      message: 'pin',
      offered: null,
      via: null,
      attack: false,
    };
    const channel = (name: string): ChannelStatus => ({
      ...{ channel: name, desired: null, applied: null, phase: 'idle', via: null, degraded: false },
      ...{ deployments: [], heldByOperator: false, freshness: 'unknown', waitingFor: '', refused },
    });
    const channels = [channel('stable'), channel('device.press-7')];
    expect(alsoWrong({ ...well, channels })).toEqual([
      {
        verdict: 'device.press-7: refused values.unopened: pin',
        cure: FAULTS['values.unopened'].remedy,
      },
    ]);
  });

  test('a broker that is away, an impossible clock, a second device of this name: each with a cure', () => {
    const told = alsoWrong({
      ...well,
      mqtt: { kind: 'down', lastFault: fault('link.down', { peer: 'broker' }) },
      time: viewTime({ floorMs: now, wallMs: 0 }),
      events: [
        {
          ...{ number: 1n, at: now, channel: '', deployment: '' },
          ...{ code: 'identity.cloned', message: 'another client' },
        },
      ],
    });
    expect(told.map(({ verdict }) => verdict)).toEqual([
      expect.stringContaining('mqtt is down: link.down'),
      expect.stringContaining('wall clock is implausible'),
      expect.stringContaining('identity.cloned: another client'),
    ]);
    for (const { cure } of told) expect(cure.length).toBeGreaterThan(15);
  });
});
