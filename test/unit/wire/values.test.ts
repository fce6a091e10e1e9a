/** Values documents: read strictly, edited without losing what people wrote in them. */
import { describe, expect, test } from 'bun:test';
import { LIMITS } from '#state/limits.ts';
import { readValues, withSealed } from '#wire/values.ts';

const BOX = new Uint8Array(113).fill(1);
const SEALED = Buffer.from(BOX).toString('base64');
const WHERE = { id: 'values', file: 'values.yaml' };
const head = (id = 'values') => `apiVersion: holdfast/v1\nkind: Values\nid: ${id}\nvalues:\n`;

function read(text: string) {
  return readValues(Buffer.from(text), WHERE);
}

function valuesOf(text: string) {
  const document = read(text);
  if (!document.ok) throw new Error(document.fault.message);
  return Object.fromEntries(document.value.values);
}

function refusal(text: string): string {
  const document = read(text);
  return document.ok ? 'read' : `${document.fault.code} ${document.fault.message}`;
}

describe('a values document', () => {
  test('names texts, numbers as they are written in JSON, and boxes', () => {
    const text = `${head()}  serial: { value: "0047" }\n  line: { value: 3 }\n  pin: { sealed: ${SEALED} }\n`;
    expect(valuesOf(text)).toEqual({
      serial: { kind: 'plain', text: '0047' },
      line: { kind: 'plain', text: '3' },
      pin: { kind: 'sealed', box: BOX },
    });
  });

  for (const [what, body] of [
    ['an unknown key', '  pin: { sealed: x, valeu: y }\n'],
    ['a value twice', `  pin: { value: a, sealed: ${SEALED} }\n`],
    ['nothing in it', '  pin: {}\n'],
    ['a box that is none', '  pin: { sealed: "AAAA" }\n'],
    ['a box that is no base64', `  pin: { sealed: "${SEALED.slice(1)}" }\n`],
    ['a name that is none', '  "a b": { value: x }\n'],
    ['an empty value', '  pin: { value: "" }\n'],
    ['a value too long', `  pin: { value: "${'x'.repeat(LIMITS.valueBytes + 1)}" }\n`],
    ['no values', '  {}\n'],
  ] as const) {
    test(`with ${what} is refused with its place: config.invalid`, () => {
      expect(refusal(head() + body)).toMatch(/^config\.invalid values\.yaml:\d+:\d+/);
    });
  }

  test('with more values than a device has is refused', () => {
    const many = Array.from({ length: LIMITS.valuesMax + 1 }, (_, i) => `  v${i}: { value: x }\n`);
    expect(refusal(head() + many.join(''))).toContain('config.invalid');
  });

  test('that has another id than its file is refused', () => {
    expect(refusal(`${head('other')}  a: { value: x }\n`)).toContain('expected values');
  });

  test('shows no value in a fault', () => {
    expect(refusal(`${head()}  pin: { secret: hunter2 }\n`)).not.toContain('hunter2');
  });
});

describe('a box is put into a document', () => {
  test('a new one', () => {
    const made = withSealed(null, 'values', { name: 'pin', box: BOX });
    expect(valuesOf(Buffer.from(made).toString())).toEqual({ pin: { kind: 'sealed', box: BOX } });
  });

  test('in the place of the old one; comments and neighbours stay', () => {
    const before = `${head()}  # line 3\n  serial: { value: "0047" } # on the plate\n  pin:\n    value: old\n`;
    const after = Buffer.from(withSealed(Buffer.from(before), 'values', { name: 'pin', box: BOX }));
    expect(after.toString()).toContain('# line 3');
    expect(after.toString()).toContain('# on the plate');
    expect(valuesOf(after.toString())).toEqual({
      serial: { kind: 'plain', text: '0047' },
      pin: { kind: 'sealed', box: BOX },
    });
  });

  test('beside the others', () => {
    const before = `${head()}  serial: { value: x }\n`;
    const after = withSealed(Buffer.from(before), 'values', { name: 'pin', box: BOX });
    expect(Object.keys(valuesOf(Buffer.from(after).toString()))).toEqual(['serial', 'pin']);
  });
});
