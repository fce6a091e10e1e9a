/** How rules of Margo's checklist are counted: no rule passes that no test names. */
import { expect, test } from 'bun:test';
import { casesOf, endOf, trafficOf } from '../../../scripts/conformance.ts';
import { RULES, rulesIn } from '../../../scripts/margo-checklist.ts';
import { checklistPage } from '../../../scripts/margo-page.ts';

const JUNIT = `<testsuite><testcase name="rules 2, 37: &lt;whole&gt;" classname="a" />
<testcase name="rule 3: x" classname="b"><failure type="AssertionError" /></testcase>
<testcase name="rule 4: y" classname="b"><skipped /></testcase></testsuite>`;
const rule = (number: number, more = {}) => ({ number, who: 'C', says: 'x', ...more });

test('a rule passes where all tests that name it did, and one at least ran', () => {
  const cases = casesOf(JUNIT);
  expect(cases.map(({ title }) => title)).toEqual(['a rules 2, 37: <whole>', 'b rule 3: x']);
  expect(endOf(rule(37), cases)).toBe('passed');
  expect(endOf(rule(3), cases)).toBe('failed');
  expect(endOf(rule(4), cases)).toBe('no test');
  expect(endOf(rule(5, { also: '<whole>' }), cases)).toBe('passed');
  expect(endOf(rule(5, { open: 'not yet' }), cases)).toBe('open');
  expect(endOf(rule(3, { open: 'not yet' }), cases)).toBe('failed');
});

test('the checklist has every rule once, in order', () => {
  expect(RULES.map(({ number }) => number)).toEqual(Array.from({ length: 77 }, (_, i) => i + 1));
  expect(rulesIn('rules 2, 37, 42: x (rule 5)')).toEqual([2, 37, 42, 5]);
});

test('the traffic that test files told of is summed, and said to be skipped where there was none', () => {
  const told = 'openapi: 40 messages judged, 1 misfits\nx\nopenapi: 2 messages judged, 0 misfits\n';
  expect(trafficOf(told)).toContain('42 messages of both sides');
  expect(trafficOf(told)).toEndWith('1 misfits');
  expect(trafficOf('openapi: 0 messages judged, 0 misfits\n')).toContain('skipped');
});

test('the page of the checklist has every rule once, with the files that name it', () => {
  const page = checklistPage(
    new Map([
      ['real/a', "test('rules 2, 76: x', () => {});"],
      ['wire/b', 'test("whom it takes for its manager", f)'],
    ]),
  );
  const rows = page.split('\n').filter((row) => row.startsWith('| M'));
  expect(rows.length).toBe(RULES.length);
  expect(rows[1]).toEndWith('| real/a |');
  expect(rows[3]).toEndWith('| wire/b |');
});
