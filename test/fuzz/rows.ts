/** Targets: what the store and its files hold, should somebody else write it; what an audit exports. */
import { EMPTY_MARK } from '#state/audit.ts';
import { sha256 } from '#state/digest.ts';
import { frameRecord, openRecord } from '#store/record.ts';
import { readAuditFile, readEvidence, writeAuditFile, writeEvidence } from '#wire/audit-file.ts';
import {
  channelRecord,
  deviceRecord,
  eventRecord,
  historyRecord,
  outboxRecord,
  type RecordKind,
  rejectedMarkRecord,
  rejectedRecord,
  rootRecord,
  spanRecord,
  statementRecord,
  stateRecord,
} from '#wire/records.ts';
import { channelRow, FLEET, generation, point } from '../support/store.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { comesBack, promise } from './promises.ts';

const rejected = { point: point(3), code: 'store.io', message: 'm', deployment: 'd' } as const;
const digest = sha256(bytesOf('x'));
const envelope = {
  payloadType: 'application/x',
  payload: bytesOf('payload'),
  signatures: [{ keyid: 'k', sig: new Uint8Array(64) }],
};

/** What is readable comes back, what is not is a refusal, and a frame gives back what is in it. */
function row<T>(name: string, kind: RecordKind<T>, ...rows: readonly NoInfer<T>[]): Target {
  return {
    name: `record: ${name}`,
    shape: 'protobuf',
    seeds: rows.map((one) => kind.write(one)),
    run(input) {
      const opened = openRecord('key', frameRecord('key', input));
      promise(
        opened.ok && Buffer.from(opened.value).equals(input),
        'a frame gives back its content',
      );
      return comesBack(input, (bytes) => kind.read(bytes, 'key'), kind.write);
    },
  };
}

export const ROWS: readonly Target[] = [
  row('channel', channelRecord, channelRow(9), { ...channelRow(1), intent: null, previous: [] }),
  row(
    'state',
    stateRecord,
    {
      stateDigest: digest,
      generations: [generation('a'), generation('b')],
    },
    {
      stateDigest: digest,
      generations: [
        {
          ...generation('a'),
          secrets: [{ parameter: 'p', statement: digest, name: 'pin', tag: 'ab' }],
        },
      ],
      replaced: [generation('a')],
    },
  ),
  row('root', rootRecord, bytesOf('root')),
  row('span', spanRecord, { first: 3n, last: 2n }),
  row('rejected', rejectedRecord, rejected),
  row('rejected mark', rejectedMarkRecord, { fleet: FLEET, channel: 'stable', row: rejected }),
  row('device', deviceRecord, {
    boot: 2n ** 63n,
    machine: 'm',
    crashes: 3,
    paused: { at: 4, reason: 'work' },
    timeFloorMs: 1_790_000_000_000,
  }),
  row('outbox', outboxRecord, {
    boot: 1n,
    report: 2n,
    previousReport: digest,
    eventsDropped: 4n,
    lastEvent: 5n,
  }),
  row('event', eventRecord, {
    number: 1n,
    at: 2,
    code: 'a.b',
    channel: 'c',
    deployment: 'd',
    message: 'm',
  }),
  row('history', historyRecord, {
    number: 1n,
    at: 2,
    channel: 'c',
    outcome: 'rejected',
    point: point(1),
    via: 'mqtt',
    code: 'store.io',
    message: 'm',
    tookMs: 3,
  }),
  row('statement', statementRecord, {
    envelope,
    documents: bytesOf('documents'),
    via: 'registry',
    evidence: bytesOf('evidence'),
  }),
  {
    name: 'audit evidence',
    shape: 'protobuf',
    seeds: [
      writeEvidence({
        statement: digest,
        root: bytesOf('root'),
        freshness: 'estimated',
        checks: [{ number: 10, name: 'threshold', passed: true, compared: '2 of 2' }],
        steps: ['install line'],
        documents: [{ id: 'line', digest }],
      }),
    ],
    run: (input) => comesBack(input, readEvidence, writeEvidence),
  },
  {
    name: 'audit file',
    shape: 'protobuf',
    seeds: [
      writeAuditFile({
        fleet: FLEET,
        deviceId: 'gw-1',
        deviceKey: bytesOf('key'),
        journal: { folded: EMPTY_MARK, head: EMPTY_MARK, entries: [bytesOf('entry')] },
        change: null,
      }),
    ],
    run: (input) => comesBack(input, readAuditFile, writeAuditFile),
  },
];
