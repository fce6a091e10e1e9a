/** Root documents: bytes and back, and the forms that are refused. */
import { describe, expect, test } from 'bun:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Root } from '#state/root.ts';
import { RootSchema, Scheme } from '#wire/generated/holdfast_pb.ts';
import { readRoot, writeRoot } from '#wire/root.ts';
import { codeOf, granted, messageOf, sampleRoot } from '../../support/wire-samples.ts';

type Init = MessageInitShape<typeof RootSchema>;

const readInit = (change: Init) =>
  readRoot(
    toBinary(
      RootSchema,
      create(RootSchema, {
        specVersion: 1,
        fleet: new Uint8Array(16),
        version: 1n,
        keys: [{ keyid: 'k', scheme: Scheme.ED25519, publicKey: new Uint8Array(44) }],
        roles: [{ name: 'root', threshold: 1, keyids: ['k'] }],
        channels: [{ name: 'stable', role: 'root', epoch: 1n }],
        ...change,
      }),
    ),
  );

describe('a root document survives its bytes', () => {
  for (const [title, change] of [
    ['as it is made', {}],
    [
      'with a time reset, an expiry and critical names',
      { timeReset: { notBefore: 5 }, notAfter: 9, critical: ['x'] },
    ],
    ['a demo root of version 2^63', { demo: true, version: 2n ** 63n }],
  ] as const) {
    test(title, () => {
      const root: Root = { ...sampleRoot, ...change };
      expect(granted(readRoot(writeRoot(root)))).toEqual(root);
      expect(writeRoot(root)).toEqual(writeRoot({ ...root }));
    });
  }

  test('a scheme and a role it does not know are kept', () => {
    const root = granted(
      readInit({
        keys: [{ keyid: 'k', scheme: 77 as Scheme, publicKey: new Uint8Array(1_952) }],
        roles: [{ name: 'witness', threshold: 2, keyids: ['k', 'elsewhere'] }],
      }),
    );
    expect(root.keys[0]?.scheme).toBe('unknown');
    expect(root.roles[0]).toEqual({ name: 'witness', threshold: 2, keyids: ['k', 'elsewhere'] });
  });

  test('a threshold of 0 is kept for check 10 to refuse (S02)', () => {
    const roles = [{ name: 'root', threshold: 0, keyids: ['k'] }];
    expect(granted(readInit({ roles })).roles[0]?.threshold).toBe(0);
  });
});

describe('root documents that are refused', () => {
  const key = { keyid: 'k', scheme: Scheme.ED25519, publicKey: new Uint8Array(44) };
  for (const [title, change, field] of [
    ['a fleet of 15 bytes', { fleet: new Uint8Array(15) }, 'fleet'],
    ['no fleet', { fleet: new Uint8Array() }, 'fleet'],
    ['version 0', { version: 0n }, 'version'],
    ['a negative time (P08)', { issuedAt: -1n }, 'issued_at'],
    ['a time beyond 2^53 (P08)', { notAfter: 2n ** 53n }, 'not_after'],
    ['a key time beyond 2^53', { keys: [{ ...key, notAfter: 2n ** 60n }] }, 'keys[0].not_after'],
    ['a time reset below zero', { timeReset: { notBefore: -5n } }, 'time_reset.not_before'],
    [
      'one keyid for two keys',
      { keys: [key, { ...key, publicKey: new Uint8Array(45) }] },
      'keys.keyid',
    ],
    [
      'a key without bytes',
      { keys: [{ ...key, publicKey: new Uint8Array() }] },
      'keys[0].public_key',
    ],
    [
      'a key of 5,000 bytes',
      { keys: [{ ...key, publicKey: new Uint8Array(5_000) }] },
      'keys[0].public_key',
    ],
    ['a keyid with a line break', { keys: [{ ...key, keyid: 'a\nb' }] }, 'keys[0].keyid'],
    [
      'a role twice',
      {
        roles: [
          { name: 'a', threshold: 1 },
          { name: 'a', threshold: 2 },
        ],
      },
      'roles.name',
    ],
    ['a role without a name', { roles: [{ threshold: 1 }] }, 'roles[0].name'],
    [
      'a channel twice',
      {
        channels: [
          { name: 'a', role: 'r', epoch: 1n },
          { name: 'a', role: 's', epoch: 2n },
        ],
      },
      'channels.name',
    ],
    ['epoch 0', { channels: [{ name: 'a', role: 'r' }] }, 'channels[0].epoch'],
    [
      'a channel in upper case',
      { channels: [{ name: 'Stable', role: 'r', epoch: 1n }] },
      'channels[0].name',
    ],
    ['another wildcard', { channels: [{ name: '*', role: 'r', epoch: 1n }] }, 'channels[0].name'],
    ['a channel without a role', { channels: [{ name: 'a', epoch: 1n }] }, 'channels[0].role'],
  ] as const satisfies readonly (readonly [string, Init, string])[]) {
    test(title, () => {
      const result = readInit(change);
      expect(codeOf(result)).toBe('format.root');
      expect(messageOf(result)).toStartWith(`root document: ${field}: `);
    });
  }

  test('another format version, zero among them', () => {
    expect(codeOf(readInit({ specVersion: 2 }))).toBe('format.spec-version');
    expect(codeOf(readInit({ specVersion: 0 }))).toBe('format.spec-version');
  });

  test('a field twice, and more bytes than a root may have', () => {
    const bytes = writeRoot(sampleRoot);
    expect(codeOf(readRoot(new Uint8Array([...bytes, ...bytes])))).toBe('format.protobuf');
    expect(messageOf(readRoot(new Uint8Array(65_537)))).toContain('at most 65536');
  });
});
