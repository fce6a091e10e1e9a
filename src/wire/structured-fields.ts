/**
 * Dictionaries of structured fields (RFC 9651 section 4.2.2), as much as HTTP signatures and content
 * digests use: members that are inner lists or bare items, with parameters. Strict and linear in the
 * text: what does not parse to its last character is none; keys that stand twice are none either (the
 * RFC would take the last one, and two readers might not). Decimals, dates and display strings are
 * nobody's here and are not read.
 */

export type BareItem =
  | { readonly kind: 'integer'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'token'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'bytes'; readonly value: Uint8Array };

export interface Item {
  readonly item: BareItem;
  readonly parameters: ReadonlyMap<string, BareItem>;
}

export interface Member {
  /** null: a bare item */
  readonly list: readonly Item[] | null;
  readonly item: BareItem | null;
  readonly parameters: ReadonlyMap<string, BareItem>;
}

/** characters of one field, its lines joined */
const TEXT_MAX = 8 * 1024;
const MEMBERS_MAX = 16;
const ITEMS_MAX = 32;
const PARAMETERS_MAX = 16;

const KEY = /[a-z*][a-z0-9_.*-]*/y;
const TOKEN = /[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*/y;
const INTEGER = /-?[0-9]{1,15}(?![0-9.])/y;
const STRING = /"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const BOOLEAN = /\?([01])/y;
const COMMA = /[ \t]*,[ \t]*/y;
const SPACES = / */y;

interface Cursor {
  readonly text: string;
  at: number;
}

/** Null: it is no dictionary. */
export function readDictionary(text: string): ReadonlyMap<string, Member> | null {
  if (text.length > TEXT_MAX) return null;
  const cursor: Cursor = { text: text.replace(/^ +| +$/g, ''), at: 0 };
  const members = new Map<string, Member>();
  while (cursor.at < cursor.text.length) {
    if (members.size > 0 && !taken(cursor, COMMA)) return null;
    const key = taken(cursor, KEY)?.[0];
    if (key === undefined || members.has(key) || members.size >= MEMBERS_MAX) return null;
    const member = readMember(cursor);
    if (member === null) return null;
    members.set(key, member);
  }
  return members;
}

/** @see RFC 9651 section 4.1.3 */
export function writeItem(item: BareItem): string {
  switch (item.kind) {
    case 'integer':
      return `${item.value}`;
    case 'string':
      return `"${item.value.replace(/["\\]/g, '\\$&')}"`;
    case 'token':
      return item.value;
    case 'boolean':
      return item.value ? '?1' : '?0';
    case 'bytes':
      return `:${Buffer.from(item.value).toString('base64')}:`;
  }
}

/** @see RFC 9651 section 4.1.1.2: true is said by the key alone */
export function writeParameters(parameters: ReadonlyMap<string, BareItem>): string {
  return [...parameters]
    .map(([key, item]) =>
      item.kind === 'boolean' && item.value ? `;${key}` : `;${key}=${writeItem(item)}`,
    )
    .join('');
}

function readMember(cursor: Cursor): Member | null {
  if (!is(cursor, '=')) {
    const parameters = readParameters(cursor);
    return parameters && { list: null, item: { kind: 'boolean', value: true }, parameters };
  }
  cursor.at += 1;
  const list = is(cursor, '(') ? readList(cursor) : undefined;
  const item = list === undefined ? readItem(cursor) : null;
  if (list === null || (list === undefined && item === null)) return null;
  const parameters = readParameters(cursor);
  return parameters && { list: list ?? null, item, parameters };
}

function readList(cursor: Cursor): readonly Item[] | null {
  const items: Item[] = [];
  cursor.at += 1;
  for (;;) {
    const spaced = taken(cursor, SPACES)?.[0] !== '';
    if (is(cursor, ')')) {
      cursor.at += 1;
      return items;
    }
    if ((items.length > 0 && !spaced) || items.length >= ITEMS_MAX) return null;
    const item = readItem(cursor);
    const parameters = item && readParameters(cursor);
    if (!item || !parameters) return null;
    items.push({ item, parameters });
  }
}

function readParameters(cursor: Cursor): ReadonlyMap<string, BareItem> | null {
  const parameters = new Map<string, BareItem>();
  while (is(cursor, ';')) {
    cursor.at += 1;
    taken(cursor, SPACES);
    const key = taken(cursor, KEY)?.[0];
    if (key === undefined || parameters.has(key) || parameters.size >= PARAMETERS_MAX) return null;
    const valued = is(cursor, '=');
    if (valued) cursor.at += 1;
    const item: BareItem | null = valued ? readItem(cursor) : { kind: 'boolean', value: true };
    if (item === null) return null;
    parameters.set(key, item);
  }
  return parameters;
}

function readItem(cursor: Cursor): BareItem | null {
  const string = taken(cursor, STRING);
  if (string) return { kind: 'string', value: (string[1] ?? '').replace(/\\(.)/g, '$1') };
  const bytes = taken(cursor, BYTES);
  if (bytes) return { kind: 'bytes', value: Buffer.from(bytes[1] ?? '', 'base64') };
  const boolean = taken(cursor, BOOLEAN);
  if (boolean) return { kind: 'boolean', value: boolean[1] === '1' };
  const integer = taken(cursor, INTEGER);
  if (integer) return { kind: 'integer', value: Number(integer[0]) };
  const token = taken(cursor, TOKEN);
  return token ? { kind: 'token', value: token[0] } : null;
}

function is({ text, at }: Cursor, character: string): boolean {
  return text[at] === character;
}

/** What the form takes from here on, and the cursor behind it. */
function taken(cursor: Cursor, form: RegExp): RegExpExecArray | null {
  form.lastIndex = cursor.at;
  const found = form.exec(cursor.text);
  if (found) cursor.at = form.lastIndex;
  return found;
}
