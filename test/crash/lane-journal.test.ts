/** The witness of the journal sees what is wrong in it, also where its beginning has been folded. */
import { describe, expect, test } from 'bun:test';
import { courseFaults } from './lane-journal.ts';

const told = (...lines: readonly string[]) =>
  lines.map((line) => {
    const [point = '', kind = ''] = line.split(' ');
    return { point, kind };
  });
const whole = ['1.1 accepted', '1.1 applied', '1.2 accepted', '1.2 undone', '1.2 accepted'];
const effects = [
  { point: '1.1', applied: true },
  { point: '1.2', applied: false },
];

describe('the course of every change, as a journal tells it', () => {
  test('tries that were cut, then the end that was seen', () => {
    const entries = told(...whole, '1.2 rejected', '1.2 refused');
    expect(courseFaults({ entries, whole: true }, effects)).toEqual([]);
  });

  test('an end that was another, an end told twice, an acceptance left out', () => {
    for (const entries of [
      told(...whole, '1.2 applied'),
      told(...whole, '1.2 rejected', '1.1 applied'),
      told('1.1 applied', '1.2 accepted', '1.2 rejected'),
    ]) {
      expect(courseFaults({ entries, whole: true }, effects)).not.toEqual([]);
    }
  });

  test('of a folded journal, the changes that are in it from their beginning', () => {
    const entries = told('1.1 applied', '1.2 accepted', '1.2 rejected');
    expect(courseFaults({ entries, whole: false }, effects)).toEqual([]);
    const other = told('1.1 applied', '1.2 accepted', '1.2 applied');
    expect(courseFaults({ entries: other, whole: false }, effects)).toHaveLength(1);
  });

  test('a journal that tells of nothing that was done', () => {
    expect(courseFaults({ entries: [], whole: false }, effects)).not.toEqual([]);
    expect(courseFaults({ entries: told('1.2 accepted'), whole: false }, effects)).toHaveLength(1);
  });
});
