/** The walk over protobuf bytes before they are decoded. Bytes are written by hand. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { LIMITS } from '#state/limits.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import {
  AudienceSchema,
  DesiredStateSchema,
  EnvelopeSchema,
  PolicySchema,
  PresenceSchema,
  StatusSchema,
  WindowSchema,
} from '#wire/generated/holdfast_pb.ts';
import { readMessage } from '#wire/strict-protobuf.ts';
import { bytesOf, codeOf, granted, messageOf, sampleState } from '../../support/wire-samples.ts';

const CAP = 16 * 1024 * 1024;

const varint = (value: number | bigint): number[] => {
  const bytes: number[] = [];
  let rest = BigInt(value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
};
const tag = (field: number, wireType: number) => varint((BigInt(field) << 3n) | BigInt(wireType));
const number = (field: number, value: number | bigint) => [...tag(field, 0), ...varint(value)];
const text = (field: number, bytes: ArrayLike<number>) => [
  ...tag(field, 2),
  ...varint(bytes.length),
  ...Array.from(bytes),
];
const presence = (bytes: readonly number[]) =>
  readMessage(PresenceSchema, new Uint8Array(bytes), 'presence', CAP);

describe('what a strict reader takes', () => {
  test('fields in any order, and fields it does not know', () => {
    const bytes = [
      ...text(900, [1, 2]),
      ...number(3, 5),
      ...number(901, 2n ** 64n - 1n),
      ...tag(902, 5),
      ...[1, 2, 3, 4],
      ...tag(903, 1),
      ...[1, 2, 3, 4, 5, 6, 7, 8],
      ...number(1, 1),
    ];
    const read = granted(presence(bytes));
    expect([read.online, read.since]).toEqual([true, 5n]);
    expect(read.$unknown ?? []).toEqual([]);
  });

  test('numbers packed or one by one', () => {
    const packed = readMessage(WindowSchema, new Uint8Array(text(1, [1, 2])), 'window', CAP);
    const single = [...number(1, 1), ...number(1, 2)];
    const loose = readMessage(WindowSchema, new Uint8Array(single), 'window', CAP);
    expect(granted(packed).weekdays).toEqual([1, 2]);
    expect(granted(loose).weekdays).toEqual([1, 2]);
  });

  test('a statement cut at any byte, or with any one byte changed, ends in a value or a code', () => {
    const whole = writeDesiredState(sampleState);
    for (let length = 0; length < whole.length; length += 1) {
      codeOf(readMessage(DesiredStateSchema, whole.subarray(0, length), 'statement', CAP));
    }
    const position = fc.nat(whole.length - 1);
    fc.assert(
      fc.property(position, fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Uint8Array.from(whole);
        changed[at] = byte;
        const result = readMessage(DesiredStateSchema, changed, 'statement', CAP);
        expect(['ok', 'format.protobuf']).toContain(codeOf(result));
      }),
    );
  });

  test('any bytes end in a value or a code', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const result = readMessage(StatusSchema, bytes, 'status', CAP);
        expect(['ok', 'format.protobuf']).toContain(codeOf(result));
      }),
      { numRuns: 500 },
    );
  });
});

describe('what it refuses', () => {
  const entry = (bytes: readonly number[]) => text(10, bytes);
  for (const [title, schema, bytes, reason] of [
    [
      'a singular number twice',
      PresenceSchema,
      [...number(3, 1), ...number(3, 1)],
      'since stands twice',
    ],
    ['a singular text twice', PresenceSchema, [...text(2, [65]), ...text(2, [66])], 'stands twice'],
    [
      'a singular message twice',
      DesiredStateSchema,
      [...text(13, []), ...text(13, [])],
      'audience stands twice',
    ],
    [
      'two members of a oneof',
      AudienceSchema,
      [...number(1, 1), ...text(2, [])],
      'who stands twice',
    ],
    [
      'one member of a oneof twice',
      AudienceSchema,
      [...number(1, 1), ...number(1, 1)],
      'who stands twice',
    ],
    ['a tail that is no whole field', PresenceSchema, [...number(3, 1), 0x80], 'broken tag'],
    ['a tag without its value', PresenceSchema, tag(3, 0), 'no whole varint'],
    [
      'a length past the end (P02)',
      PresenceSchema,
      [...tag(2, 2), 5, 65],
      'longer than what holds it',
    ],
    ['a length of 4 GB (P02)', PresenceSchema, [...tag(2, 2), ...varint(2 ** 32 - 1)], 'longer'],
    ['a length of 2^63 (P02)', PresenceSchema, [...tag(2, 2), ...varint(2n ** 63n)], 'longer'],
    [
      'a negative length (P02)',
      PresenceSchema,
      [...tag(2, 2), ...varint(2n ** 64n - 1n)],
      'longer',
    ],
    [
      'an inner length past its message',
      DesiredStateSchema,
      text(17, [...tag(1, 2), 9, 1]),
      'longer',
    ],
    [
      'a varint of eleven bytes',
      PresenceSchema,
      [...tag(3, 0), ...new Array(10).fill(0x80), 1],
      'no whole varint',
    ],
    [
      'a varint of 65 bits',
      PresenceSchema,
      [...tag(3, 0), ...new Array(9).fill(0xff), 2],
      'no whole varint',
    ],
    ['a tag of 64 bits', PresenceSchema, varint(2n ** 40n), 'broken tag'],
    ['field number 0', PresenceSchema, [0, 0], 'field number 0'],
    ['a group (P01)', PresenceSchema, [...tag(900, 3), ...tag(900, 4)], 'no whole field'],
    ['the end of a group', PresenceSchema, tag(900, 4), 'no whole field'],
    ['wire type 6', PresenceSchema, [...tag(900, 6), 1], 'no whole field'],
    ['wire type 7 of a known field', PresenceSchema, [...tag(3, 7), 1], 'wrong wire type'],
    ['a text for a number', PresenceSchema, text(3, [1]), 'since has the wrong wire type'],
    ['a number for a text', PresenceSchema, number(2, 1), 'agent_version has the wrong wire type'],
    [
      'a fixed number for a varint',
      PresenceSchema,
      [...tag(3, 1), 1, 2, 3, 4, 5, 6, 7, 8],
      'wrong wire type',
    ],
    ['a number for a message', DesiredStateSchema, number(13, 1), 'wrong wire type'],
    ['a bool of 2', PresenceSchema, number(1, 2), 'beyond its range'],
    ['a uint32 of 2^32 (P08)', PolicySchema, number(6, 2 ** 32), 'beyond its range'],
    ['an enum of 2^31 (P08)', PolicySchema, number(4, 2 ** 31), 'beyond its range'],
    ['a negative enum (P08)', PolicySchema, number(4, 2n ** 64n - 1n), 'beyond its range'],
    ['bad UTF-8 (P06)', PresenceSchema, text(2, [0xc0, 0xaf]), 'not UTF-8'],
    ['an encoded surrogate (P06)', PresenceSchema, text(2, [0xed, 0xa0, 0x80]), 'not UTF-8'],
    ['NUL in a text (P12)', PresenceSchema, text(2, bytesOf('a\0b')), 'NUL'],
    [
      'a map key twice',
      StatusSchema,
      [...entry([...text(1, [65]), ...text(2, [66])]), ...entry(text(1, [65]))],
      'one key twice',
    ],
    [
      'a map key twice in one entry',
      StatusSchema,
      entry([...text(1, [65]), ...text(1, [66])]),
      'broken entry',
    ],
    ['a third part in a map entry', StatusSchema, entry(text(3, [65])), 'broken entry'],
    ['a map value that is a number', StatusSchema, entry(number(2, 5)), 'wrong wire type'],
    ['a packed number cut short', WindowSchema, text(1, [0x80]), 'no whole varint'],
  ] as const) {
    test(title, () => {
      const result = readMessage(schema, new Uint8Array(bytes), 'sample', CAP);
      expect(codeOf(result)).toBe('format.protobuf');
      expect(messageOf(result)).toContain(reason);
    });
  }

  test('200,000 groups, however deep (P01)', () => {
    const open = new Array(200_000).fill(tag(900, 3)).flat();
    expect(codeOf(presence(open))).toBe('format.protobuf');
  });

  test('10,000 levels under an unknown field are skipped unread, under a known one refused (P01)', () => {
    let nested: number[] = [];
    for (let level = 0; level < 200; level += 1) nested = text(1, nested);
    expect(codeOf(presence(text(900, nested)))).toBe('ok');
    const known = readMessage(EnvelopeSchema, new Uint8Array(text(3, nested)), 'envelope', CAP);
    expect(codeOf(known)).toBe('format.protobuf');
  });

  test('256 unknown fields pass, one more is a flood (P03), nested ones counted', () => {
    const unknown = number(900, 1);
    const many = (count: number) => new Array(count).fill(unknown).flat();
    expect(codeOf(presence(many(LIMITS.protobufUnknownMax)))).toBe('ok');
    expect(messageOf(presence(many(LIMITS.protobufUnknownMax + 1)))).toContain('flood');
    const nested = [...text(17, many(200)), ...many(100)];
    const state = readMessage(DesiredStateSchema, new Uint8Array(nested), 'statement', CAP);
    expect(messageOf(state)).toContain('flood');
  });

  test('a flood of empty elements (P04)', () => {
    const flood = new Array(LIMITS.protobufListMax + 1).fill(text(15, [])).flat();
    const result = readMessage(DesiredStateSchema, new Uint8Array(flood), 'statement', CAP);
    expect(messageOf(result)).toContain('deployments has more than 4096 elements');
    const packed = text(1, new Uint8Array(LIMITS.protobufListMax + 1).fill(1));
    expect(codeOf(readMessage(WindowSchema, new Uint8Array(packed), 'window', CAP))).toBe(
      'format.protobuf',
    );
  });

  test('more bytes than the cap, before any is read', () => {
    const result = readMessage(PresenceSchema, new Uint8Array(11), 'presence', 10);
    expect(messageOf(result)).toContain('11 bytes; at most 10');
  });
});
