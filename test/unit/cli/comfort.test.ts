/** What `wait` waits for, what `get` selects, what `events` knows from before this run. */
import { describe, expect, test } from 'bun:test';
import { eventsBefore, recentEvents } from '#agent/recent-events.ts';
import { since } from '#cli/events.ts';
import { nounOf, parseSelector, selects } from '#cli/nouns.ts';
import { holds, wantedOf, wantedText } from '#cli/wait.ts';
import type { ChannelView, StatusView } from '#control/api.ts';
import { ok } from '#errors/fault.ts';
import type { HistoryRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { StatusEvent } from '#state/status.ts';
import type { Store, StoreWriter } from '#store/store.ts';

const point = (text: string) => ({
  point: text,
  epoch: text.split('.')[0] ?? '',
  sequence: text.split('.')[1] ?? '',
  stateDigest: 'sha256:aa',
  at: 1,
});
const channel = (more: Partial<ChannelView> = {}): ChannelView => ({
  channel: 'stable',
  desired: point('1.57'),
  applied: point('1.57'),
  phase: 'idle',
  via: 'registry',
  degraded: false,
  heldByOperator: false,
  paused: false,
  freshness: 'unknown',
  waitingFor: null,
  refused: null,
  deployments: [{ id: 'plc', digest: '', health: 'healthy', code: '', message: '', restarts: 0 }],
  ...more,
});
const status = (more: Partial<ChannelView> = {}, ready = true) =>
  ({ agent: { ready }, channels: [channel(more)] }) as unknown as StatusView;
const refused = {
  ...{ code: 'apply.health-failed', message: 'plc is ill', remedy: '', attack: false },
  offered: '1.58',
};
const ill = [{ id: 'plc', digest: '', health: 'unhealthy', code: '', message: 'no', restarts: 3 }];

describe('wait', () => {
  for (const [what, view, kind, reason] of [
    ['recovered', status({}, false), 'not-yet', 'recovers'],
    ['recovered', status({ phase: 'stuck' }), 'yes', ''],
    ['applied', status(), 'yes', ''],
    ['applied=1.57', status(), 'yes', ''],
    ['applied=1.56', status(), 'yes', ''],
    ['applied=1.58', status(), 'not-yet', '1.57 is applied'],
    ['applied=2.1', status(), 'not-yet', '1.57 is applied'],
    ['applied=1.58', status({ refused }), 'never', 'apply.health-failed'],
    ['applied=1.59', status({ refused }), 'not-yet', 'plc is ill'],
    ['idle', status({ phase: 'proving' }), 'not-yet', 'stable is proving'],
    ['idle', status(), 'yes', ''],
    ['healthy', status({ deployments: ill }), 'not-yet', 'plc is unhealthy: no'],
    ['healthy', status({ degraded: true }), 'not-yet', 'degraded'],
    ['healthy', status(), 'yes', ''],
  ] as const) {
    test(`--for ${what} on ${JSON.stringify(view.channels[0]?.phase)}: ${kind} ${reason}`, () => {
      const held = holds(view, wantedOf(what));
      expect(held.kind).toBe(kind);
      expect('reason' in held ? held.reason : '').toContain(reason);
    });
  }

  test('a channel that is no longer followed, and the device’s own for a point, do not count', () => {
    const waitingFor = { code: 'agent.orphaned', message: '', remedy: '' };
    const left = channel({
      channel: 'old',
      phase: 'idle',
      degraded: true,
      applied: null,
      waitingFor,
    });
    const own = channel({
      channel: 'device.press-7',
      applied: point('1.2'),
      desired: point('1.2'),
    });
    const view = { ...status(), channels: [channel(), own, left] } as StatusView;
    for (const text of ['applied=1.57', 'applied', 'idle', 'healthy'])
      expect(holds(view, wantedOf(text)).kind).toBe('yes');
  });

  test('what is waited for is read as it is written', () => {
    for (const text of ['applied', 'applied=1.57', 'recovered', 'idle', 'healthy'])
      expect(wantedText(wantedOf(text))).toBe(text);
    for (const text of ['', 'applied=57', 'applied=1.57.2', 'applied=', 'ready'])
      expect(() => wantedOf(text)).toThrow('recovered');
  });
});

describe('get', () => {
  test('takes the short and plural forms of its nouns, and NOUN/NAME', () => {
    expect(nounOf('deploy/plc')).toEqual({ noun: 'deployment', name: 'plc' });
    expect(nounOf('ev')).toEqual({ noun: 'event', name: null });
    expect(() => nounOf('pods')).toThrow('deployment');
  });

  test('a selector holds when each of its terms does', () => {
    const labels = { site: 'a', line: '3' };
    for (const [text, holds] of [
      ['site=a', true],
      ['site==a', true],
      ['site=a,line=3', true],
      ['site=a,line!=3', false],
      ['rack!=1', true],
      ['rack=1', false],
    ] as const)
      expect(selects(parseSelector(text), labels), text).toBe(holds);
    for (const text of ['', 'site', '=a', 'a=b=c']) expect(() => parseSelector(text)).toThrow();
  });
});

describe('events', () => {
  test('--since takes durations, none that are empty', () => {
    expect(since('1h30m')).toBe(5_400_000);
    for (const text of ['', '0s', 'yesterday', '-1h']) expect(() => since(text)).toThrow('1h');
  });

  const row = (more: Partial<HistoryRow>): HistoryRow => ({
    ...{ number: 1n, at: 1_000, channel: 'stable', outcome: 'applied', via: 'registry' },
    ...{ code: null, message: '', tookMs: 7 },
    point: { epoch: 1n, sequence: 3n, stateDigest: 'sha256:aa' as Digest, at: 0 },
    ...more,
  });

  test('what the history knows from before is told in order, what is still there only once', () => {
    const next = { epoch: 1n, sequence: 4n, stateDigest: 'sha256:bb' as Digest, at: 0 };
    const rows = [
      row({ at: 12_000, point: next }),
      row({ at: 9_000, point: next }),
      row({ at: 8_500 }),
      row({ at: 3_000, outcome: 'rejected', code: 'apply.health-failed', message: 'ill' }),
      row({ at: 2_000, outcome: 'undone', code: 'apply.crash-loop', message: 'cut' }),
      row({ at: 1_500, outcome: 'rolled-back' }),
    ];
    const kept = [
      { ...event('1.4 applied (registry) in 7 ms'), at: 9_001 },
      { ...event('1.4 applied (registry) in 7 ms'), at: 12_001 },
    ];
    expect(eventsBefore(rows, kept).map(({ code, message }) => `${code}: ${message}`)).toEqual([
      'state.rolled-back: an operator went back to 1.3; held there',
      'apply.crash-loop: cut',
      'state.undone: 1.3 undone (apply.crash-loop)',
      'apply.health-failed: ill',
      'state.rejected: 1.3 rejected (apply.health-failed): not tried again',
      'state.applied: 1.3 applied (registry) in 7 ms',
    ]);
    expect(eventsBefore(rows, [])).toHaveLength(8);
  });

  /** An outbox in memory whose events are acknowledged at will. */
  function outbox() {
    let queued: StatusEvent[] = [];
    let last = 0n;
    const tx = {
      addEvent(event: Omit<StatusEvent, 'number'>) {
        last += 1n;
        queued.push({ ...event, number: last });
      },
    } as StoreWriter;
    const store = {
      outboxEvents: () => ok([...queued]),
      transaction: <T>(work: (tx: StoreWriter) => T) => ok(work(tx)),
    } as unknown as Store;
    return {
      store,
      acknowledge() {
        queued = [];
      },
    };
  }
  const event = (message: string) => ({
    ...{ at: 5, code: 'state.applied', channel: 'stable', deployment: '', message },
  });

  test('an event that a broker acknowledged is still told, and memory stays bounded', () => {
    const { store, acknowledge } = outbox();
    store.transaction((tx) => tx.addEvent(event('from an earlier run')));
    const recent = recentEvents(store);
    recent.store.transaction((tx) => tx.addEvent(event('now')));
    acknowledge();
    recent.store.transaction((tx) => tx.addEvent(event('later')));
    expect(recent.list().map(({ message }) => message)).toEqual([
      'from an earlier run',
      'now',
      'later',
    ]);
    for (let count = 0; count < 1_000; count += 1) {
      recent.store.transaction((tx) => tx.addEvent(event(`${count}`)));
      acknowledge();
    }
    expect(recent.list()).toHaveLength(256);
    expect(recent.list().at(-1)?.message).toBe('999');
  });
});
