/** The signed statement: bytes and back, and the forms that checks 11 and 12 refuse. */
import { describe, expect, test } from 'bun:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { readDesiredState, type Unsigned, writeDesiredState } from '#wire/desired-state.ts';
import { DesiredStateSchema } from '#wire/generated/holdfast_pb.ts';
import { codeOf, granted, messageOf, sampleState } from '../../support/wire-samples.ts';

type Init = MessageInitShape<typeof DesiredStateSchema>;
const raw = new Uint8Array(32).fill(1);
const document = { digest: raw, size: 9n, mediaType: MEDIA.deployment };
const file = { name: 'a', mediaType: MEDIA.file, digest: raw, size: 3n };

/** The sample with fields changed on the wire. */
const readInit = (change: Init) => {
  const { $typeName: _, ...rest } = fromBinary(DesiredStateSchema, writeDesiredState(sampleState));
  const init = { ...rest, ...(change as object) } as Init;
  return readDesiredState(toBinary(DesiredStateSchema, create(DesiredStateSchema, init)));
};

const digest = fc.uint8Array({ maxLength: 8 }).map(sha256);
const anyState: fc.Arbitrary<Unsigned> = fc.record({
  fleet: fc.stringMatching(/^[0-9a-f]{32}$/),
  channel: fc.constantFrom('stable', 'canary', 'device.press-7'),
  epoch: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  sequence: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
  previousDigest: fc.option(digest),
  promotedFrom: fc.option(digest),
  issuedAt: fc.maxSafeNat(),
  notAfter: fc.maxSafeNat(),
  rootVersion: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  minAgentVersion: fc.constantFrom('', '1.2.3-rc.1+build'),
  critical: fc.array(fc.constantFrom('policy.windows', 'x'), { maxLength: 2 }),
  audience: fc.oneof(
    fc.constant({ kind: 'everyone' as const }),
    fc.constant({ kind: 'devices' as const, ids: ['press-7', 'press-8'] }),
    fc.constant({ kind: 'selector' as const, allOf: [{ key: 'site', values: ['a', 'b'] }] }),
  ),
  policy: fc.record({
    urgent: fc.boolean(),
    windows: fc.constant(sampleState.policy.windows),
    spreadMs: fc.nat(),
    atomicity: fc.constantFrom('state' as const, 'deployment' as const),
    healthWindowMs: fc.nat(),
    attemptsMax: fc.integer({ min: 1, max: 1_000 }),
    allowRemoval: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    unattestedMaxMs: fc.integer({ min: 0, max: 1_000_000_000 }),
    commit: fc.constantFrom('healthy' as const, 'reachable' as const),
  }),
  deployments: fc.constant(sampleState.deployments),
  blobs: fc.constant(sampleState.blobs),
  documents: fc.constant(sampleState.documents),
});

describe('a statement survives its bytes', () => {
  test('any statement, with the digest of exactly these bytes', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        const payload = writeDesiredState(state);
        const { epoch, sequence, ...rest } = state;
        const point = { epoch, sequence, digest: sha256(payload) };
        expect(granted(readDesiredState(payload))).toEqual({ ...rest, point });
      }),
    );
  });

  test('a statement without a policy and without deployments has the defaults', () => {
    const read = granted(
      readInit({ policy: undefined, deployments: [], blobs: [], documents: undefined }),
    );
    expect(read.policy).toEqual({
      urgent: false,
      windows: [],
      spreadMs: 0,
      atomicity: 'state',
      healthWindowMs: 0,
      attemptsMax: 3,
      allowRemoval: 0n,
      unattestedMaxMs: 0,
      commit: 'healthy',
    });
    expect([read.deployments, read.documents]).toEqual([[], null]);
  });

  test('the unpacked size of a file is its size, of a tree what is said', () => {
    const tree = {
      ...file,
      name: 'b',
      mediaType: MEDIA.tree,
      digest: new Uint8Array(32),
      size: 9n,
      unpackedSize: 70n,
    };
    const { blobs } = granted(readInit({ blobs: [file, tree] }));
    expect(blobs.map(({ unpackedSize }) => unpackedSize)).toEqual([3, 70]);
  });
});

describe('statements that are refused', () => {
  for (const [title, change, field] of [
    ['a fleet of 17 bytes', { fleet: new Uint8Array(17) }, 'fleet'],
    ['an upper-case channel', { channel: 'Stable' }, 'channel'],
    ['a channel with a slash', { channel: 'a/b' }, 'channel'],
    ['epoch 0', { epoch: 0n }, 'epoch'],
    ['sequence 0', { sequence: 0n }, 'sequence'],
    ['a digest of 31 bytes (C06)', { previousDigest: new Uint8Array(31) }, 'previous_digest'],
    ['a digest of 64 bytes (C06)', { promotedFrom: new Uint8Array(64) }, 'promoted_from'],
    ['a negative time (P08)', { issuedAt: -1n }, 'issued_at'],
    ['a time beyond 2^53 (P08)', { notAfter: 2n ** 53n }, 'not_after'],
    ['no audience (R12)', { audience: undefined }, 'audience'],
    ['an audience with nothing set (R12)', { audience: {} }, 'audience'],
    [
      'everyone set to false (R12)',
      { audience: { who: { case: 'everyone', value: false } } },
      'audience',
    ],
    [
      'no devices (R12)',
      { audience: { who: { case: 'devices', value: { ids: [] } } } },
      'audience.devices',
    ],
    [
      'a wildcard device (R12)',
      { audience: { who: { case: 'devices', value: { ids: ['*'] } } } },
      'audience.devices',
    ],
    [
      'a device twice',
      { audience: { who: { case: 'devices', value: { ids: ['a', 'a'] } } } },
      'audience.devices',
    ],
    [
      'an empty selector (R12)',
      { audience: { who: { case: 'selector', value: { allOf: [] } } } },
      'audience.selector',
    ],
    [
      'a label without values (R12)',
      { audience: { who: { case: 'selector', value: { allOf: [{ key: 'site' }] } } } },
      'audience.selector',
    ],
    [
      'a label without a key',
      { audience: { who: { case: 'selector', value: { allOf: [{ values: ['a'] }] } } } },
      'audience.selector',
    ],
    ['an unknown atomicity (P08)', { policy: { atomicity: 9 as 0 } }, 'policy.atomicity'],
    ['a negative health window', { policy: { healthWindowMs: -1n } }, 'policy.health_window_ms'],
    ['a spread of a century', { policy: { spreadMs: 3_155_760_000_000n } }, 'policy.spread_ms'],
    ['an unknown commit', { policy: { commit: 9 as 0 } }, 'policy.commit'],
    ['a million tries', { policy: { attemptsMax: 1_000_000 } }, 'policy.attempts_max'],
    [
      'weekday 8',
      { policy: { windows: [{ weekdays: [8], start: '02:30', durationMs: 1n, timeZone: 'UTC' }] } },
      'policy.windows[0].weekdays',
    ],
    [
      'a weekday twice',
      {
        policy: {
          windows: [{ weekdays: [1, 1], start: '02:30', durationMs: 1n, timeZone: 'UTC' }],
        },
      },
      'policy.windows[0].weekdays',
    ],
    [
      '25 o’clock',
      { policy: { windows: [{ weekdays: [1], start: '25:00', durationMs: 1n, timeZone: 'UTC' }] } },
      'policy.windows[0].start',
    ],
    [
      'a window of no length',
      { policy: { windows: [{ weekdays: [1], start: '02:30', timeZone: 'UTC' }] } },
      'policy.windows[0].duration_ms',
    ],
    [
      'a time zone that is a path',
      {
        policy: {
          windows: [
            { weekdays: [1], start: '02:30', durationMs: 1n, timeZone: '../../etc/passwd' },
          ],
        },
      },
      'policy.windows[0].time_zone',
    ],
    [
      'a deployment id twice',
      {
        deployments: [
          { ...document, id: 'a' },
          { ...document, id: 'a' },
        ],
      },
      'deployments.id',
    ],
    [
      'a deployment id with ..',
      { deployments: [{ ...document, id: '../a' }] },
      'deployments[0].id',
    ],
    [
      'a document of no bytes (C07)',
      { deployments: [{ ...document, id: 'a', size: 0n }] },
      'deployments[0].size',
    ],
    [
      'a document of 1 GB',
      { deployments: [{ ...document, id: 'a', size: 2n ** 30n }] },
      'deployments[0].size',
    ],
    [
      'a document of 2^63 bytes (C07)',
      { deployments: [{ ...document, id: 'a', size: 2n ** 63n }] },
      'deployments[0].size',
    ],
    [
      'one document of two sizes',
      {
        deployments: [
          { ...document, id: 'a' },
          { ...document, id: 'b', size: 8n },
        ],
      },
      'deployments',
    ],
    [
      '2,001 deployments',
      {
        deployments: Array.from({ length: 2_001 }, (_, index) => ({
          ...document,
          id: `d${index}`,
        })),
      },
      'deployments',
    ],
    ['a blob name twice', { blobs: [file, file] }, 'blobs.name'],
    ['a blob name with NUL', { blobs: [{ ...file, name: 'a\u0001' }] }, 'blobs[0].name'],
    ['a blob without a name', { blobs: [{ ...file, name: '' }] }, 'blobs[0].name'],
    [
      'a blob of an unknown type',
      { blobs: [{ ...file, mediaType: 'application/zip' }] },
      'blobs[0].media_type',
    ],
    ['a blob beyond 2^53 (P08)', { blobs: [{ ...file, size: 2n ** 53n }] }, 'blobs[0].size'],
    [
      'a tree of no bytes (C07)',
      { blobs: [{ ...file, mediaType: MEDIA.tree, size: 0n }] },
      'blobs[0].size',
    ],
    [
      'a file that unpacks to more',
      { blobs: [{ ...file, unpackedSize: 4n }] },
      'blobs[0].unpacked_size',
    ],
    [
      'one content of two types',
      { blobs: [file, { ...file, name: 'b', mediaType: MEDIA.tree }] },
      'blobs',
    ],
    ['deployments without documents', { documents: undefined }, 'documents'],
    [
      'documents of 17 MiB',
      { documents: { digest: raw, size: 17n * 2n ** 20n } },
      'documents.size',
    ],
  ] as const satisfies readonly (readonly [string, Init, string])[]) {
    test(title, () => {
      const result = readInit(change as Init);
      expect(codeOf(result)).toBe('format.desired-state');
      expect(messageOf(result)).toStartWith(`statement: ${field}: `);
    });
  }

  test('another format version', () => {
    expect(codeOf(readInit({ specVersion: 2 }))).toBe('format.spec-version');
  });

  test('a payload that stands twice in its bytes', () => {
    const bytes = writeDesiredState(sampleState);
    expect(codeOf(readDesiredState(new Uint8Array([...bytes, ...bytes])))).toBe('format.protobuf');
  });

  test('an empty payload', () => {
    expect(codeOf(readDesiredState(new Uint8Array()))).toBe('format.spec-version');
  });
});
