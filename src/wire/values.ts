/**
 * Values documents (`kind: Values`), what the channel of one device carries: names, and for each a
 * text or a sealed box in base64. Strict: whoever wrote `vaule` must not find a program without it.
 */
import * as v from 'valibot';
import { isMap, isScalar, parseDocument } from 'yaml';
import { ok, type Result } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { type DeviceValue, isValueName } from '#state/values.ts';
import { idText, line } from './deployment-text.ts';
import { decodeBase64, decodeText, encodeBase64, encodeText } from './text.ts';
import { checkYaml, closed, writeYaml } from './yaml.ts';
import { openYaml, type YamlDocument } from './yaml-document.ts';

export interface ValuesDocument {
  readonly id: string;
  readonly values: ReadonlyMap<string, DeviceValue>;
}

const NAME = 'a name: letters, digits, "_", "." and "-", at most 64, not starting with a digit';
const TEXT = `text of 1 to ${LIMITS.valueBytes} bytes, a number, or true or false`;
/** version, ephemeral key, tag and one block; bytes */
const BOX_MIN = 1 + 32 + 16 + 64;

export function valueName() {
  return v.pipe(v.string(NAME), v.check(isValueName, NAME));
}

const plain = v.pipe(
  v.union([v.string(), v.number(), v.boolean()], TEXT),
  v.transform((value) => (typeof value === 'string' ? value : JSON.stringify(value))),
  v.check((text) => text !== '' && encodeText(text).length <= LIMITS.valueBytes, TEXT),
);

const BOX = 'what `holdfast seal` has made';
const box = v.pipe(
  v.string(BOX),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = decodeBase64(dataset.value.replace(/\s/g, ''));
    if (bytes && bytes.length >= BOX_MIN) return bytes;
    addIssue({ message: BOX });
    return NEVER;
  }),
);

const value = v.pipe(
  closed({ value: v.optional(plain), sealed: v.optional(box) }),
  v.rawTransform(({ dataset, addIssue, NEVER }): DeviceValue => {
    const { value: text, sealed } = dataset.value;
    if (text !== undefined && sealed === undefined) return { kind: 'plain', text };
    if (sealed !== undefined && text === undefined) return { kind: 'sealed', box: sealed };
    addIssue({ message: 'one of value and sealed' });
    return NEVER;
  }),
);

export const valuesSchema = closed({
  apiVersion: v.literal('holdfast/v1', 'holdfast/v1'),
  kind: v.literal('Values', 'Values'),
  id: idText(),
  metadata: v.optional(closed({ name: v.optional(line()) }), {}),
  values: v.pipe(
    v.record(valueName(), value, 'a mapping of values'),
    v.transform((all) => new Map(Object.entries(all))),
    v.check(
      (all) => all.size > 0 && all.size <= LIMITS.valuesMax,
      `1 to ${LIMITS.valuesMax} values`,
    ),
  ),
});

const MAYBE_VALUES = /\bValues\b/;

/** What the document says that it is, in YAML or JSON; where it says nothing, it is none. */
export function isValues(bytes: Uint8Array, file: string): boolean {
  if (!MAYBE_VALUES.test(decodeText(bytes) ?? '')) return false;
  const document = openYaml(bytes, file);
  const value = document.ok ? document.value.value : null;
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Values';
}

/** @param where  the id that the statement gives it, and a name for messages */
export function readValues(
  bytes: Uint8Array,
  { id, file }: { readonly id: string; readonly file: string },
): Result<ValuesDocument> {
  const document = openYaml(bytes, file);
  if (!document.ok) return document;
  const checked = checkYaml(document.value, valuesSchema);
  if (!checked.ok) return checked;
  if (checked.value.id !== id) return notIts(document.value, id);
  return ok({ id, values: checked.value.values });
}

function notIts(document: YamlDocument, id: string) {
  return document.refuse(['id'], `expected ${id}, as the statement and the file's name say`);
}

/**
 * The document with one more box, or another in its place; what else stands in it, comments too,
 * stays. @param before  of `readValues` without fault, or null: a new one
 */
export function withSealed(
  before: Uint8Array | null,
  id: string,
  { name, box: bytes }: { readonly name: string; readonly box: Uint8Array },
): Uint8Array {
  const entry = { sealed: encodeBase64(bytes) };
  if (before === null) {
    const document = { apiVersion: 'holdfast/v1', kind: 'Values', id, values: { [name]: entry } };
    return encodeText(writeYaml(document));
  }
  const document = parseDocument(decodeText(before) ?? '', { version: '1.2', schema: 'core' });
  const values = document.get('values');
  if (isMap(values)) {
    const known = values.items.find(({ key }) => isScalar(key) && key.value === name);
    if (known) known.value = document.createNode(entry);
    else values.add(document.createPair(name, entry));
  }
  return encodeText(document.toString({ lineWidth: 0 }));
}
