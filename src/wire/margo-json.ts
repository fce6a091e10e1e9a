/**
 * A JSON body of the Margo API against a schema: unreadable is one thing (400), readable but wrong
 * another (422, with every field; M18, M19). Paths are as in Margo's samples: `properties.cpus.0`.
 */
import * as v from 'valibot';
import type { FieldProblem } from './margo-problem.ts';
import { type Json, readStrictJson } from './strict-json.ts';

export type MargoBody<T> =
  | { readonly kind: 'read'; readonly value: T }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'wrong'; readonly errors: readonly FieldProblem[] };

const ERRORS_MAX = 32;

export function readMargoBody<Schema extends v.GenericSchema>(
  bytes: Uint8Array,
  what: string,
  schema: Schema,
): MargoBody<v.InferOutput<Schema>> {
  const json = readStrictJson(bytes, what, 'any');
  if (!json.ok) return { kind: 'unreadable', reason: json.fault.message };
  const checked = v.safeParse(schema, plain(json.value));
  if (checked.success) return { kind: 'read', value: checked.output };
  const errors = checked.issues.slice(0, ERRORS_MAX).map((issue) => ({
    field: (issue.path ?? []).map(({ key }) => `${key}`).join('.'),
    message: issue.input === undefined ? 'missing' : issue.message,
  }));
  return { kind: 'wrong', errors };
}

export function wrong<T>(field: string, message: string): MargoBody<T> {
  return { kind: 'wrong', errors: [{ field, message }] };
}

/** Objects with a prototype, which schemas expect; a member named `__proto__` is none of ours. */
function plain(value: Json): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== '__proto__')
      .map(([key, member]) => [key, plain(member)]),
  );
}
