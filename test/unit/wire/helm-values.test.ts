/** Parameters as the values of a chart: paths, types, and what cannot be. */
import { describe, expect, test } from 'bun:test';
import type { Parameter } from '#state/deployment.ts';
import { helmValues, helmValuesText, readHelmPath } from '#wire/helm-values.ts';

const to = (pointer: string, components = ['web']) => [{ pointer, components }];
const typed = (name: string, value: unknown, pointer = name): Parameter => ({
  ...{ name, value: { kind: 'literal', text: `${value}`, typed: value }, targets: to(pointer) },
});
const text = (name: string, value: string, pointer = name): Parameter => ({
  ...{ name, value: { kind: 'literal', text: value }, targets: to(pointer) },
});
const read = (parameters: readonly Parameter[], component = 'web') =>
  helmValues(parameters, component, (name) => `value of ${name}`);
const textOf = (parameters: readonly Parameter[]): string => {
  const made = read(parameters);
  return made.kind === 'values' ? helmValuesText(made.values).trim() : made.reason;
};

describe('paths', () => {
  for (const [pointer, path] of [
    ['a', ['a']],
    ['a.b.c', ['a', 'b', 'c']],
    ['a[0]', ['a', 0]],
    ['a[2][3].b', ['a', 2, 3, 'b']],
    ['node\\.kubernetes\\.io/role', ['node.kubernetes.io/role']],
    ['a\\[0\\]', ['a[0]']],
    ['', null],
    ['.a', null],
    ['a.', null],
    ['a..b', null],
    ['a[', null],
    ['a[x]', null],
    ['a[01]', null],
    ['a[256]', null],
    ['[0]', null],
    ['a=b', null],
    ['a,b', null],
    ['a\nb', null],
    ['a'.repeat(254), null],
    [Array.from({ length: 17 }, () => 'a').join('.'), null],
  ] as const) {
    test(`${JSON.stringify(pointer).slice(0, 40)}`, () => {
      expect(readHelmPath(pointer)).toEqual(path as never);
    });
  }
});

describe('rule 54: values', () => {
  test('keep their types, and stand in the same text whatever their order', () => {
    const all = [typed('n', 2, 'b.n'), typed('on', false, 'a'), text('t', '2', 'b.t')];
    expect(textOf(all)).toBe('{"a":false,"b":{"n":2,"t":"2"}}');
    expect(textOf(all.toReversed())).toBe(textOf(all));
  });

  test('lists by index, with nothing where nobody set one', () => {
    expect(textOf([typed('x', 1, 'l[2]'), text('y', 'a', 'l[0].b')])).toBe(
      '{"l":[{"b":"a"},null,1]}',
    );
  });

  test('one that is no literal is the text that the device has', () => {
    const own: Parameter = { name: 'id', value: { kind: 'device-id' }, targets: to('device') };
    expect(textOf([own])).toBe('{"device":"value of id"}');
  });

  test('reach only the components that are named', () => {
    const made = read([{ ...typed('a', 1), targets: to('a', ['other']) }]);
    expect(made).toEqual({ kind: 'values', values: {} });
  });

  test('names of prototypes are names', () => {
    const said = textOf([typed('a', 1, '__proto__.polluted'), typed('b', 2, 'constructor.x')]);
    expect(said).toBe('{"__proto__":{"polluted":1},"constructor":{"x":2}}');
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  for (const [name, parameters, reason] of [
    ['twice', [typed('a', 1, 'x'), typed('b', 2, 'x')], 'x is set twice'],
    ['through a value', [typed('a', 1, 'x'), typed('b', 2, 'x.y')], 'goes through a value'],
    ['through a list as written', [typed('a', [1], 'x'), typed('b', 2, 'x[0]')], 'through a value'],
    [
      'a name and an index',
      [typed('a', 1, 'x[0]'), typed('b', 2, 'x.y')],
      'is a list in one place',
    ],
    ['no path', [typed('a', 1, 'x[')], 'is no path into values'],
  ] as const) {
    test(`refused: ${name}`, () => expect(textOf(parameters)).toContain(reason));
  }
});
