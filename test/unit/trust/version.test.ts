/** SemVer precedence, against the examples of the specification. */
import { describe, expect, test } from 'bun:test';
import { compareVersions, parseVersion } from '#trust/version.ts';

describe('versions compare as SemVer 2.0.0 section 11 says', () => {
  const ascending = [
    '0.9.9',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1.0.0',
    '1.0.10',
    '1.10.0',
  ];
  const parsed = ascending.map((text) => parseVersion(text));
  for (const [i, a] of parsed.entries()) {
    test(`${ascending[i]} stands where it should`, () => {
      for (const [j, b] of parsed.entries()) {
        if (!a || !b) throw new Error('no version');
        expect(Math.sign(compareVersions(a, b))).toBe(Math.sign(i - j));
      }
    });
  }
  test('build metadata does not count', () => {
    const [a, b] = [parseVersion('1.0.0+a'), parseVersion('1.0.0+b')];
    expect(a && b && compareVersions(a, b)).toBe(0);
  });
  for (const text of [
    '',
    '1',
    '1.0',
    'v1.0.0',
    '01.0.0',
    '1.0.0-',
    '1.0.0-a..b',
    '1.0.0-01',
    '-1.0.0',
    `1.0.0-${'a'.repeat(200)}`,
  ]) {
    test(`"${text.slice(0, 20)}" is no version`, () => expect(parseVersion(text)).toBeNull());
  }
  test('P11: a hostile version costs nothing', () => {
    const started = performance.now();
    for (let i = 0; i < 1_000; i += 1) parseVersion(`1.0.0-${'a.'.repeat(60)}!`);
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
