/** wire/records.ts: rows of the store survive the way to bytes and back. */
import { describe, expect, test } from 'bun:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { sha256 } from '#state/digest.ts';
import type { StatusPoint } from '#state/status.ts';
import { ChannelRowSchema, FormatRowSchema, HistoryRowSchema } from '#wire/generated/store_pb.ts';
import {
  channelRecord,
  deviceRecord,
  eventRecord,
  formatRecord,
  historyRecord,
  outboxRecord,
  type RecordKind,
  recordKind,
  rejectedMarkRecord,
  rejectedRecord,
  spanRecord,
  statementRecord,
  stateRecord,
} from '#wire/records.ts';
import { channelRow, codeOf, FLEET, generation, point, value } from '../../support/store.ts';

function survives<T>(kind: RecordKind<T>, row: NoInfer<T>): void {
  expect<unknown>(value(kind.read(kind.write(row), 'k'))).toEqual(row);
}

const points: fc.Arbitrary<StatusPoint> = fc.record({
  epoch: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  sequence: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  stateDigest: fc.uint8Array({ maxLength: 8 }).map((bytes) => sha256(bytes)),
  at: fc.maxSafeNat(),
});

describe('rows survive the way to bytes and back', () => {
  test('channel rows with everything set, and with nothing set', () => {
    survives(channelRecord, channelRow(9));
    survives(channelRecord, {
      fleet: FLEET,
      channel: 'margo',
      floor: null,
      intent: null,
      applied: null,
      appliedVia: null,
      appliedFreshness: 'unknown',
      previous: [],
      hold: null,
      degraded: null,
    });
  });

  test('what waits for its time, and what has to be reached again', () => {
    const { intent, ...row } = channelRow(9);
    if (!intent) throw new Error('the row has an intent');
    const times = { spreadMs: 3_600_000, leftMs: 5, dueMs: 7 };
    const deferred = { to: point(2), via: 'mqtt', bootId: 'b-1', ...times } as const;
    survives(channelRecord, { ...row, intent: null, deferred });
    const reach = ['registry', 'broker'];
    survives(channelRecord, { ...row, intent: { ...intent, reach, restarting: true, stops: 2 } });
    const { stateDigest } = point(3);
    survives(channelRecord, {
      ...row,
      intent: null,
      tried: { stateDigest, tries: 2, attemptsMax: 3 },
    });
  });

  test('points up to 2^64 - 1 are exact', () => {
    fc.assert(
      fc.property(points, fc.array(points, { maxLength: 4 }), (floor, previous) => {
        survives(channelRecord, { ...channelRow(1), floor, previous });
      }),
      { numRuns: 50 },
    );
  });

  test('every intent phase, via, freshness', () => {
    const intent = channelRow(1).intent;
    if (!intent) throw new Error('the row has an intent');
    for (const phase of ['activating', 'proving', 'undoing', 'stuck'] as const) {
      for (const via of ['registry', 'mqtt', 'bundle', 'margo'] as const) {
        for (const freshness of ['unknown', 'estimated', 'attested'] as const) {
          const row = { ...channelRow(9), intent: { ...intent, phase, via, freshness } };
          survives(channelRecord, row);
        }
      }
    }
  });

  test('the other rows', () => {
    survives(formatRecord, 1);
    survives(deviceRecord, {
      boot: 2n ** 63n,
      machine: 'ü',
      crashes: 3,
      paused: { at: 4, reason: 'work' },
      timeFloorMs: Number.MAX_SAFE_INTEGER,
    });
    survives(stateRecord, { stateDigest: point(1).stateDigest, generations: [generation('a')] });
    // In force in part: a document that stands in another statement, and what is not as wanted.
    const { stateDigest, stateDigest: digest } = point(2);
    const failure = { code: 'apply.health-failed', message: 'ill' } as const;
    const part = { id: 'b', digest, documentDigest: digest, tries: 2, ended: true, failure };
    const gone = { ...part, id: 'c', digest: null, documentDigest: null, failure: null };
    survives(stateRecord, {
      stateDigest,
      generations: [{ ...generation('a'), statement: point(1).stateDigest }],
      open: { whole: point(1), parts: [part, gone] },
    });
    survives(stateRecord, { stateDigest, generations: [], open: { whole: null, parts: [] } });
    survives(channelRecord, { ...channelRow(9), partly: { whole: point(1) } });
    survives(channelRecord, { ...channelRow(9), partly: { whole: null } });
    const { stateDigest: statement } = point(2);
    const secrets = [{ parameter: 'p', statement, name: 'pin', tag: 'ab' }];
    survives(stateRecord, {
      stateDigest: point(1).stateDigest,
      generations: [{ ...generation('a'), secrets }],
      replaced: [generation('a')],
    });
    const rejected = {
      point: point(3),
      code: 'store.io',
      message: 'm',
      deployment: 'd',
    } as const;
    survives(rejectedRecord, rejected);
    survives(rejectedMarkRecord, { fleet: FLEET, channel: 'stable', row: rejected });
    survives(spanRecord, { first: 3n, last: 2n });
    survives(outboxRecord, {
      boot: 1n,
      report: 2n,
      previousReport: null,
      eventsDropped: 4n,
      lastEvent: 5n,
    });
    survives(eventRecord, {
      number: 1n,
      at: 2,
      code: 'a.b',
      channel: 'c',
      deployment: 'd',
      message: 'm',
    });
    for (const outcome of ['applied', 'rejected', 'undone', 'rolled-back', 'refused'] as const) {
      survives(historyRecord, {
        number: 1n,
        at: 2,
        channel: 'c',
        outcome,
        point: null,
        via: null,
        code: 'store.io',
        message: 'm',
        tookMs: 3,
      });
    }
  });

  test('a statement with and without documents', () => {
    const envelope = {
      payloadType: 't',
      payload: Uint8Array.of(1, 2),
      signatures: [{ keyid: 'k', sig: Uint8Array.of(3) }],
    };
    for (const documents of [null, new Uint8Array(), Uint8Array.of(9)]) {
      const read = value(
        statementRecord.read(statementRecord.write({ envelope, documents, via: 'mqtt' }), 'k'),
      );
      expect(read.documents && Buffer.from(read.documents)).toEqual(
        documents && Buffer.from(documents),
      );
      expect(Buffer.from(read.envelope.payload)).toEqual(Buffer.from(envelope.payload));
    }
  });
});

describe('what another version wrote', () => {
  test('an unknown code keeps its message', () => {
    const bytes = toBinary(
      HistoryRowSchema,
      create(HistoryRowSchema, {
        number: 1n,
        outcome: 'refused',
        code: 'future.code',
        message: 'm',
      }),
    );
    const row = value(historyRecord.read(bytes, 'k'));
    expect(row).toMatchObject({ code: 'store.unknown-code', message: 'm' });
  });

  test('an unknown outcome is store.record, not a guess', () => {
    const bytes = toBinary(HistoryRowSchema, create(HistoryRowSchema, { outcome: 'teleported' }));
    expect(codeOf(historyRecord.read(bytes, 'k'))).toBe('store.record');
  });

  for (const [name, change] of [
    ['a digest of 31 bytes', { floor: { stateDigest: new Uint8Array(31) } }],
    ['a time below zero', { floor: { stateDigest: new Uint8Array(32), at: -1n } }],
    ['an unknown freshness', { appliedFreshness: 9 }],
    ['no freshness', {}],
  ] as const) {
    test(`a channel row with ${name} is store.record`, () => {
      const bytes = toBinary(ChannelRowSchema, create(ChannelRowSchema, change as never));
      expect(codeOf(channelRecord.read(bytes, 'k'))).toBe('store.record');
    });
  }

  test('bytes that are no protobuf are store.record', () => {
    expect(codeOf(channelRecord.read(Uint8Array.of(0xff, 0xff), 'k'))).toBe('store.record');
  });
});

describe('a row that cannot be read', () => {
  const kind = (fromWire: () => number) =>
    recordKind(FormatRowSchema, () => create(FormatRowSchema), fromWire);

  test('is store.record where its bytes are no such message', () => {
    for (const bytes of [[0xff], [0x0a, 5, 1], [0x08]]) {
      const read = formatRecord.read(Uint8Array.from(bytes), 'format');
      expect(codeOf(read)).toBe('store.record');
    }
  });

  test('is not what a mistake of this program is called: that stops it', () => {
    const mistaken = kind(() => {
      throw new TypeError('undefined is not an object');
    });
    expect(() => mistaken.read(new Uint8Array(), 'k')).toThrow(TypeError);
  });
});
