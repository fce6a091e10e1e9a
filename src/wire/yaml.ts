/**
 * YAML documents against a schema. A value that does not fit is `config.invalid` with file, line,
 * column, path and what was expected. Schemas close their mappings with `closed`, so that a key
 * nobody reads is a fault, not a surprise. A schema's own message is read as "expected …".
 */
import * as v from 'valibot';
import { stringify } from 'yaml';
import { ok, type Refused, type Result } from '#errors/fault.ts';
import { LIMITS } from '#state/limits.ts';
import { parseDuration, parseSize } from '#state/quantity.ts';
import { quote } from './quote.ts';
import { openYaml, pathText, type YamlDocument, type YamlPath } from './yaml-document.ts';

export type YamlSchema = v.GenericSchema;

export function readYaml<Schema extends YamlSchema>(
  bytes: Uint8Array,
  file: string,
  schema: Schema,
): Result<v.InferOutput<Schema>> {
  const document = openYaml(bytes, file);
  return document.ok ? checkYaml(document.value, schema) : document;
}

/** The document's value in the shape of the schema. */
export function checkYaml<Schema extends YamlSchema>(
  document: YamlDocument,
  schema: Schema,
): Result<v.InferOutput<Schema>> {
  const checked = v.safeParse(schema, document.value);
  if (checked.success) return ok(checked.output);
  const unknown = checked.issues.find(isUnknownKey);
  return refuseIssue(document, unknown ?? checked.issues[0]);
}

/** A mapping with these keys and no others. */
export function closed<const Entries extends v.ObjectEntries>(entries: Entries) {
  const known = Object.keys(entries).join(', ');
  return v.pipe(
    v.custom<Readonly<Record<string, unknown>>>(isMapping, `a mapping with ${known}`),
    v.strictObject(entries),
  );
}

/** ms; written "30s", "5m", "1h30m", "250ms" */
export function duration(maxMs: number = LIMITS.durationMs) {
  const days = Math.floor(maxMs / 86_400_000);
  const expected = `a duration such as "250ms", "30s" or "5m", at most ${days} days`;
  return v.pipe(
    v.string(expected),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const ms = parseDuration(dataset.value);
      if (ms !== null && ms <= maxMs) return ms;
      addIssue({ message: expected });
      return NEVER;
    }),
  );
}

/** bytes; written "64Mi", "512Ki", or a plain number */
export function byteSize() {
  const expected = 'a size such as "64Mi"';
  return v.pipe(
    v.union([v.string(), v.number()], expected),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const bytes = parseSize(`${dataset.value}`);
      if (bytes !== null) return bytes;
      addIssue({ message: expected });
      return NEVER;
    }),
  );
}

function isMapping(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

type Issue = v.BaseIssue<unknown>;

function isUnknownKey(issue: Issue): boolean {
  return issue.type === 'strict_object' && issue.expected === 'never';
}

function refuseIssue(document: YamlDocument, issue: Issue): Refused {
  const path = (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : `${key}`));
  if (isUnknownKey(issue)) {
    const key = quote(`${path.at(-1) ?? ''}`);
    return document.refuseKey(path, `${inside(path.slice(0, -1))}unknown key ${key}`);
  }
  if (issue.type === 'strict_object' && issue.input === undefined) {
    return document.refuse(path, `${pathText(path)} is missing`);
  }
  const found = foundText(issue.input, path);
  return document.refuse(path, `${inside(path)}expected ${expectedText(issue)}, found ${found}`);
}

function inside(path: YamlPath): string {
  return path.length === 0 ? '' : `${pathText(path)}: `;
}

/** A message of the schema's own, else valibot's word for the type. */
function expectedText(issue: Issue): string {
  if (!issue.message.startsWith('Invalid ')) return issue.message;
  return EXPECTED.get(issue.expected ?? '') ?? issue.expected ?? 'something else';
}

const EXPECTED: ReadonlyMap<string, string> = new Map([
  ['string', 'text (put it in quotes)'],
  ['number', 'a number'],
  ['boolean', 'true or false'],
  ['Array', 'a list'],
  ['Object', 'a mapping'],
]);

/** What stands there; text under a secret's name is not shown. */
function foundText(input: unknown, path: YamlPath): string {
  if (input === undefined || input === null) return 'nothing';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a mapping';
  const secret = path.some((part) => /pass|secret|token|key/i.test(`${part}`));
  if (secret) return typeof input === 'string' ? 'text' : `a ${typeof input}`;
  return typeof input === 'string' ? quote(input) : `${input}`;
}

/** For people and their tools (`-o yaml`): block style, long texts on one line, no anchors. */
export function writeYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}
