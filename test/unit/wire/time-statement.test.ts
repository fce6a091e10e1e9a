/** Time statements and requests: what is read is what was written; what is out of form is refused. */
import { describe, expect, test } from 'bun:test';
import { create, toBinary } from '@bufbuild/protobuf';
import type { TimeStatement } from '#state/time-statement.ts';
import {
  type TimeStatement as ProtoTimeStatement,
  TimeRequestSchema,
  TimeStatementSchema,
} from '#wire/generated/holdfast_pb.ts';
import {
  readTimeRequest,
  readTimeStatement,
  writeTimeRequest,
  writeTimeStatement,
} from '#wire/time-statement.ts';
import { codeOf, digestA, messageOf, sampleRoot } from '../../support/wire-samples.ts';

const sample: TimeStatement = {
  fleet: sampleRoot.fleet,
  at: 1_790_000_000_000,
  nonce: new Uint8Array(16).fill(5),
  deviceId: 'press-7',
  heads: [{ channel: 'stable', epoch: 1n, sequence: 58n, digest: digestA }],
  rootVersion: 3n,
  notAfter: 1_800_000_000_000,
  critical: ['heads'],
};
const head = { channel: 'stable', epoch: 1n, sequence: 1n, stateDigest: new Uint8Array(32) };

function read(fields: Partial<Omit<ProtoTimeStatement, '$typeName'>>) {
  const base = { specVersion: 1, fleet: new Uint8Array(16), at: 1n };
  return readTimeStatement(
    toBinary(TimeStatementSchema, create(TimeStatementSchema, { ...base, ...(fields as object) })),
  );
}

test('a statement comes back as it was', () => {
  for (const one of [sample, { ...sample, nonce: new Uint8Array(), deviceId: '', heads: [] }]) {
    const again = readTimeStatement(writeTimeStatement(one));
    expect(again.ok && again.value).toEqual(one);
  }
});

describe('a statement out of form is refused', () => {
  const heads = (...list: object[]) => ({ heads: list }) as never;
  const rows: readonly [string, Parameters<typeof read>[0], string][] = [
    ['another version', { specVersion: 2 }, 'format.spec-version'],
    ['no time', { at: 0n }, 'format.message'],
    ['a time before 1970', { at: -1n }, 'format.message'],
    ['a time beyond 2^53', { at: 2n ** 60n }, 'format.message'],
    ['a short nonce', { nonce: new Uint8Array(15) }, 'format.message'],
    ['a long nonce', { nonce: new Uint8Array(65) }, 'format.message'],
    ['a device id with a slash', { deviceId: 'a/b' }, 'format.message'],
    ['a fleet of 15 bytes', { fleet: new Uint8Array(15) }, 'format.message'],
    ['a channel twice', heads(head, head), 'format.message'],
    ['a head of epoch 0', heads({ ...head, epoch: 0n }), 'format.message'],
    ['a head of sequence 0', heads({ ...head, sequence: 0n }), 'format.message'],
    ['a short digest', heads({ ...head, stateDigest: new Uint8Array(31) }), 'format.message'],
    [
      'too many heads',
      heads(...Array.from({ length: 257 }, (_, i) => ({ ...head, channel: `c${i}` }))),
      'format.message',
    ],
  ];
  for (const [what, fields, code] of rows) {
    test(`${what}: ${code}`, () => expect(codeOf(read(fields))).toBe(code));
  }
  test('beyond its size, and not protobuf', () => {
    expect(codeOf(readTimeStatement(new Uint8Array(70_000)))).toBe('format.protobuf');
    expect(codeOf(readTimeStatement(Buffer.from('time')))).toBe('format.protobuf');
  });
});

describe('a request', () => {
  test('comes back as it was', () => {
    const request = { nonce: new Uint8Array(32).fill(1), deviceId: 'press-7' };
    const again = readTimeRequest(writeTimeRequest(request));
    expect(again.ok && again.value).toEqual(request);
  });
  test('without a good nonce or id is refused', () => {
    const ask = (nonce: number, deviceId: string) =>
      messageOf(
        readTimeRequest(
          toBinary(
            TimeRequestSchema,
            create(TimeRequestSchema, { nonce: new Uint8Array(nonce), deviceId }),
          ),
        ),
      );
    expect(ask(15, 'press-7')).toContain('15 bytes; 16 to 64');
    expect(ask(16, '../x')).toContain('not a device id');
    expect(ask(1_000, 'press-7')).toContain('at most 512');
  });
});
