/**
 * JSON Schema (draft 2020-12) of what the readers of YAML accept, for editors: made from the schemas
 * that judge, so that both say the same. An editor checks form and names; what only a reader can tell
 * (a path without "..", names that must exist) stands in the descriptions. Pure.
 * @see https://json-schema.org/draft/2020-12
 */
import type * as v from 'valibot';

export type JsonSchema = { readonly [key: string]: unknown };

/** What valibot's objects have in common; each kind is looked at below. */
type Part = Readonly<Record<string, unknown>> & { readonly type: string };

const DIALECT = 'https://json-schema.org/draft/2020-12/schema';

/** @param title  for people */
export function jsonSchema(schema: v.GenericSchema, title: string): JsonSchema {
  return { $schema: DIALECT, title, ...convert(schema as unknown as Part) };
}

function convert(part: Part): JsonSchema {
  const pipe = part.pipe as readonly Part[] | undefined;
  if (pipe) return piped(pipe);
  const expected = text(part.message);
  const described = expected === null ? {} : { description: expected };
  switch (part.type) {
    case 'string':
    case 'boolean':
    case 'number':
      return { type: part.type, ...described };
    case 'literal':
      return { const: part.literal };
    case 'picklist':
      return { enum: part.options };
    case 'array':
      return { type: 'array', items: convert(part.item as Part), ...described };
    case 'record':
      return {
        type: 'object',
        ...keys(part.key as Part),
        ...values(part.value as Part),
        ...described,
      };
    case 'union':
      return { anyOf: (part.options as readonly Part[]).map(convert), ...described };
    case 'optional':
      return optional(part);
    case 'strict_object':
      return object(part, false);
    case 'loose_object':
      return object(part, true);
    case 'lazy':
      return chosen(part.getter as (input: unknown) => Part);
    default:
      return described;
  }
}

/** Later parts narrow what the first says; a check is told by its message. */
function piped([first, ...rest]: readonly Part[]): JsonSchema {
  let schema: Readonly<Record<string, unknown>> = first ? convert(first) : {};
  for (const part of rest) {
    const more = part.kind === 'schema' ? convert(part) : action(part);
    const description = schema.description ?? more.description;
    schema = { ...schema, ...more, ...(description === undefined ? {} : { description }) };
  }
  return schema;
}

function action(part: Part): JsonSchema {
  const { requirement } = part;
  const expected = text(part.message);
  const described = expected === null ? {} : { description: expected };
  const isNumber = typeof requirement === 'number';
  switch (part.type) {
    case 'regex':
      return requirement instanceof RegExp
        ? { pattern: requirement.source, ...described }
        : described;
    case 'min_value':
      return isNumber ? { minimum: requirement } : {};
    case 'max_value':
      return isNumber ? { maximum: requirement } : {};
    case 'integer':
      return { type: 'integer' };
    case 'non_empty':
      return { minLength: 1, ...described };
    case 'check':
      return described;
    default:
      return {};
  }
}

function optional(part: Part): JsonSchema {
  const wrapped = convert(part.wrapped as Part);
  const fallback = part.default;
  const plain = typeof fallback !== 'function' && fallback !== undefined;
  return plain ? { ...wrapped, default: fallback } : wrapped;
}

function object(part: Part, open: boolean): JsonSchema {
  const entries = Object.entries(part.entries as Readonly<Record<string, Part>>);
  const required = entries.filter(([, entry]) => entry.type !== 'optional').map(([name]) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(entries.map(([name, entry]) => [name, convert(entry)])),
    ...(required.length === 0 ? {} : { required }),
    ...(open ? {} : { additionalProperties: false }),
  };
}

function keys(part: Part): JsonSchema {
  const { description, pattern } = convert(part);
  const names = {
    ...(pattern === undefined ? {} : { pattern }),
    ...(description === undefined ? {} : { description }),
  };
  return Object.keys(names).length === 0 ? {} : { propertyNames: names };
}

function values(part: Part): JsonSchema {
  return { additionalProperties: convert(part) };
}

/** A profile is read by its `type`: files and process are ours, others their runtime's. */
function chosen(getter: (input: unknown) => Part): JsonSchema {
  const known = ['files', 'process'];
  const other = convert(getter({ type: '' }));
  return known.reduceRight<JsonSchema>(
    (otherwise, type) => ({
      if: { properties: { type: { const: type } }, required: ['type'] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: convert(getter({ type })),
      else: otherwise,
    }),
    other,
  );
}

/** The reader's own words; valibot's default messages are functions or none. */
function text(message: unknown): string | null {
  return typeof message === 'string' ? message : null;
}
