/** What `npm run attacks` says is what the tests of a row did: nothing is refused that was not shown. */
import { describe, expect, test } from 'bun:test';
import { type Case, casesOf, reportRows, rowsIn } from '../../../scripts/attack-report.ts';

const KNOWN = ['C01', 'C02', 'C05', 'S07'];

const one = (title: string, end: Case['end'] = 'passed'): Case => ({
  title,
  file: 'test/unit/wire/oci.test.ts',
  line: 1,
  end,
});
const verdictOf = (...cases: readonly Case[]) =>
  reportRows(['C01'], cases, () => '')[0]?.verdict ?? '';

describe('the rows that a title names', () => {
  for (const [title, rows] of [
    ['C01: both', ['C01']],
    ['C01–C05', ['C01', 'C02', 'C05']],
    ['C05, S07: two', ['C05', 'S07']],
    ['C03 is none of these, nor is AC01 or C010', []],
  ] as const) {
    test(title, () => expect([...rowsIn(title, KNOWN)]).toEqual([...rows]));
  }
});

describe('a row is', () => {
  test('refused when its tests passed', () => {
    expect(verdictOf(one('C01: a'), one('C01: b'))).toBe('refused');
  });
  for (const [what, cases] of [
    ['no test names it', [one('C02: another')]],
    ['one of its tests failed', [one('C01: a'), one('C01: b', 'failed')]],
    ['its tests were skipped', [one('C01: a (no broker)', 'skipped')]],
  ] as const) {
    test(`accepted when ${what}`, () => expect(verdictOf(...cases)).toBe('accepted'));
  }
});

test('a junit report is read with its titles, ends and places', () => {
  const report = `<testsuites><testsuite name="f">
    <testcase name="a &lt; b" classname="C01" time="0" file="f.ts" line="7" assertions="1" />
    <testcase name="c" classname="" file="f.ts" line="9"><skipped /></testcase>
    <testcase name="d" classname="x" file="f.ts" line="11"><failure type="AssertionError" /></testcase>
  </testsuite></testsuites>`;
  expect(casesOf(report)).toEqual([
    { title: 'C01 > a < b', file: 'f.ts', line: 7, end: 'passed' },
    { title: 'c', file: 'f.ts', line: 9, end: 'skipped' },
    { title: 'x > d', file: 'f.ts', line: 11, end: 'failed' },
  ]);
});

test('codes come from the title, else from the test, else from its entry in a table', () => {
  const text = [
    "test('C01', () => {",
    "  expect(x).toBe('format.oci');",
    '});',
    "  ['C02: in a table', 'x',",
    "   'format.tar'],",
    "test('C02', () => {",
    '});',
  ].join('\n');
  const codes = (title: string, row: string, line: number) =>
    reportRows([row], [{ ...one(title), line }], () => text)[0]?.codes;
  expect(codes('C01: source.too-large', 'C01', 1)).toEqual(['source.too-large']);
  expect(codes('C01: a', 'C01', 1)).toEqual(['format.oci']);
  expect(codes('C02: in a table', 'C02', 6)).toEqual(['format.tar']);
});
