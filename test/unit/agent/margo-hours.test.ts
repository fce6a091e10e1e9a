/** When a Margo manager is asked and told, and how often: the owner's word. */
import { describe, expect, test } from 'bun:test';
import { parseConfig } from '#agent/config.ts';
import { downForMs, lookingOf, type MargoHours, quietNow } from '#agent/margo-hours.ts';
import type { Window } from '#state/policy.ts';
import type { TimeView } from '#trust/time.ts';
import { bytesOf, granted, messageOf } from '../../support/wire-samples.ts';

const HOUR = 3_600_000;
/** 1970-01-05, a Monday */
const MONDAY = 4 * 24 * HOUR;
const at = (hour: number, more: Partial<TimeView> = {}): TimeView => {
  const estimateMs = MONDAY + hour * HOUR;
  return { floorMs: 0, estimateMs, grade: 'estimated', wallPlausible: true, ...more };
};
const window = (start: string, hours: number, weekdays: readonly number[] = []): Window => ({
  ...{ weekdays, start, durationMs: hours * HOUR, timeZone: 'UTC' },
});
const poll = { hours: [], intervalMs: null, jitter: null, backoffMaxMs: null, perMinute: null };
const hours = (of: Partial<MargoHours>): MargoHours => ({ windows: [], downtime: [], poll, ...of });

const AGENT = `apiVersion: holdfast/v1
kind: Agent
trust: { root: root.json }
channels: [{ name: margo }, { name: stable }]
schedule: { interval: 7m }
margo:
  url: https://wfm.example
  authority: tls
  identity: { cert: svid.pem, key: svid.key, trustBundle: bundle.json }
`;
const read = (more: string) => parseConfig(bytesOf(AGENT + more), '/etc/holdfast/agent.yaml');

describe('rule 69: downtime', () => {
  const night = hours({ downtime: [window('22:00', 4)] });

  test('margo.quiet: nobody is asked, nothing is told, until it ends', () => {
    expect(quietNow(night, at(21), 'schedule')).toBeNull();
    const why = quietNow(night, at(23), 'schedule');
    expect(why?.code).toBe('margo.quiet');
    expect(why?.message).toContain('1970-01-06T02:00:00');
    expect(why?.message).toContain('margo.downtime');
    expect(downForMs(night, at(21))).toBe(0);
    expect(downForMs(night, at(26 - 1 / 60))).toBe(60_000);
  });

  test('a person who asks is served', () => {
    expect(quietNow(night, at(23), 'command')).toBeNull();
    expect(quietNow(night, at(23), 'nudge')).not.toBeNull();
  });

  test('a clock that is not to be believed silences nobody', () => {
    const lost = { wallPlausible: false };
    expect(quietNow(night, at(23, lost), 'schedule')).toBeNull();
    expect(downForMs(night, at(23, lost))).toBe(0);
    expect(quietNow(night, at(23, { ...lost, grade: 'attested' }), 'schedule')).not.toBeNull();
  });
});

describe('rule 69: polling', () => {
  test('only in its hours, which are not those of reports', () => {
    const office = hours({ poll: { ...poll, hours: [window('08:00', 8, [1])] } });
    expect(quietNow(office, at(9), 'schedule')).toBeNull();
    const why = quietNow(office, at(17), 'schedule');
    expect(why?.message).toContain('1970-01-12T08:00:00');
    expect(why?.message).toContain('margo.poll.hours');
    expect(downForMs(office, at(17))).toBe(0);
  });

  test('period and rate are its own, and those of the device where it names none', () => {
    const own = granted(read('  poll: { interval: 1h, jitter: 0, perMinute: 2 }\n'));
    expect(lookingOf(own, 'margo')).toEqual({
      ...{ intervalMs: HOUR, jitter: 0, backoffMaxMs: HOUR, perMinute: 2 },
    });
    expect(lookingOf(own, 'stable')).toMatchObject({ intervalMs: 7 * 60_000, perMinute: 6 });
    expect(lookingOf(granted(read('')), 'margo')).toMatchObject({ intervalMs: 7 * 60_000 });
  });

  test('what is no window is refused with its place', () => {
    for (const [text, place] of [
      ['  downtime: [{ start: "25:00", duration: 1h, timeZone: UTC }]\n', 'a time such as'],
      ['  windows: [{ start: "02:00", duration: 1h, timeZone: Moon/Base }]\n', 'an IANA time zone'],
      ['  poll: { hours: [{ start: "02:00", duration: 1s, timeZone: UTC }] }\n', 'at least 1m'],
      ['  poll: { rate: 3 }\n', 'rate'],
    ] as const) {
      expect(messageOf(read(text))).toContain(place);
      expect(messageOf(read(text))).toMatch(/agent\.yaml:1\d:/);
    }
  });
});
