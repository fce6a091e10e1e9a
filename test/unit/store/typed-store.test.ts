/** store/typed-store.ts over an engine in memory: transactions, bounds, a full disk. */
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '#state/limits.ts';
import type { Reserve } from '#store/reserve.ts';
import { typedStore } from '#store/typed-store.ts';
import { memoryEngine } from '../../support/memory-engine.ts';
import {
  channelRow,
  codeOf,
  dumpStore,
  FLEET,
  fillStore,
  generation,
  point,
  value,
} from '../../support/store.ts';

function fixture(reserved = 0) {
  const engine = memoryEngine();
  let left = reserved;
  let released = 0;
  const space = { free: Number.POSITIVE_INFINITY };
  const reserve: Reserve = {
    hasRoom: (bytes) => space.free >= bytes,
    ensure: () => undefined,
    free() {
      if (left > 0) space.free += 256 * 1024;
      left -= 1;
      return left >= 0;
    },
  };
  const store = typedStore(engine, reserve, () => {
    released += 1;
  });
  return { engine, store, space, released: () => released };
}

const EVENT = { at: 1, code: 'a.b', channel: 'c', deployment: '', message: 'm' };
const LINE = {
  at: 1,
  channel: 'c',
  outcome: 'applied',
  point: null,
  via: null,
  code: null,
  message: '',
  tookMs: 1,
} as const;

describe('a transaction is all or nothing', () => {
  test('what it wrote is read back, in it and after it', () => {
    const { store } = fixture();
    const row = channelRow(5);
    value(
      store.transaction((tx) => {
        tx.putChannel(row);
        expect(value(tx.channel(FLEET, 'stable'))).toEqual(row);
        expect(value(tx.channels())).toEqual([row]);
        tx.removeChannel(FLEET, 'stable');
        expect(value(tx.channels())).toEqual([]);
        tx.putChannel(row);
      }),
    );
    expect(value(store.channel(FLEET, 'stable'))).toEqual(row);
    expect(store.transactionId()).toBe(1);
  });

  test('work that throws leaves nothing behind, and its error passes', () => {
    const { store, engine } = fixture();
    const work = () =>
      store.transaction((tx) => {
        tx.putChannel(channelRow(5));
        throw new RangeError('broken');
      });
    expect(work).toThrow('broken');
    expect(engine.rows.size).toBe(0);
  });

  test('work that writes what is there already is no commit', () => {
    const { store } = fixture();
    fillStore(store);
    const before = store.transactionId();
    value(store.transaction((tx) => tx.putChannel(value(tx.channels())[0] ?? channelRow(1))));
    value(store.transaction((tx) => tx.removeChannel(FLEET, 'never-there')));
    value(store.transaction(() => undefined));
    expect(store.transactionId()).toBe(before);
  });

  test('a damaged row that is read in it ends it without a commit', () => {
    const { store, engine } = fixture();
    fillStore(store);
    const span = engine.rows.get('event-span');
    if (span) span[20] = (span[20] ?? 0) ^ 1;
    const before = store.transactionId();
    const result = store.transaction((tx) => {
      tx.putChannel(channelRow(50));
      tx.addEvent(EVENT);
    });
    expect(codeOf(result)).toBe('store.checksum');
    expect(store.transactionId()).toBe(before);
  });
});

describe('B09: a full disk', () => {
  test('one commit goes through with the reserve freed', () => {
    const { store, engine } = fixture(1);
    engine.failures.push('store.no-space');
    value(store.transaction((tx) => tx.putChannel(channelRow(5))));
    expect(value(store.channel(FLEET, 'stable'))?.floor).toEqual(point(5));
  });

  test('without a reserve it is store.no-space, nothing changed, and works again later', () => {
    const { store, engine } = fixture(0);
    fillStore(store);
    const before = dumpStore(store);
    engine.failures.push('store.no-space');
    const full = store.transaction((tx) => tx.putChannel(channelRow(5)));
    expect(codeOf(full)).toBe('store.no-space');
    expect(dumpStore(store)).toBe(before);
    value(store.transaction((tx) => tx.putChannel(channelRow(5))));
  });

  test('the commit is not begun where it would not fit', () => {
    const { store, space } = fixture(1);
    space.free = 1_000;
    value(store.transaction((tx) => tx.putChannel(channelRow(5))));
    space.free = 1_000;
    const before = store.transactionId();
    expect(codeOf(store.transaction((tx) => tx.putChannel(channelRow(6))))).toBe('store.no-space');
    expect(store.transactionId()).toBe(before);
  });

  test('still full with the reserve freed: store.no-space', () => {
    const { store, engine } = fixture(1);
    engine.failures.push('store.no-space', 'store.no-space');
    expect(codeOf(store.transaction((tx) => tx.putChannel(channelRow(5))))).toBe('store.no-space');
  });

  test('B15: EIO is store.io and the reserve stays', () => {
    const { store, engine } = fixture(1);
    engine.failures.push('store.io');
    expect(codeOf(store.transaction((tx) => tx.putChannel(channelRow(5))))).toBe('store.io');
    engine.failures.push('store.no-space');
    value(store.transaction((tx) => tx.putChannel(channelRow(5))));
  });
});

describe('rows of one fleet and channel are not read by another', () => {
  test('channels, states, rejections', () => {
    const { store } = fixture();
    fillStore(store);
    const other = 'ff'.repeat(16);
    expect(value(store.channel(other, 'channel-1'))).toBeNull();
    expect(value(store.states(other, 'channel-1'))).toEqual([]);
    expect(value(store.rejected(FLEET, 'channel'))).toEqual([]);
    expect(value(store.states(FLEET, 'channel-1'))).toHaveLength(1);
    expect(value(store.state(FLEET, 'channel-1', point(1).stateDigest))?.generations).toEqual([
      generation('d1'),
    ]);
    value(store.transaction((tx) => tx.removeState(FLEET, 'channel-1', point(1).stateDigest)));
    value(store.transaction((tx) => tx.removeRejected(FLEET, 'channel-1', point(1).stateDigest)));
    expect(value(store.states(FLEET, 'channel-1'))).toEqual([]);
    expect(value(store.rejected(FLEET, 'channel-1'))).toEqual([]);
    expect(value(store.states(FLEET, 'channel-2'))).toHaveLength(1);
  });

  test('a name that would break out of its place in the key stops the program', () => {
    const { store } = fixture();
    for (const channel of ['a/b', '', 'a\0b', 'x'.repeat(200)]) {
      expect(() => store.channel(FLEET, channel)).toThrow();
    }
  });
});

describe('numbered rows are bounded', () => {
  test('history keeps the newest and numbers go on', () => {
    const { store } = fixture();
    for (let number = 0; number < LIMITS.historyMax + 10; number += 1) {
      value(store.transaction((tx) => tx.addHistory({ ...LINE, at: number })));
    }
    const rows = value(store.history(10_000));
    expect(rows).toHaveLength(LIMITS.historyMax);
    expect(rows[0]?.number).toBe(BigInt(LIMITS.historyMax + 10));
    expect(value(store.history(2)).map(({ at }) => at)).toEqual([
      LIMITS.historyMax + 9,
      LIMITS.historyMax + 8,
    ]);
  });

  test('events drop the oldest, count them, and are removed up to a number', () => {
    const { store, engine } = fixture();
    value(
      store.transaction((tx) => {
        for (let number = 0; number < LIMITS.eventsMax + 4; number += 1) tx.addEvent(EVENT);
      }),
    );
    expect(value(store.outboxStatus())).toMatchObject({
      eventsDropped: 4n,
      lastEvent: BigInt(LIMITS.eventsMax + 4),
    });
    expect(value(store.outboxEvents())[0]?.number).toBe(5n);
    value(store.transaction((tx) => tx.removeEvents(10n)));
    expect(value(store.outboxEvents())[0]?.number).toBe(11n);
    value(store.transaction((tx) => tx.removeEvents(2n ** 64n - 1n)));
    expect(value(store.outboxEvents())).toEqual([]);
    value(store.transaction((tx) => tx.addEvent(EVENT)));
    expect(value(store.outboxEvents())[0]?.number).toBe(BigInt(LIMITS.eventsMax + 5));
    expect([...engine.rows.keys()].filter((key) => key.startsWith('event/'))).toHaveLength(1);
  });

  test('a status written back with an old event number does not reuse numbers', () => {
    const { store } = fixture();
    const status = { boot: 1n, report: 1n, previousReport: null, eventsDropped: 0n, lastEvent: 0n };
    value(store.transaction((tx) => tx.addEvent(EVENT)));
    value(store.transaction((tx) => tx.putOutboxStatus(status)));
    value(store.transaction((tx) => tx.addEvent(EVENT)));
    expect(value(store.outboxStatus())?.lastEvent).toBe(2n);
  });
});

test('a row that a newer version wrote is left out of lists, not lost', () => {
  const { store, engine } = fixture();
  fillStore(store);
  const { store: newer, engine: other } = fixture();
  value(newer.transaction((tx) => tx.addHistory({ ...LINE, outcome: 'teleported' as 'applied' })));
  const row = other.rows.get('history/00000000000000000001');
  if (row) engine.rows.set('history/00000000000000000001', row);
  expect(value(store.history(100))).toHaveLength(4);
  expect(engine.rows.has('history/00000000000000000001')).toBe(true);
});

test('close releases the lock once the engine is closed', () => {
  const { store, released } = fixture();
  store.close();
  expect(released()).toBe(1);
});
