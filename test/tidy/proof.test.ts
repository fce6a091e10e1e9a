/** Every promise has its test: fault codes, checks, attack rows. What the words say is judged by people. */
import { describe, expect, test } from 'bun:test';
import { type Code, FAULTS, type FaultRow } from '#errors/fault.ts';
import { ATTACKS } from '../attacks/rows.ts';
import { TESTS } from './tree.ts';

const others = TESTS.filter(
  ({ path }) => !path.startsWith('test/tidy/') && !path.endsWith('/rows.ts'),
);
const texts = others.map(({ text }) => text).join('\n');
/** 0 to 23 */
const CHECKS = 24;
const codes = Object.keys(FAULTS) as readonly Code[];

describe('a fault code', () => {
  test('is asserted by a test', () => {
    expect(
      codes.filter((code) => !new RegExp(`${code.replace('.', '\\.')}(?![\\w-])`).test(texts)),
    ).toEqual([]);
  });

  test('has a remedy that says what to do, in one line', () => {
    const rows: readonly (readonly [Code, FaultRow])[] = codes.map((code) => [code, FAULTS[code]]);
    const unhelpful = rows.filter(([, { remedy }]) => remedy.length < 15 || remedy.includes('\n'));
    expect(unhelpful.map(([code]) => code)).toEqual([]);
  });

  test('is a prefix and words in lower case', () => {
    expect(codes.filter((code) => !/^[a-z]+\.[a-z0-9]+(-[a-z0-9]+)*$/.test(code))).toEqual([]);
  });
});

/** The numbers after "check" or "checks" in tests, ranges included. */
function namedChecks(): ReadonlySet<number> {
  const named = new Set<number>();
  for (const match of texts.matchAll(/\bchecks? (\d+)(?:(?:–|-| to | and )(\d+))?/gi)) {
    const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
    for (let check = first; check <= last; check++) named.add(check);
  }
  return named;
}

test('every check of the trust model has a test that names it', () => {
  const named = namedChecks();
  const all = Array.from({ length: CHECKS }, (_, check) => check);
  expect(all.filter((check) => !named.has(check))).toEqual([]);
});

/** What a test's title (or a table of titles) names: `S07`, `R18`, also `C01–C07`. */
function namedRows(): ReadonlyMap<string, readonly string[]> {
  const named = new Map<string, string[]>();
  for (const { path, text } of others) {
    for (const [row] of text.matchAll(/\b[SRCBDNMPL]\d\d\b/g)) {
      named.set(row, [...(named.get(row) ?? []), path]);
    }
  }
  return named;
}

describe('an attack row', () => {
  const named = namedRows();

  test('that a test names is one that we know', () => {
    const unknown = [...named].filter(([row]) => !ATTACKS.has(row));
    expect(unknown.map(([row, paths]) => `${row} in ${paths[0]}`)).toEqual([]);
  });

  test('has a test', () => {
    expect([...ATTACKS.keys()].filter((row) => !named.has(row) && !OPEN.has(row))).toEqual([]);
  });

  test('that is listed as open has none yet', () => {
    expect([...OPEN].filter((row) => named.has(row))).toEqual([]);
  });
});

/** Rows whose surface does not exist yet. Goes down to nothing; nothing is added. */
const OPEN: ReadonlySet<string> = new Set<string>([]);
