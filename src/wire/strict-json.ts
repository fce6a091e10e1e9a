/**
 * JSON that means one thing to every reader (check 5). Refused: a byte order mark, bad UTF-8, lone
 * surrogates, NUL, duplicate keys, anything after the value, more than LIMITS.jsonDepth levels,
 * numbers beyond a double, and all that RFC 8259 refuses. Attack rows P06, P09, P12, S24, R04.
 * Objects have no prototype, so a member named `__proto__` is a member like any other.
 * Byte caps are the caller's: this reads what it is given, in time linear in it.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { quote } from './quote.ts';
import { decodeText } from './text.ts';

/** An integer that a double cannot hold exactly is a bigint. */
export type Json = null | boolean | number | bigint | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/**
 * @param what  names the bytes in the message: "envelope", "manifest"
 * @param numbers  `digits`: one written with a fraction or an exponent is NaN, so that `1e3` is no 1000
 */
export function readStrictJson(
  bytes: Uint8Array,
  what: string,
  numbers: 'any' | 'digits' = 'any',
): Result<Json> {
  const text = decodeText(bytes);
  if (text === null) return refuse('format.json', { what, reason: 'it is not UTF-8' });
  if (text.startsWith('\ufeff')) {
    return refuse('format.json', { what, reason: 'it starts with a byte order mark' });
  }
  const reader: Reader = { text, at: 0, reason: '', numbers };
  const value = readValue(reader, 1);
  if (value === undefined) return unreadable(reader, what);
  skipSpace(reader);
  if (reader.at < text.length) {
    reader.reason = 'something follows the value';
    return unreadable(reader, what);
  }
  return ok(value);
}

export function isJsonObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Reader {
  readonly text: string;
  at: number;
  /** set when a read gave undefined */
  reason: string;
  readonly numbers: 'any' | 'digits';
}

function unreadable(reader: Reader, what: string): Refused {
  return refuse('format.json', { what, reason: `${reader.reason} at character ${reader.at}` });
}

function fail(reader: Reader, reason: string): undefined {
  reader.reason = reason;
  return undefined;
}

const SPACE = /[ \t\n\r]*/y;

function skipSpace(reader: Reader): void {
  SPACE.lastIndex = reader.at;
  SPACE.test(reader.text);
  reader.at = SPACE.lastIndex;
}

function readValue(reader: Reader, depth: number): Json | undefined {
  skipSpace(reader);
  const first = reader.text[reader.at];
  if (first === '{' || first === '[') {
    if (depth > LIMITS.jsonDepth) return fail(reader, `deeper than ${LIMITS.jsonDepth} levels`);
    reader.at += 1;
    return first === '{' ? readObject(reader, depth) : readArray(reader, depth);
  }
  if (first === '"') return readString(reader);
  if (reader.text.startsWith('true', reader.at)) return word(reader, 'true', true);
  if (reader.text.startsWith('false', reader.at)) return word(reader, 'false', false);
  if (reader.text.startsWith('null', reader.at)) return word(reader, 'null', null);
  return readNumber(reader);
}

function word<T extends boolean | null>(reader: Reader, spelling: string, value: T): T {
  reader.at += spelling.length;
  return value;
}

function readObject(reader: Reader, depth: number): JsonObject | undefined {
  const members: Record<string, Json> = Object.create(null);
  skipSpace(reader);
  if (take(reader, '}')) return members;
  do {
    skipSpace(reader);
    if (reader.text[reader.at] !== '"') return fail(reader, 'a member name is missing');
    const name = readString(reader);
    if (name === undefined) return undefined;
    if (name in members) return fail(reader, `the member ${quote(name)} stands twice`);
    skipSpace(reader);
    if (!take(reader, ':')) return fail(reader, 'a colon is missing');
    const value = readValue(reader, depth + 1);
    if (value === undefined) return undefined;
    members[name] = value;
    skipSpace(reader);
  } while (take(reader, ','));
  return take(reader, '}') ? members : fail(reader, 'a comma or closing brace is missing');
}

function readArray(reader: Reader, depth: number): Json[] | undefined {
  const items: Json[] = [];
  skipSpace(reader);
  if (take(reader, ']')) return items;
  do {
    const item = readValue(reader, depth + 1);
    if (item === undefined) return undefined;
    items.push(item);
    skipSpace(reader);
  } while (take(reader, ','));
  return take(reader, ']') ? items : fail(reader, 'a comma or closing bracket is missing');
}

function take(reader: Reader, character: string): boolean {
  if (reader.text[reader.at] !== character) return false;
  reader.at += 1;
  return true;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 section 7 bars them in strings
const UNESCAPED = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

function readString(reader: Reader): string | undefined {
  const { text } = reader;
  reader.at += 1;
  const parts: string[] = [];
  for (;;) {
    UNESCAPED.lastIndex = reader.at;
    UNESCAPED.test(text);
    parts.push(text.slice(reader.at, UNESCAPED.lastIndex));
    reader.at = UNESCAPED.lastIndex;
    if (take(reader, '"')) break;
    if (!take(reader, '\\')) {
      return fail(reader, reader.at < text.length ? 'a control in a string' : 'a cut string');
    }
    const escaped = readEscape(reader);
    if (escaped === undefined) return undefined;
    parts.push(escaped);
  }
  const value = parts.length === 1 ? (parts[0] ?? '') : parts.join('');
  return value.isWellFormed() ? value : fail(reader, 'a lone surrogate in a string');
}

const HEX4 = /[0-9a-fA-F]{4}/y;

function readEscape(reader: Reader): string | undefined {
  const letter = reader.text[reader.at] ?? '';
  if (letter !== 'u') {
    const plain = ESCAPES.get(letter);
    if (plain === undefined) return fail(reader, 'an unknown escape in a string');
    reader.at += 1;
    return plain;
  }
  HEX4.lastIndex = reader.at + 1;
  if (!HEX4.test(reader.text)) return fail(reader, 'an unknown escape in a string');
  const unit = Number.parseInt(reader.text.slice(reader.at + 1, reader.at + 5), 16);
  if (unit === 0) return fail(reader, 'NUL in a string');
  reader.at += 5;
  return String.fromCharCode(unit);
}

const NUMBER = /(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
/** a 64-bit integer has 20 digits: longer ones are only there to cost time */
const DIGITS_MAX = 64;

function readNumber(reader: Reader): number | bigint | undefined {
  NUMBER.lastIndex = reader.at;
  const match = NUMBER.exec(reader.text);
  if (match === null) {
    return fail(reader, reader.at < reader.text.length ? 'no JSON value' : 'a value is missing');
  }
  const [spelling, integer = '', fraction, exponent] = match;
  if (spelling.length > DIGITS_MAX) return fail(reader, 'a number of too many digits');
  const value = Number(spelling);
  if (!Number.isFinite(value)) return fail(reader, 'a number too large');
  reader.at += spelling.length;
  if (fraction !== undefined || exponent !== undefined) {
    return reader.numbers === 'any' ? value : Number.NaN;
  }
  return Number.isSafeInteger(value) ? value : BigInt(integer);
}
