/**
 * What a run of the tests says about the attack rows: which tests name a row, by which way the attack
 * came, with which code it ended. A row is refused when tests of it ran and all of them passed; one
 * without such a test counts as accepted.
 */
import { FAULTS } from '#errors/fault.ts';

export interface Case {
  /** with the titles around it */
  readonly title: string;
  /** from the root of the repository */
  readonly file: string;
  /** of the call of `test`, from 1 */
  readonly line: number;
  readonly end: 'passed' | 'failed' | 'skipped';
}

export interface RowReport {
  readonly row: string;
  readonly sources: readonly string[];
  readonly codes: readonly string[];
  readonly passed: number;
  readonly verdict: 'refused' | 'accepted';
  /** of an accepted one: why */
  readonly why: string;
}

/** One test of a junit report of `bun test`, those that a name filter left out as skipped. */
export function casesOf(junit: string): readonly Case[] {
  const pattern = /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
  return [...junit.matchAll(pattern)].map(([, attributes = '', inside = '']) => {
    const value = (name: string) =>
      plain(new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? '');
    const failed = /<(failure|error)\b/.test(inside);
    return {
      title: [value('classname'), value('name')].filter((part) => part !== '').join(' > '),
      file: value('file'),
      line: Number(value('line')),
      end: failed ? 'failed' : inside.includes('<skipped') ? 'skipped' : 'passed',
    };
  });
}

function plain(text: string): string {
  const named: Readonly<Record<string, string>> = {
    lt: '<',
    gt: '>',
    quot: '"',
    apos: "'",
    amp: '&',
  };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_, name: string) => named[name] ?? '');
}

/** `S07`, `R18, S02`, also `C01–C07`: the rows between that `known` has. */
export function rowsIn(title: string, known: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  for (const [, letter = '', from, to] of title.matchAll(
    /\b([SRCBDNMPL])(\d\d)(?:[–-]\1(\d\d))?\b/g,
  )) {
    for (let number = Number(from); number <= Number(to ?? from); number += 1) {
      const row = `${letter}${String(number).padStart(2, '0')}`;
      if (known.includes(row)) found.add(row);
    }
  }
  return found;
}

/** @param textOf  the text of a test file, by its path */
export function reportRows(
  rows: readonly string[],
  cases: readonly Case[],
  textOf: (file: string) => string,
): readonly RowReport[] {
  const named = new Map<string, Case[]>(rows.map((row) => [row, []]));
  for (const one of cases) for (const row of rowsIn(one.title, rows)) named.get(row)?.push(one);
  return rows.map((row): RowReport => {
    const own = named.get(row) ?? [];
    const ran = own.filter(({ end }) => end !== 'skipped');
    const failed = own.find(({ end }) => end === 'failed');
    const why = failed
      ? `failed: ${failed.title}`
      : ran.length > 0
        ? ''
        : own.length > 0
          ? `not run: ${own[0]?.title}`
          : 'no test names it';
    const shown = ran.length > 0 ? ran : own;
    return {
      row,
      sources: [...new Set(shown.flatMap(sourcesOf))].toSorted(),
      codes: [...new Set(shown.flatMap((one) => codesOf(one, row, textOf)))].toSorted(),
      passed: ran.filter(({ end }) => end === 'passed').length,
      verdict: why === '' ? 'refused' : 'accepted',
      why,
    };
  });
}

const WAYS: readonly (readonly [word: RegExp, source: string])[] = [
  [/\bby registry\b|link\/registry|hostile-registry|real\/(registry|hub)/, 'registry'],
  [/\bby mqtt\b|\bnudge\b|\/mqtt|triggers\//, 'mqtt'],
  [/\bbundle\b|oci-layout/, 'bundle'],
  [/under the tag and nudge/, 'registry'],
  [/link\/(http|endpoint|peer)|platform\/(http|sockets|tunnel)|real\/(tls|e2e-auth)/, 'network'],
  [/unit\/(store|apply|platform|cli)|\/crash\/|cold-start|surroundings|executable/, 'machine'],
  [/publisher\/|signing-tools/, 'workstation'],
];

/** What comes before any source knows it, a parser or a judgement, is the same for all of them. */
function sourcesOf({ title, file }: Case): readonly string[] {
  const found = WAYS.filter(([word]) => word.test(title) || word.test(file));
  return found.length > 0 ? found.map(([, source]) => source) : ['every'];
}

const CODES: ReadonlySet<string> = new Set(Object.keys(FAULTS));

function codesIn(text: string): readonly string[] {
  return (text.match(/\b[a-z]+\.[a-z0-9]+(?:-[a-z0-9]+)*/g) ?? []).filter((word) =>
    CODES.has(word),
  );
}

/** Those in the title; else those that the test, or the line of its table, compares with. */
function codesOf(
  { title, file, line }: Case,
  row: string,
  textOf: (file: string) => string,
): readonly string[] {
  const titled = codesIn(title);
  if (titled.length > 0) return titled;
  const lines = textOf(file).split('\n');
  const head = lines[line - 1] ?? '';
  const indent = head.length - head.trimStart().length;
  const length = lines.slice(line).findIndex((text) => text.startsWith(`${' '.repeat(indent)}}`));
  const body = codesIn(lines.slice(line - 1, line + Math.max(length, 0)).join('\n'));
  if (body.length > 0) return body;
  // In a table of cases the code stands beside the row or soon behind it.
  const named = lines.findIndex((text) => text.includes(row) && !text.startsWith(' *'));
  const entry = named < 0 ? [] : lines.slice(named, named + TABLE_LINES);
  return entry.map(codesIn).find((codes) => codes.length > 0) ?? [];
}

/** lines that one entry of a table of cases takes at most */
const TABLE_LINES = 8;
