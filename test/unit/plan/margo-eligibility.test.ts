/** Which device a Margo document fits: the operators of section 5 as a table. */
import { describe, expect, test } from 'bun:test';
import { isEligible } from '#plan/margo-eligibility.ts';
import type { MargoCapabilities, MargoExpression } from '#state/margo.ts';

const device: MargoCapabilities = {
  properties: {
    ...{ id: 'd', vendor: 'Example', modelNumber: 'm', serialNumber: 's' },
    cpus: [{ cores: 4, architecture: 'arm64' }],
    peripherals: [{ type: 'gpu', model: 'x' }, { type: 'camera' }],
    supportedDeploymentTypes: ['custom'],
  },
  labels: { arm: true, line: '7', count: 3, 'a/b': ['x', 'y'] },
};
type Row = Partial<MargoExpression> & Pick<MargoExpression, 'key' | 'operator'>;
const row = (one: Row): MargoExpression => ({ values: [], items: [], ...one });
const property = (one: Row) => isEligible([{ properties: [row(one)], labels: [] }], device);
const label = (one: Row) => isEligible([{ properties: [], labels: [row(one)] }], device);

describe('an expression about properties', () => {
  const gpu = row({ key: '/type', operator: 'In', values: ['gpu'] });
  const other = row({ key: '/model', operator: 'In', values: ['y'] });
  for (const [one, holds] of [
    [{ key: '/vendor', operator: 'In', values: ['Other', 'Example'] }, true],
    [{ key: '/vendor', operator: 'In', values: ['example'] }, false],
    [{ key: '/vendor', operator: 'NotIn', values: ['Other'] }, true],
    [{ key: '/nothing', operator: 'NotIn', values: ['Other'] }, false],
    [{ key: '/supportedDeploymentTypes', operator: 'In', values: ['custom'] }, true],
    [{ key: '/cpus/0/cores', operator: 'Gt', values: [2] }, true],
    [{ key: '/cpus/0/cores', operator: 'Lt', values: [4] }, false],
    [{ key: '/vendor', operator: 'Gt', values: [1] }, false],
    [{ key: '/cpus', operator: 'In', values: ['x'] }, false],
    [{ key: '/memory', operator: 'DoesNotExist' }, true],
    [{ key: 'vendor', operator: 'Exists' }, false],
    [{ key: '/constructor', operator: 'Exists' }, false],
    [{ key: '/peripherals', operator: 'ContainsAll', items: [gpu] }, true],
    [{ key: '/peripherals', operator: 'ContainsAll', items: [gpu, other] }, false],
    [{ key: '/peripherals', operator: 'ContainsAny', items: [gpu, other] }, true],
    [{ key: '/vendor', operator: 'ContainsAny', items: [gpu] }, false],
  ] as const) {
    test(`${one.key} ${one.operator}: ${holds}`, () => expect(property(one)).toBe(holds));
  }
});

test('labels are named by their exact key, slashes included', () => {
  expect(label({ key: 'a/b', operator: 'In', values: ['y'] })).toBe(true);
  expect(label({ key: 'arm', operator: 'In', values: [true] })).toBe(true);
  expect(label({ key: 'arm', operator: 'In', values: ['true'] })).toBe(false);
  expect(label({ key: 'toString', operator: 'Exists' })).toBe(false);
});

test('rules are alternatives, selectors of one rule are not', () => {
  const yes = row({ key: 'arm', operator: 'Exists' });
  const no = row({ key: 'leg', operator: 'Exists' });
  expect(isEligible([], device)).toBe(true);
  expect(isEligible([{ properties: [], labels: [yes, no] }], device)).toBe(false);
  expect(
    isEligible(
      [
        { properties: [], labels: [no] },
        { properties: [], labels: [yes] },
      ],
      device,
    ),
  ).toBe(true);
});
