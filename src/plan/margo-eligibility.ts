/**
 * Does this device fit the rules of a Margo document? (MARGO.md section 5; M52.) Rules are alternatives;
 * in a rule both selectors must hold, in a selector every expression. What is not there, or has a type
 * that an operator does not know, is false. Pure.
 */
import type { MargoCapabilities, MargoExpression, MargoRule } from '#state/margo.ts';

/** No rules: it fits every device. */
export function isEligible(
  rules: readonly MargoRule[],
  { properties, labels = {} }: MargoCapabilities,
): boolean {
  if (rules.length === 0) return true;
  return rules.some(
    (rule) =>
      rule.properties.every((expression) => holds(expression, at(properties, expression.key))) &&
      rule.labels.every((expression) =>
        holds(
          expression,
          Object.hasOwn(labels, expression.key) ? labels[expression.key] : undefined,
        ),
      ),
  );
}

function holds({ operator, values, items }: MargoExpression, value: unknown): boolean {
  switch (operator) {
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'In':
      return anyEquals(value, values) === true;
    case 'NotIn':
      return anyEquals(value, values) === false;
    case 'Gt':
      return typeof value === 'number' && value > Number(values[0]);
    case 'Lt':
      return typeof value === 'number' && value < Number(values[0]);
    case 'ContainsAll':
    case 'ContainsAny': {
      if (!Array.isArray(value)) return false;
      const fits = (element: unknown) => (item: MargoExpression) =>
        holds(item, at(element, item.key));
      return value.some((element) =>
        operator === 'ContainsAll' ? items.every(fits(element)) : items.some(fits(element)),
      );
    }
  }
}

/** The value, or an element of a list, is one of them; null: not there, or of no type for this. */
function anyEquals(value: unknown, values: readonly unknown[]): boolean | null {
  const own = Array.isArray(value) ? value : [value];
  const plain = own.every((one) => ['string', 'number', 'boolean'].includes(typeof one));
  return plain ? own.some((one) => values.includes(one)) : null;
}

/** @see RFC 6901; undefined: nothing there, or no pointer */
function at(value: unknown, pointer: string): unknown {
  if (pointer === '') return value;
  if (!pointer.startsWith('/')) return undefined;
  let found = value;
  for (const part of pointer.slice(1).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) {
      return undefined;
    }
    found = (found as Readonly<Record<string, unknown>>)[name];
  }
  return found;
}
