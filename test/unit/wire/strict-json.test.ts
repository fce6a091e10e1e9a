/** Strict JSON: what every reader takes for the same value, and nothing else. */
import { describe, expect, test } from 'bun:test';
import fc from 'fast-check';
import { type Json, readStrictJson } from '#wire/strict-json.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const read = (text: string) => readStrictJson(bytesOf(text), 'sample');

describe('strict JSON is read as JSON', () => {
  test('any JSON of at most 12 levels comes back as JSON.parse reads it', () => {
    const value = fc.jsonValue({ maxDepth: 11, noUnicodeString: false });
    fc.assert(
      fc.property(value, (json) => {
        const text = JSON.stringify(json);
        fc.pre(!text.includes('\\u0000') && JSON.stringify(JSON.parse(text)) === text);
        const result = readStrictJson(bytesOf(text), 'sample');
        fc.pre(!messageOf(result).includes('surrogate'));
        expect(JSON.stringify(plain(granted(result)), rounded)).toBe(text);
      }),
    );
  });

  for (const [text, value] of [
    [' {"a":[1,-2.5e3,true,false,null,"x"]}\n', { a: [1, -2500, true, false, null, 'x'] }],
    ['"\\u00e9\\ud83d\\ude00\\n\\/"', 'é😀\n/'],
    ['9007199254740991', 9007199254740991],
    ['18446744073709551615', 18446744073709551615n],
    ['-9007199254740993', -9007199254740993n],
  ] as const) {
    test(`${text.trim()} is read exactly`, () => expect(plain(granted(read(text)))).toEqual(value));
  }

  test('a member named __proto__ is a member and touches no prototype (P09)', () => {
    const value = granted(read('{"__proto__":{"polluted":1},"constructor":2}'));
    expect(Object.getPrototypeOf(value)).toBeNull();
    expect(Object.keys(value as object)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});

describe('what readers disagree about is refused', () => {
  for (const [title, text, reason] of [
    ['duplicate keys (S24, P09)', '{"payload":"a","payload":"b"}', '"payload" stands twice'],
    ['duplicate keys by escape', '{"a":1,"\\u0061":2}', '"a" stands twice'],
    ['duplicate __proto__', '{"__proto__":1,"__proto__":2}', 'stands twice'],
    ['a byte order mark (P09)', '\ufeff{}', 'byte order mark'],
    ['bytes after the value', '{} {}', 'follows the value'],
    ['a comment', '{}// x', 'follows the value'],
    ['NaN (P09)', 'NaN', 'no JSON value'],
    ['Infinity', '-Infinity', 'no JSON value'],
    ['1e999 (P09)', '1e999', 'too large'],
    ['a number of 10,000 digits', '1'.repeat(10_000), 'too many digits'],
    ['a leading zero', '[01]', 'comma'],
    ['a leading plus', '[+1]', 'no JSON value'],
    ['a bare fraction', '[.5]', 'no JSON value'],
    ['a hexadecimal number', '[0x10]', 'comma'],
    ['single quotes', "{'a':1}", 'member name'],
    ['a bare key', '{a:1}', 'member name'],
    ['a trailing comma', '[1,]', 'no JSON value'],
    ['a trailing comma in an object', '{"a":1,}', 'member name'],
    ['a missing colon', '{"a" 1}', 'colon'],
    ['an unclosed array', '[1', 'bracket'],
    ['an unclosed object', '{"a":1', 'brace'],
    ['a cut string', '"abc', 'cut string'],
    ['a cut escape', '"\\u12', 'escape'],
    ['an unknown escape', '"\\x41"', 'escape'],
    ['a raw line break in a string', '"a\nb"', 'control'],
    ['a raw NUL in a string (P12)', '"a\0b"', 'control'],
    ['an escaped NUL (P12)', '"a\\u0000b"', 'NUL'],
    ['a lone surrogate (P06)', '"\\ud800"', 'surrogate'],
    ['surrogates in the wrong order (P06)', '"\\udc00\\ud800"', 'surrogate'],
    ['nothing', '', 'missing'],
    ['a vertical tab as space', '\u000b1', 'no JSON value'],
  ] as const) {
    test(title, () => {
      const result = read(text);
      expect(codeOf(result)).toBe('format.json');
      expect(messageOf(result)).toContain(reason);
    });
  }

  for (const [title, bytes] of [
    ['an overlong form', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a cut sequence', [0x22, 0xe2, 0x82, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ] as const) {
    test(`bad UTF-8: ${title} (P06)`, () => {
      expect(messageOf(readStrictJson(new Uint8Array(bytes), 'sample'))).toContain('not UTF-8');
    });
  }

  test('16 levels pass, 17 do not', () => {
    expect(codeOf(read('['.repeat(16) + ']'.repeat(16)))).toBe('ok');
    expect(messageOf(read('['.repeat(17) + ']'.repeat(17)))).toContain('deeper than 16');
  });

  test('a million levels are refused in time, without recursion (P09)', () => {
    expect(codeOf(read('['.repeat(1_000_000)))).toBe('format.json');
    expect(codeOf(read('{"a":'.repeat(1_000_000)))).toBe('format.json');
  });

  test('a hostile key is shown escaped and short', () => {
    const key = `\\u001b[31m\\u202e${'x'.repeat(500)}`;
    const message = messageOf(read(`{"${key}":1,"${key}":2}`));
    expect(message).toContain('\\u{1b}[31m\\u{202e}xxx');
    expect(message.length).toBeLessThan(250);
  });
});

/** What JSON.parse would have made of a large integer. */
function rounded(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** With prototypes, for comparison. */
function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}
