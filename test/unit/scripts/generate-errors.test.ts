/** docs/errors.md is made from the fault tables, so that it cannot say something else than they do. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { FAULTS } from '#errors/fault.ts';
import { ERRORS_FILE, errorsPage } from '../../../scripts/generate-errors.ts';

test('docs/errors.md is current; if not: bun scripts/generate-errors.ts', () => {
  expect(readFileSync(ERRORS_FILE, 'utf8')).toBe(errorsPage());
});

test('every code has a row that says what happened and what to do', () => {
  const page = errorsPage();
  const rows = new Map(
    [...page.matchAll(/^\| <a id="([^"]+)"><\/a>`\1` \| ([^|]+) \| ([^|]+) \|/gm)].map(
      ([, code = '', says = '', remedy = '']) => [code, { says, remedy }] as const,
    ),
  );
  expect([...rows.keys()].toSorted()).toEqual(Object.keys(FAULTS).toSorted());
  const poor = [...rows].filter(
    ([, { says, remedy }]) =>
      says.length < 10 || remedy.length < 10 || /undefined|NaN|\[object|=>/.test(says),
  );
  expect(poor).toEqual([]);
});
