/** The DSSE envelope in JSON and protobuf. */
import { describe, expect, test } from 'bun:test';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { envelopeFromProto, envelopeToProto, readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import { readEnvelopeMessage, writeEnvelopeMessage } from '#wire/envelope-message.ts';
import { EnvelopeSchema } from '#wire/generated/holdfast_pb.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const sample: Envelope = {
  payloadType: PAYLOAD.desiredState,
  payload: new Uint8Array([1, 2, 3, 4]),
  signatures: [{ keyid: 'k1', sig: new Uint8Array(64).fill(9) }],
};

const readJson = (value: unknown) => readEnvelope(bytesOf(JSON.stringify(value)));
const json = (change: Record<string, unknown>) =>
  readJson({
    payloadType: PAYLOAD.desiredState,
    payload: 'AQIDBA==',
    signatures: [{ keyid: 'k1', sig: 'AAAA' }],
    ...change,
  });

const anyEnvelope = fc.record({
  payloadType: fc.stringMatching(/^[ -~]{1,60}$/),
  payload: fc.uint8Array({ minLength: 1, maxLength: 500 }),
  signatures: fc.array(
    fc.record({
      keyid: fc.stringMatching(/^[ -~]{0,64}$/),
      sig: fc.uint8Array({ maxLength: 100 }),
    }),
    { maxLength: 16 },
  ),
});

describe('an envelope survives both forms', () => {
  test('JSON: write, then read', () => {
    fc.assert(
      fc.property(anyEnvelope, (envelope) => {
        expect(granted(readEnvelope(writeEnvelope(envelope)))).toEqual(envelope);
      }),
    );
  });

  test('protobuf: write, then read; the same as by JSON', () => {
    fc.assert(
      fc.property(anyEnvelope, (envelope) => {
        expect(granted(readEnvelopeMessage(writeEnvelopeMessage(envelope)))).toEqual(envelope);
        expect(granted(envelopeFromProto(envelopeToProto(envelope)))).toEqual(envelope);
      }),
    );
  });

  test('members that DSSE does not name are ignored, a missing keyid is empty', () => {
    const read = granted(json({ extra: 1, signatures: [{ sig: 'AAAA', cert: 'x' }] }));
    expect(read.signatures).toEqual([{ keyid: '', sig: new Uint8Array(3) }]);
  });
});

describe('envelopes that are refused', () => {
  for (const [title, change] of [
    ['url-safe base64 (S13)', { payload: '-_-_' }],
    ['white space in base64 (S13)', { payload: 'AQID\nBA==' }],
    ['a trailing line break in base64 (S13)', { payload: 'AQIDBA==\n' }],
    ['missing padding (S13)', { payload: 'AQIDBA' }],
    ['too much padding (S13)', { payload: 'AQIDBA====' }],
    ['trailing garbage after the padding (S13)', { payload: 'AQIDBA==AAAA' }],
    ['pad bits that are not zero (S13)', { payload: 'AQIDBB==' }],
    ['a pad bit in a signature (S13)', { signatures: [{ keyid: 'k', sig: 'AB==' }] }],
    ['url-safe base64 in a signature (S13)', { signatures: [{ keyid: 'k', sig: '__8=' }] }],
    ['an empty payload', { payload: '' }],
    ['a payload that is no string', { payload: 5 }],
    ['no payload', { payload: undefined }],
    ['no payloadType', { payloadType: undefined }],
    ['an empty payloadType (S14)', { payloadType: '' }],
    ['a payloadType with a control in it (S14)', { payloadType: 'a/b\n' }],
    ['a payloadType of 256 characters', { payloadType: 'a'.repeat(256) }],
    ['no signatures member', { signatures: undefined }],
    ['signatures that are an object', { signatures: { 0: { sig: 'AAAA' } } }],
    ['a signature that is a string', { signatures: ['AAAA'] }],
    ['a signature without sig', { signatures: [{ keyid: 'k' }] }],
    ['a keyid that is a number', { signatures: [{ keyid: 1, sig: 'AAAA' }] }],
    ['a keyid of 256 characters', { signatures: [{ keyid: 'k'.repeat(256), sig: 'AAAA' }] }],
    ['17 signatures (S21)', { signatures: new Array(17).fill({ keyid: 'k', sig: 'AAAA' }) }],
  ] as const) {
    test(title, () => expect(codeOf(json(change))).toBe('format.envelope'));
  }

  test('an array, a string, null: no object', () => {
    for (const value of [[], 'x', null, 1]) expect(codeOf(readJson(value))).toBe('format.envelope');
  });

  test('duplicate keys (S24) are no strict JSON', () => {
    const text = '{"payload":"AQ==","payload":"Ag==","payloadType":"a","signatures":[]}';
    expect(codeOf(readEnvelope(bytesOf(text)))).toBe('format.json');
  });

  test('10,000 signatures cost one refusal (S21)', () => {
    const many = new Array(10_000).fill({ keyid: '', sig: '' });
    expect(messageOf(json({ signatures: many }))).toContain('10000 signatures; at most 16');
  });

  test('one byte above the cap is refused before it is parsed', () => {
    const bytes = new Uint8Array(LIMITS.envelopeBytes + 1).fill(0x20);
    expect(messageOf(readEnvelope(bytes))).toContain('at most 262144');
  });

  test('the protobuf twin has the same bounds', () => {
    const signatures = new Array(17).fill({ keyid: 'k', sig: new Uint8Array(64) });
    const flood = toBinary(EnvelopeSchema, create(EnvelopeSchema, { ...sample, signatures }));
    expect(codeOf(readEnvelopeMessage(flood))).toBe('format.envelope');
    const empty = toBinary(EnvelopeSchema, create(EnvelopeSchema, { payloadType: 'a/b' }));
    expect(codeOf(readEnvelopeMessage(empty))).toBe('format.envelope');
    const twice = new Uint8Array([
      ...writeEnvelopeMessage(sample),
      ...toBinary(EnvelopeSchema, create(EnvelopeSchema, { payload: new Uint8Array([9]) })),
    ]);
    expect(codeOf(readEnvelopeMessage(twice))).toBe('format.protobuf');
  });
});
