/** Enough of JSON Schema to judge documents by ours, written from the specification alone. */

type Schema = Readonly<Record<string, unknown>>;

/** Null: it fits; else where it does not. */
export function misfit(schema: Schema, value: unknown, path = '$'): string | null {
  const { anyOf, const: only, enum: some, pattern } = schema;
  if ('const' in schema && only !== value) return `${path} is not ${JSON.stringify(only)}`;
  if (Array.isArray(some) && !some.includes(value)) return `${path} is none of ${some.join(', ')}`;
  if (typeof schema.type === 'string' && !isOf(schema.type, value)) {
    return `${path} is no ${schema.type}`;
  }
  if (
    typeof pattern === 'string' &&
    typeof value === 'string' &&
    !new RegExp(pattern).test(value)
  ) {
    return `${path} does not match ${pattern}`;
  }
  if (typeof value === 'number') {
    if (value < Number(schema.minimum ?? value) || value > Number(schema.maximum ?? value)) {
      return `${path} is out of range`;
    }
  }
  if (Array.isArray(anyOf) && anyOf.every((one) => misfit(one as Schema, value, path) !== null)) {
    return `${path} fits no alternative`;
  }
  if (schema.if) {
    const branch = misfit(schema.if as Schema, value, path) === null ? schema.then : schema.else;
    const wrong = branch ? misfit(branch as Schema, value, path) : null;
    if (wrong !== null) return wrong;
  }
  if (Array.isArray(value))
    return firstOf(value.map((item, at) => child(schema.items, item, `${path}[${at}]`)));
  if (typeof value === 'object' && value !== null) return ofObject(schema, value as Schema, path);
  return null;
}

function ofObject(schema: Schema, value: Schema, path: string): string | null {
  const properties = (schema.properties ?? {}) as Readonly<Record<string, unknown>>;
  const required = (schema.required ?? []) as readonly string[];
  const lost = required.find((name) => !(name in value));
  if (lost !== undefined) return `${path}.${lost} is missing`;
  return firstOf(
    Object.entries(value).map(([name, item]) => {
      if (name in properties) return child(properties[name], item, `${path}.${name}`);
      if (schema.additionalProperties === false) return `${path}.${name} is not known`;
      return child(schema.additionalProperties, item, `${path}.${name}`);
    }),
  );
}

function child(schema: unknown, value: unknown, path: string): string | null {
  return typeof schema === 'object' && schema !== null
    ? misfit(schema as Schema, value, path)
    : null;
}

function firstOf(all: readonly (string | null)[]): string | null {
  return all.find((one) => one !== null) ?? null;
}

function isOf(type: string, value: unknown): boolean {
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'object')
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}
