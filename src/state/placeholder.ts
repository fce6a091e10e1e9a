/**
 * `${name}` in a program's command and environment stands for a parameter; `$${` for the two
 * characters themselves. Nothing nests and nothing else is special.
 */

const PLACEHOLDER = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_.-]*)\}|\$\{/g;

/** The names used, or null when a `${` does not name one. */
export function placeholderNames(text: string): readonly string[] | null {
  const names: string[] = [];
  for (const [spelling, name] of text.matchAll(PLACEHOLDER)) {
    if (spelling === '$${') continue;
    if (name === undefined) return null;
    names.push(name);
  }
  return names;
}

/** Names without a value stay as they are: `wire/` has refused them before. */
export function fillPlaceholders(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(PLACEHOLDER, (spelling: string, name: string | undefined) => {
    if (spelling === '$${') return '${';
    return (name === undefined ? undefined : values.get(name)) ?? spelling;
  });
}
