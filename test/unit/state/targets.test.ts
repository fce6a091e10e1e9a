/** Targets with `${parameter}` in them, as a device fills them in. */
import { describe, expect, test } from 'bun:test';
import { withTargets } from '#state/targets.ts';
import { generation } from '../../support/generations.ts';

function targetOf(target: string, values: Readonly<Record<string, string>>): string {
  const { deployment } = generation({ id: 'a', target });
  const placed = withTargets(deployment, new Map(Object.entries(values)));
  if (!placed.ok) return placed.fault.code;
  const { profile } = placed.value;
  return profile.kind === 'files' ? (profile.components[0]?.target ?? '') : profile.kind;
}

describe('a target with parameters', () => {
  test('is filled in with the values of this device', () => {
    expect(
      targetOf(`/opt/\${line}/plc-\${device}.conf`, { line: 'north', device: 'press-7' }),
    ).toBe('/opt/north/plc-press-7.conf');
  });
  test('without any stays as it was signed', () => {
    expect(targetOf('/opt/line/plc.conf', { line: 'north' })).toBe('/opt/line/plc.conf');
  });
  test('$${ stands for the two characters', () => {
    expect(targetOf(`/opt/$\${line}`, { line: 'north' })).toBe(`/opt/\${line}`);
  });
  for (const [what, value] of [
    ['.. (D01)', '..'],
    ['.', '.'],
    ['nothing', ''],
    ['a separator', 'a/b'],
    ['a way up', '../etc'],
    ['an absolute path (D02)', '/etc/passwd'],
    ['NUL', 'a\0b'],
    ['a new line (D17)', 'a\nb'],
    ['more than a file name may have', 'x'.repeat(256)],
  ] as const) {
    test(`is refused when a value is ${what}`, () => {
      expect(targetOf(`/opt/\${line}/conf`, { line: value })).toBe('plan.target-value');
    });
  }
  test('is refused when two values make .. together', () => {
    expect(targetOf(`/opt/\${a}\${b}/conf`, { a: '.', b: '.' })).toBe('plan.target-value');
  });
  test('is refused when a value is missing', () => {
    expect(targetOf(`/opt/\${line}/conf`, {})).toBe('plan.target-value');
  });
});
