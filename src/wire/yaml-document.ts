/**
 * YAML that means one thing to every reader (row P10): one document, mappings with text keys that
 * stand once, lists, and scalars of YAML 1.2's core schema. Anchors, aliases, tags, directives and
 * merge keys are refused, so nothing grows and nothing is constructed; so are numbers that readers
 * disagree about. The token tree is judged before it is composed, and errors are not made pretty:
 * both keep hostile input linear (the composer's own error texts are quadratic, measured).
 * Every value keeps its place, so that a fault names line and column.
 */
import { Composer, type CST, isMap, isScalar, isSeq, LineCounter, Parser } from 'yaml';
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { quote } from './quote.ts';
import { decodeText } from './text.ts';

/** Mappings are objects without a prototype. */
export type Yaml =
  | null
  | boolean
  | number
  | string
  | readonly Yaml[]
  | { readonly [key: string]: Yaml };
export type YamlPath = readonly (string | number)[];

export interface YamlDocument {
  readonly value: Yaml;
  /** `config.invalid` at the value, or as near to it as the document goes. */
  refuse(path: YamlPath, expected: string): Refused;
  /** The same at the key itself. */
  refuseKey(path: YamlPath, expected: string): Refused;
}

const BYTES_MAX = 1024 * 1024;
/** names that programs confuse with the object's own */
const BARRED_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/** @param file  for messages */
export function openYaml(bytes: Uint8Array, file: string): Result<YamlDocument> {
  const lines = new LineCounter();
  const at: Fault = (offset, expected) => {
    const { line, col } = lines.linePos(offset);
    return refuse('config.invalid', {
      file,
      line: Math.max(1, line),
      column: Math.max(1, col),
      expected,
    });
  };
  if (bytes.length > BYTES_MAX) return at(0, `expected at most ${BYTES_MAX} bytes`);
  const text = decodeText(bytes);
  if (text === null) return at(0, 'expected UTF-8 text');
  if (text.startsWith('\ufeff')) return at(0, 'expected no byte order mark');
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const barred = barredToken(tokens);
  if (barred !== null) return at(barred.offset, `expected ${barred.expected}`);
  const [document, ...more] = new Composer(COMPOSER).compose(tokens, true, text.length);
  if (document === undefined || more.length > 0) return at(0, 'expected one YAML document');
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined)
    return at(problem.pos[0], `not well-formed: ${plain(problem.message)}`);
  const read = readNode(document.contents);
  if ('expected' in read) return at(read.offset, `expected ${read.expected}`);
  return ok({
    value: read.value,
    refuse: (path, expected) => at(placeOf(read, path).offset, expected),
    refuseKey: (path, expected) => {
      const place = placeOf(read, path);
      return at(place.keyOffset ?? place.offset, expected);
    },
  });
}

/** `spec.health[0].interval`; the document itself is empty. */
export function pathText(path: YamlPath): string {
  const parts = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${plainKey(part)}`));
  return parts.join('').replace(/^\./, '');
}

function plainKey(key: string): string {
  return /^[A-Za-z0-9_./-]{1,64}$/.test(key) ? key : quote(key);
}

const COMPOSER = {
  version: '1.2',
  schema: 'core',
  merge: false,
  strict: true,
  prettyErrors: false,
  uniqueKeys: false, // compares each with each; readMap does it in linear time
  intAsBigInt: false,
} as const;

type Fault = (offset: number, expected: string) => Refused;
interface Barred {
  readonly offset: number;
  readonly expected: string;
}

const BARRED: ReadonlyMap<string, string> = new Map([
  ['alias', 'no alias: write the value out'],
  ['anchor', 'no anchor: write the value out where it is needed'],
  ['tag', 'no tag'],
  ['directive', 'no directive'],
  ['directive-line', 'no directive'],
  ['byte-order-mark', 'no byte order mark'],
]);

/** The first thing in the token tree that has no place here, without recursion. */
function barredToken(tokens: readonly CST.Token[]): Barred | null {
  const stack: { readonly token: CST.Token; readonly depth: number }[] = [];
  for (const token of tokens.toReversed()) stack.push({ token, depth: 0 });
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { token, depth } = next;
    if (token.type === 'error')
      return { offset: token.offset, expected: `YAML; ${plain(token.message)}` };
    const expected = BARRED.get(token.type);
    if (expected !== undefined) return { offset: token.offset, expected };
    if (depth > LIMITS.yamlDepth) {
      return { offset: token.offset, expected: `at most ${LIMITS.yamlDepth} levels` };
    }
    const inner = 'items' in token ? depth + 1 : depth;
    for (const child of childrenOf(token).toReversed()) stack.push({ token: child, depth: inner });
  }
  return null;
}

function childrenOf(token: CST.Token): CST.Token[] {
  const children: (CST.Token | null | undefined)[] = [];
  if ('start' in token && Array.isArray(token.start)) children.push(...token.start);
  if ('props' in token) children.push(...token.props);
  if ('value' in token) children.push(token.value);
  if ('items' in token) {
    for (const { start, key, sep, value } of token.items) {
      children.push(...start, key, ...(sep ?? []), value);
    }
  }
  if ('end' in token && Array.isArray(token.end)) children.push(...token.end);
  return children.filter((child) => child !== null && child !== undefined);
}

/** A value with its place in the text. */
interface Placed {
  readonly value: Yaml;
  readonly offset: number;
  readonly keyOffset?: number;
  readonly inner: ReadonlyMap<string | number, Placed>;
}

const NONE: ReadonlyMap<string | number, Placed> = new Map();

/** As deep as the document goes along the path. */
function placeOf(document: Placed, path: YamlPath): Placed {
  let place = document;
  for (const part of path) {
    const inner = place.inner.get(part);
    if (inner === undefined) return place;
    place = inner;
  }
  return place;
}

/** Recursion is bounded: barredToken counted the levels. */
function readNode(node: unknown): Placed | Barred {
  if (node === null) return { value: null, offset: 0, inner: NONE };
  if (isScalar(node)) return readScalar(node);
  if (isMap(node)) return readMap(node);
  if (isSeq(node)) {
    const inner = new Map<number, Placed>();
    for (const [index, item] of node.items.entries()) {
      const placed = readNode(item);
      if ('expected' in placed) return placed;
      inner.set(index, placed);
    }
    return { value: [...inner.values()].map(({ value }) => value), offset: offsetOf(node), inner };
  }
  return { offset: 0, expected: 'a mapping, a list or a scalar' };
}

type MapNode = { readonly items: readonly { readonly key: unknown; readonly value: unknown }[] };
type Ranged = { readonly range?: readonly [number, number, number] | null | undefined };
type ScalarNode = Ranged & {
  readonly value: unknown;
  readonly source?: string | undefined;
  readonly type?: string | undefined;
};

function readMap(node: MapNode & Ranged): Placed | Barred {
  const value: Record<string, Yaml> = Object.create(null);
  const inner = new Map<string, Placed>();
  for (const pair of node.items) {
    const keyOffset = isScalar(pair.key) ? offsetOf(pair.key) : offsetOf(node);
    const key = isScalar(pair.key) ? pair.key.value : undefined;
    if (typeof key !== 'string') return { offset: keyOffset, expected: 'a key that is text' };
    if (key === '<<') return { offset: keyOffset, expected: 'no merge key: write the values out' };
    if (BARRED_KEYS.has(key)) return { offset: keyOffset, expected: `another key than ${key}` };
    if (inner.has(key)) return { offset: keyOffset, expected: `the key ${quote(key)} once` };
    const placed = readNode(pair.value);
    if ('expected' in placed) return placed;
    const offset = placed.offset === 0 ? keyOffset : placed.offset;
    inner.set(key, { ...placed, offset, keyOffset });
    value[key] = placed.value;
  }
  return { value, offset: offsetOf(node), inner };
}

/** Leading zeros: octal in YAML 1.1, decimal in 1.2. */
const AMBIGUOUS = /^[-+]?0[0-9_]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;

function readScalar(node: ScalarNode): Placed | Barred {
  const { value, source = '' } = node;
  const offset = offsetOf(node);
  if (typeof value === 'number') {
    if (AMBIGUOUS.test(source)) return { offset, expected: `quotes around ${quote(source)}` };
    const exact = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    if (!exact) return { offset, expected: 'a number that is exact, or quotes around it' };
    return { value, offset, inner: NONE };
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed() || CONTROL.test(value)) {
      return { offset, expected: 'text without control characters' };
    }
    return { value, offset, inner: NONE };
  }
  if (value === null || typeof value === 'boolean') return { value, offset, inner: NONE };
  return { offset, expected: 'text, a number, true, false or null' };
}

function offsetOf(node: Ranged): number {
  return node.range?.[0] ?? 0;
}

/** The parser's messages repeat what stands there: nothing that a terminal would obey, and no more. */
function plain(message: string): string {
  return message.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ').slice(0, MESSAGE_MAX);
}

/** characters */
const MESSAGE_MAX = 200;
