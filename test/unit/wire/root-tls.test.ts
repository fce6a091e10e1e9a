/** The TLS part of a root: bytes and back, and the forms that are refused. */
import { describe, expect, test } from 'bun:test';
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { LIMITS } from '#state/limits.ts';
import { RootSchema, type TlsTrustSchema } from '#wire/generated/holdfast_pb.ts';
import { readRoot, writeRoot } from '#wire/root.ts';
import { codeOf, granted, messageOf, sampleRoot } from '../../support/wire-samples.ts';

type Init = MessageInitShape<typeof TlsTrustSchema>;

/** A DER sequence of this many bytes in all, told apart by `mark`. */
function der(size: number, mark = 0): Uint8Array {
  const head = size < 130 ? [size - 2] : size < 259 ? [0x81, size - 3] : [0x82, 0, 0];
  if (head.length === 3) head.splice(1, 2, (size - 4) >> 8, (size - 4) & 255);
  const bytes = new Uint8Array(size);
  bytes.set([0x30, ...head]);
  bytes[size - 1] = mark;
  return bytes;
}

const readTls = (tls: Init) =>
  readRoot(
    toBinary(
      RootSchema,
      create(RootSchema, { specVersion: 1, fleet: new Uint8Array(16), version: 1n, tls }),
    ),
  );

describe('TLS anchors of a root survive its bytes', () => {
  const anchor = { certificate: der(4), notAfter: 9, comment: 'ca-2027' };
  for (const [title, tls] of [
    ['none said', null],
    ['none named', { anchors: [], replacesConfigured: false }],
    ['two, beside the configured', { anchors: [anchor, { ...anchor, certificate: der(300) }] }],
    ['one, in place of the configured', { anchors: [anchor], replacesConfigured: true }],
  ] as const) {
    test(title, () => {
      const root = { ...sampleRoot, tls: tls && { replacesConfigured: false, ...tls } };
      expect(granted(readRoot(writeRoot(root))).tls).toEqual(root.tls);
    });
  }

  test('as many and as large as may be', () => {
    const each = LIMITS.tlsAnchorsBytes / LIMITS.tlsAnchorsMax;
    const anchors = Array.from({ length: LIMITS.tlsAnchorsMax }, (_, n) => ({
      certificate: der(each, n),
    }));
    expect(granted(readTls({ anchors })).tls?.anchors).toHaveLength(LIMITS.tlsAnchorsMax);
  });
});

describe('TLS anchors that are refused', () => {
  const one = (certificate: readonly number[]): Init => ({
    anchors: [{ certificate: Uint8Array.from(certificate) }],
  });
  const at = 'tls.anchors[0].certificate';
  for (const [title, tls, field] of [
    ['no bytes', one([]), at],
    ['another tag', one([0x31, 0]), at],
    ['a tag alone', one([0x30]), at],
    ['PEM', { anchors: [{ certificate: Buffer.from('-----BEGIN CERTIFICATE-----') }] }, at],
    ['a byte after it', one([0x30, 0, 0]), at],
    ['a byte too few', one([0x30, 2, 0]), at],
    ['a length without an end', one([0x30, 0x80, 0, 0]), at],
    ['a length with a zero before it', one([0x30, 0x82, 0, 1, 0]), at],
    ['a length in more bytes than it needs', one([0x30, 0x81, 1, 0]), at],
    ['a length of four bytes', one([0x30, 0x84, 1, 0, 0, 0]), at],
    [
      'one certificate twice',
      { anchors: [{ certificate: der(9) }, { certificate: der(9), comment: 'again' }] },
      'tls.anchors.certificate',
    ],
    [
      'one more than may be',
      { anchors: Array.from({ length: 17 }, (_, n) => ({ certificate: der(9, n) })) },
      'tls.anchors',
    ],
    [
      'more bytes together than may be',
      { anchors: [{ certificate: der(LIMITS.tlsAnchorsBytes - 8) }, { certificate: der(9) }] },
      'tls.anchors',
    ],
    [
      'a negative end (P08)',
      { anchors: [{ certificate: der(9), notAfter: -1n }] },
      'tls.anchors[0].not_after',
    ],
    [
      'a name with a line break',
      { anchors: [{ certificate: der(9), comment: 'a\nb' }] },
      'tls.anchors[0].comment',
    ],
    [
      'a name of 256 characters',
      { anchors: [{ certificate: der(9), comment: 'a'.repeat(256) }] },
      'tls.anchors[0].comment',
    ],
  ] as const satisfies readonly (readonly [string, Init, string])[]) {
    test(title, () => {
      const result = readTls(tls);
      expect(codeOf(result)).toBe('format.root');
      expect(messageOf(result)).toStartWith(`root document: ${field}: `);
    });
  }

  test('the part twice', () => {
    const bytes = writeRoot({ ...sampleRoot, keys: [], roles: [], channels: [] });
    const part = toBinary(RootSchema, create(RootSchema, { tls: {} }));
    expect(codeOf(readRoot(new Uint8Array([...bytes, ...part])))).toBe('format.protobuf');
  });
});
