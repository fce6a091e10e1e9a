/** What travels over MQTT beside envelopes: nudge, presence, status. */
import { describe, expect, test } from 'bun:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Status } from '#state/status.ts';
import { NudgeSchema, PresenceSchema, StatusSchema } from '#wire/generated/holdfast_pb.ts';
import { type Nudge, readNudge, writeNudge } from '#wire/nudge.ts';
import { readPresence, writePresence } from '#wire/presence.ts';
import { readStatus, writeStatus } from '#wire/status.ts';
import {
  bytesOf,
  codeOf,
  digestA,
  digestB,
  granted,
  messageOf,
} from '../../support/wire-samples.ts';

const envelope = {
  payloadType: 'application/x',
  payload: bytesOf('payload'),
  signatures: [{ keyid: 'k', sig: new Uint8Array(64) }],
};

const nudge: Nudge = {
  channel: 'stable',
  epoch: 1n,
  sequence: 58n,
  stateDigest: digestA,
  manifestDigest: digestB,
  urgent: true,
  envelope,
  roots: [envelope, envelope],
  contents: [bytesOf('a'), bytesOf('')],
  time: envelope,
};

describe('a nudge', () => {
  test('comes back, full and bare', () => {
    expect(granted(readNudge(writeNudge(nudge)))).toEqual(nudge);
    const bare = {
      ...nudge,
      stateDigest: null,
      manifestDigest: null,
      envelope: null,
      roots: [],
      contents: [],
      time: null,
    };
    expect(granted(readNudge(writeNudge(bare)))).toEqual(bare);
  });

  const init = (change: MessageInitShape<typeof NudgeSchema>) =>
    readNudge(toBinary(NudgeSchema, create(NudgeSchema, { channel: 'stable', ...change })));
  for (const [title, result, code] of [
    ['no channel', init({ channel: '' }), 'format.message'],
    ['a channel with a wildcard (M03)', init({ channel: '+' }), 'format.message'],
    ['a digest of 31 bytes (C06)', init({ stateDigest: new Uint8Array(31) }), 'format.message'],
    ['65 roots (R10)', init({ roots: new Array(65).fill(envelope) }), 'format.message'],
    ['an envelope without a payload', init({ envelope: { payloadType: 'x' } }), 'format.envelope'],
    [
      'a root with 17 signatures (S21)',
      init({ roots: [{ ...envelope, signatures: new Array(17).fill({}) }] }),
      'format.envelope',
    ],
    ['129 KiB (M01)', readNudge(new Uint8Array(129 * 1_024)), 'format.protobuf'],
    ['text', readNudge(bytesOf('{"channel":"stable"}')), 'format.protobuf'],
  ] as const) {
    test(`refused: ${title}`, () => expect(codeOf(result)).toBe(code));
  }
});

describe('presence', () => {
  test('comes back', () => {
    const presence = { online: true, agentVersion: '0.1.0', since: 1_790_000_000_000 };
    expect(granted(readPresence(writePresence(presence)))).toEqual(presence);
  });

  test('a wall clock before 1970 or with fractions is written as whole ms', () => {
    const written = writePresence({ online: false, agentVersion: '', since: -5.5 });
    expect(granted(readPresence(written)).since).toBe(0);
  });

  test('refused: a time before 1970, a version with controls', () => {
    const init = (change: MessageInitShape<typeof PresenceSchema>) =>
      readPresence(toBinary(PresenceSchema, create(PresenceSchema, change)));
    expect(codeOf(init({ since: -1n }))).toBe('format.message');
    expect(codeOf(init({ agentVersion: 'a\u001b[31m' }))).toBe('format.message');
  });
});

const point = { epoch: 1n, sequence: 57n, stateDigest: digestA, at: 1_790_000_000_000 };
const status: Status = {
  fleet: '00112233445566778899aabbccddeeff',
  deviceId: 'press-7',
  boot: 4n,
  report: 2n ** 63n,
  previousReport: digestB,
  at: 1_790_000_000_000,
  timeGrade: 'synchronised',
  attestedAt: 0,
  agentVersion: '0.1.0',
  labels: { site: 'a' },
  channels: [
    {
      channel: 'stable',
      desired: point,
      applied: null,
      phase: 'safe-mode',
      via: 'bundle',
      degraded: true,
      deployments: [
        { id: 'line', digest: digestB, health: 'healthy', code: '', message: '', restarts: 2 },
      ],
      refused: {
        code: 'trust.rollback',
        message: '1.1\nbelow',
        offered: point,
        via: null,
        attack: true,
      },
      heldByOperator: true,
      freshness: 'estimated',
      waitingFor: 'trust.maybe-expired',
    },
    {
      channel: 'canary',
      desired: null,
      applied: null,
      phase: 'idle',
      via: null,
      degraded: false,
      deployments: [],
      refused: null,
      heldByOperator: false,
      freshness: 'unknown',
      waitingFor: '',
    },
  ],
  events: [
    { number: 9n, at: 5, code: 'apply.undone', channel: 'stable', deployment: '', message: 'm' },
  ],
  eventsDropped: 3n,
  rootVersion: 1n,
  auditHead: null,
  sealingKey: new Uint8Array(44).fill(5),
  deviceKey: new Uint8Array(44),
};

describe('a status', () => {
  test('comes back', () => {
    expect(granted(readStatus(writeStatus(status)))).toEqual(status);
  });

  test('each phase, way, freshness and grade of time comes back', () => {
    const first = status.channels[0]!;
    for (const phase of [
      'idle',
      'waiting',
      'preparing',
      'activating',
      'proving',
      'undoing',
      'stuck',
      'safe-mode',
    ] as const) {
      const read = granted(readStatus(writeStatus({ ...status, channels: [{ ...first, phase }] })));
      expect(read.channels[0]?.phase).toBe(phase);
    }
    for (const via of ['registry', 'mqtt', 'bundle', 'margo', null] as const) {
      const read = granted(readStatus(writeStatus({ ...status, channels: [{ ...first, via }] })));
      expect(read.channels[0]?.via).toBe(via);
    }
    for (const timeGrade of ['estimated', 'synchronised', 'attested'] as const) {
      expect(granted(readStatus(writeStatus({ ...status, timeGrade }))).timeGrade).toBe(timeGrade);
    }
  });

  const init = (change: MessageInitShape<typeof StatusSchema>) =>
    readStatus(
      toBinary(
        StatusSchema,
        create(StatusSchema, {
          specVersion: 1,
          fleet: new Uint8Array(16),
          deviceId: 'press-7',
          timeGrade: 1,
          ...change,
        }),
      ),
    );
  const channel = { channel: 'stable', phase: 1, freshness: 1 };
  for (const [title, change, reason] of [
    ['a device id with a slash', { deviceId: 'a/b' }, 'device_id'],
    ['a device id of 57 characters', { deviceId: 'a'.repeat(57) }, 'device_id'],
    ['no grade of time', { timeGrade: 0 }, 'time_grade'],
    ['an unknown grade of time (P08)', { timeGrade: 9 }, 'time_grade'],
    ['an unknown phase (P08)', { channels: [{ ...channel, phase: 99 }] }, 'channels[0].phase'],
    ['no phase', { channels: [{ ...channel, phase: 0 }] }, 'channels[0].phase'],
    ['an unknown way (P08)', { channels: [{ ...channel, via: 99 }] }, 'channels[0].via'],
    [
      'an unknown freshness (P08)',
      { channels: [{ ...channel, freshness: 99 }] },
      'channels[0].freshness',
    ],
    [
      'a channel that is no id',
      { channels: [{ ...channel, channel: '#' }] },
      'channels[0].channel',
    ],
    [
      'a point without a digest',
      { channels: [{ ...channel, applied: { epoch: 1n } }] },
      'applied.state_digest',
    ],
    ['a code with controls', { channels: [{ ...channel, waitingFor: 'a\u0007' }] }, 'waiting_for'],
    [
      'a message of 5,000 characters',
      { events: [{ message: 'x'.repeat(5_000) }] },
      'events[0].message',
    ],
    ['a negative time (P08)', { at: -1n }, 'at'],
    ['a key of 5,000 bytes', { deviceKey: new Uint8Array(5_000) }, 'device_key'],
    ['a label without a name', { labels: { '': 'x' } }, 'labels'],
  ] as const) {
    test(`refused: ${title}`, () => {
      const result = init(change as MessageInitShape<typeof StatusSchema>);
      expect(codeOf(result)).toBe('format.message');
      expect(messageOf(result)).toContain(`status: `);
      expect(messageOf(result)).toContain(reason);
    });
  }

  test('refused: another format version', () => {
    expect(codeOf(init({ specVersion: 2 }))).toBe('format.spec-version');
  });
});
