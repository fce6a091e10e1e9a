/**
 * Mutations of bytes from a seed, with a sense of what they are: fields of protobuf are doubled,
 * dropped and nested with their lengths right, values of JSON replaced in place, headers of tar get
 * their checksum again, what stands in base64 is changed below it. Plain damage comes as well.
 */
import type { Random } from '#platform/random.ts';

export type Shape = 'bytes' | 'text' | 'json' | 'protobuf' | 'tar' | 'armour';

/** bytes: what no mutation passes, so that a target's speed stays its own */
const SIZE_MAX = 64 * 1024;
const STEPS_MAX = 4;
const REPEATS_MAX = 12;

const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const WORDS: readonly string[] = [
  ...['0', '-1', '1e999', '9223372036854775808', '18446744073709551616', '0x10', 'NaN', '010'],
  ...['', ' ', '\0', '\n', '\r\n', '\t', '"', "'", '\\', '{', '}', '[', ']', ':', ',', '=', ';'],
  ...['../', '/', '..', '.', '%2f', '\u202e', '\ufeff', '\u0000', '\\ud800', 'é', 'é', '😀'],
  ...['__proto__', 'constructor', 'null', 'true', '<<: *a', '&a', '*a', '!!js/function', '---\n'],
];

/** @param other  of the corpus, for splices */
export type Mutator = (input: Uint8Array, other: Uint8Array) => Uint8Array;

export interface MutatorOptions {
  readonly shape: Shape;
  readonly words?: readonly string[];
  /** bytes */
  readonly sizeMax?: number;
}

export function mutator(random: Random, options: MutatorOptions): Mutator {
  const { shape, words = [], sizeMax = SIZE_MAX } = options;
  const dice: Dice = {
    below: (count) => Math.floor(random.unit() * count),
    bytes: random.bytes,
    words: [...WORDS, ...words],
  };
  return (input, other) => {
    let bytes = input;
    for (let steps = 1 + dice.below(STEPS_MAX); steps > 0; steps -= 1) {
      // A third is plain damage, also where a structure is known.
      const ways = dice.below(3) === 0 ? PLAIN : SHAPED[shape];
      bytes = pick(dice, ways)(dice, bytes, other).subarray(0, sizeMax);
    }
    return shape === 'tar' && dice.below(8) > 0 ? withChecksums(bytes) : bytes;
  };
}

interface Dice {
  below(count: number): number;
  bytes(count: number): Uint8Array;
  readonly words: readonly string[];
}

type Change = (dice: Dice, bytes: Uint8Array, other: Uint8Array) => Uint8Array;

function pick<T>(dice: Dice, items: readonly T[]): T {
  return items[dice.below(items.length)] as T;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function range(dice: Dice, { length }: Uint8Array): readonly [number, number] {
  const [a, b] = [dice.below(length + 1), dice.below(Math.min(length + 1, 64))];
  return [a, Math.min(length, a + b)];
}

function number(dice: Dice): Uint8Array {
  const bytes = Buffer.alloc(8);
  const value = BigInt(pick(dice, NUMBERS)) + (dice.below(8) === 0 ? 2n ** 63n : 0n);
  if (dice.below(2) === 0) bytes.writeBigUInt64LE(value);
  else bytes.writeBigUInt64BE(value);
  const count = pick(dice, [1, 2, 4, 8]);
  return dice.below(2) === 0 ? bytes.subarray(0, count) : bytes.subarray(8 - count);
}

const flip: Change = (dice, bytes) => {
  const copy = Uint8Array.from(bytes);
  const at = dice.below(copy.length);
  if (copy.length > 0) copy[at] = (copy[at] ?? 0) ^ (1 << dice.below(8));
  return copy;
};
const overwrite: Change = (dice, bytes) => {
  const copy = Uint8Array.from(bytes);
  const value = number(dice);
  if (copy.length >= value.length) copy.set(value, dice.below(copy.length - value.length + 1));
  return copy;
};
const insert: Change = (dice, bytes) => {
  const at = dice.below(bytes.length + 1);
  const added = dice.below(2) === 0 ? number(dice) : dice.bytes(1 + dice.below(16));
  return join(bytes.subarray(0, at), added, bytes.subarray(at));
};
const remove: Change = (dice, bytes) => {
  const [from, to] = range(dice, bytes);
  return join(bytes.subarray(0, from), bytes.subarray(to));
};
const truncate: Change = (dice, bytes) => bytes.subarray(0, dice.below(bytes.length + 1));
const repeat: Change = (dice, bytes) => {
  const [from, to] = range(dice, bytes);
  let part = bytes.subarray(from, to);
  for (let doublings = dice.below(REPEATS_MAX); doublings > 0; doublings -= 1) {
    if (part.length * 2 <= SIZE_MAX) part = join(part, part);
  }
  return join(bytes.subarray(0, to), part, bytes.subarray(to));
};
const splice: Change = (dice, bytes, other) => {
  const [from, to] = range(dice, other);
  const at = dice.below(bytes.length + 1);
  return join(bytes.subarray(0, at), other.subarray(from, to), bytes.subarray(at));
};
const cross: Change = (dice, bytes, other) =>
  join(
    bytes.subarray(0, dice.below(bytes.length + 1)),
    other.subarray(dice.below(other.length + 1)),
  );

const PLAIN: readonly Change[] = [flip, overwrite, insert, remove, truncate, repeat, splice, cross];

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
const unlatin = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'latin1'));
const utf8 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));

const word: Change = (dice, bytes) => {
  const [from, to] = dice.below(2) === 0 ? range(dice, bytes) : [0, 0];
  const at = from === to ? dice.below(bytes.length + 1) : from;
  return join(
    bytes.subarray(0, at),
    utf8(pick(dice, dice.words)),
    bytes.subarray(Math.max(at, to)),
  );
};
/** One token, a run of letters or digits, becomes another word or a word of the dictionary. */
const token: Change = (dice, bytes, other) => {
  const tokens = [...latin(bytes).matchAll(/[\w.@+/-]+/g)];
  const chosen = pick(dice, tokens);
  if (!chosen) return word(dice, bytes, other);
  const theirs = latin(other).match(/[\w.@+/-]+/g) ?? [];
  const next =
    dice.below(2) === 0 ? utf8(pick(dice, dice.words)) : unlatin(pick(dice, theirs) ?? '');
  const end = chosen.index + chosen[0].length;
  return join(bytes.subarray(0, chosen.index), next, bytes.subarray(end));
};
const line: Change = (dice, bytes) => {
  const lines = latin(bytes).split('\n');
  const [from, to] = [dice.below(lines.length), dice.below(lines.length)];
  const [moved = ''] = dice.below(2) === 0 ? lines.splice(from, 1) : [lines[from] ?? ''];
  lines.splice(to, 0, moved);
  return unlatin(lines.join('\n'));
};

/** Somewhere in the tree of values: replaced, doubled under another name, nested, taken away. */
const json: Change = (dice, bytes, other) => {
  try {
    const root: unknown = JSON.parse(Buffer.from(bytes).toString());
    return utf8(JSON.stringify(changeValue(dice, root, 0)));
  } catch {
    return token(dice, bytes, other);
  }
};

function changeValue(dice: Dice, value: unknown, depth: number): unknown {
  if (typeof value !== 'object' || value === null || (depth > 0 && dice.below(4) === 0)) {
    return pick<unknown>(dice, [
      ...[null, true, -0, 1e300, 2 ** 53, [], {}, [value], { a: value }],
      ...[pick(dice, dice.words), `${String(value)}${pick(dice, dice.words)}`],
    ]);
  }
  if (Array.isArray(value)) {
    const items = [...value];
    const at = dice.below(items.length);
    const way = dice.below(4);
    if (way === 0) items.push(...items.slice(0, 64));
    else if (way === 1) items.splice(at, 1);
    else if (items.length > 0) items[at] = changeValue(dice, items[at], depth + 1);
    return items;
  }
  const entries = Object.entries(value);
  const at = dice.below(entries.length);
  const [key = 'a', inside = null] = entries[at] ?? [];
  const way = dice.below(5);
  if (way === 0) entries.splice(at, 1);
  else if (way === 1) entries.push([pick(dice, dice.words), inside]);
  else entries[at] = [key, changeValue(dice, inside, depth + 1)];
  return Object.fromEntries(entries);
}

interface Field {
  readonly start: number;
  readonly end: number;
  /** of a length-delimited one */
  readonly content: Uint8Array | null;
  readonly tag: Uint8Array;
}

/** The fields of a message, or none when it is no message. */
function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = varint(bytes, at);
    if (!tag) return [];
    const head = bytes.subarray(at, tag.end);
    const kind = tag.value & 7;
    const size = kind === 2 || kind === 0 ? varint(bytes, tag.end) : null;
    if ((kind === 2 || kind === 0) && !size) return [];
    const from = size?.end ?? tag.end;
    const end =
      kind === 2 ? from + (size?.value ?? 0) : kind === 1 ? from + 8 : kind === 5 ? from + 4 : from;
    if (end > bytes.length || (kind > 2 && kind !== 5)) return [];
    fields.push({
      start: at,
      end,
      tag: head,
      content: kind === 2 ? bytes.subarray(from, end) : null,
    });
    at = end;
  }
  return fields;
}

function varint(bytes: Uint8Array, at: number): { value: number; end: number } | null {
  let value = 0;
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return null;
    if (index < 7) value += (byte & 0x7f) * 128 ** index;
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return null;
}

function varintOf(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    if (left < 128) return Uint8Array.from([...bytes, left]);
    bytes.push((left % 128) | 0x80);
  }
}

const protobuf: Change = (dice, bytes, other) => {
  const fields = fieldsOf(bytes);
  const chosen = pick(dice, fields);
  if (!chosen) return pick(dice, PLAIN)(dice, bytes, other);
  const whole = bytes.subarray(chosen.start, chosen.end);
  const [before, after] = [bytes.subarray(0, chosen.start), bytes.subarray(chosen.end)];
  const way = dice.below(6);
  if (way === 0) return join(before, after);
  if (way === 1) return join(bytes, ...Array.from({ length: 2 ** dice.below(8) }, () => whole));
  if (way === 2)
    return join(before, flip(dice, chosen.tag, other), whole.subarray(chosen.tag.length), after);
  if (way === 3) {
    const theirs = pick(dice, fieldsOf(other));
    return theirs ? join(before, other.subarray(theirs.start, theirs.end), after) : bytes;
  }
  if (!chosen.content) return join(before, chosen.tag, varintOf(pick(dice, NUMBERS)), after);
  const inner = way === 4 ? protobuf : pick(dice, [...PLAIN, word]);
  const content = inner(dice, chosen.content, other);
  return join(before, chosen.tag, varintOf(content.length), content, after);
};

/** A field of a header block: name, mode, size, type, link, prefix. */
const tarHeader: Change = (dice, bytes) => {
  const copy = Uint8Array.from(bytes);
  const block = dice.below(Math.ceil(copy.length / 512)) * 512;
  const [at, length] = pick(dice, [
    [0, 100],
    [100, 8],
    [124, 12],
    [156, 1],
    [157, 100],
    [257, 8],
    [345, 155],
  ]);
  const text = dice.below(3) === 0 ? number(dice) : utf8(pick(dice, dice.words));
  const place = block + (at ?? 0);
  for (const [index, byte] of text.subarray(0, length).entries()) {
    if (place + index < copy.length) copy[place + index] = byte;
  }
  return copy;
};
const tarBlock: Change = (dice, bytes) => {
  const blocks = Array.from({ length: Math.ceil(bytes.length / 512) }, (_, index) =>
    bytes.subarray(index * 512, index * 512 + 512),
  );
  const [from, to] = [dice.below(blocks.length), dice.below(blocks.length)];
  const [moved = new Uint8Array(512)] =
    dice.below(2) === 0 ? blocks.splice(from, 1) : [blocks[from]];
  blocks.splice(to, 0, moved);
  return join(...blocks);
};

/** Makes what looks like a header pass its checksum again, so that what stands in it is judged. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let at = 0; at + 512 <= copy.length; at += 512) {
    if (!/^ustar/.test(latin(copy.subarray(at + 257, at + 262)))) continue;
    copy.fill(0x20, at + 148, at + 156);
    const sum = copy.subarray(at, at + 512).reduce((total, byte) => total + byte, 0);
    copy.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), at + 148);
  }
  return copy;
}

/** What stands in base64 is changed and wrapped again. */
const armour: Change = (dice, bytes, other) => {
  const text = latin(bytes);
  const blocks = [...text.matchAll(/[A-Za-z0-9+/]{16,}(?:\n[A-Za-z0-9+/]+)*={0,2}/g)];
  const chosen = pick(dice, blocks);
  if (!chosen) return token(dice, bytes, other);
  const inside = new Uint8Array(Buffer.from(chosen[0], 'base64'));
  const changed = Buffer.from(pick(dice, PLAIN)(dice, inside, other)).toString('base64');
  return unlatin(
    text.slice(0, chosen.index) + changed + text.slice(chosen.index + chosen[0].length),
  );
};

const SHAPED: Readonly<Record<Shape, readonly Change[]>> = {
  bytes: PLAIN,
  text: [word, token, token, line],
  json: [json, json, token, armour],
  protobuf: [protobuf],
  tar: [tarHeader, tarHeader, tarBlock],
  armour: [armour, armour, token, line],
};
