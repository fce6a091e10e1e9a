/** House rules that no linter has: each test lists the places to change. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ALL,
  isThere,
  ROOT,
  reachable,
  resolve,
  SCRIPTS,
  SOURCES,
  type SourceFile,
  specifiersOf,
  TESTS,
} from './tree.ts';

function paths(files: readonly SourceFile[]): readonly string[] {
  return files.map(({ path }) => path);
}

/** `path:line: text` of each line that matches. */
function lines(files: readonly SourceFile[], pattern: RegExp): readonly string[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

test('the tree was read', () => {
  expect(SOURCES.length).toBeGreaterThan(50);
  expect(reachable('src/main.ts').size).toBeGreaterThan(5);
});

describe('every file', () => {
  test('starts with a comment that says what it is', () => {
    expect(paths(ALL.filter(({ text }) => !/^(#!.*\n)?\/\*\*/.test(text)))).toEqual([]);
  });

  test('has at most 400 lines', () => {
    expect(paths(SOURCES.filter(({ text }) => text.split('\n').length > 401))).toEqual([]);
  });

  test('has a name that says what is inside', () => {
    const barred = /(^|[/-])(utils?|helpers?|common|managers?|misc)([/.-]|$)/;
    expect(paths(ALL.filter(({ path }) => barred.test(path)))).toEqual([]);
  });

  test('exports no function and no constant that no other file mentions', () => {
    const mentioned = new Map<string, Set<string>>();
    for (const { path, text } of ALL) {
      const code = text.replace(/^\s*(\/\*\*|\*|\/\/).*$/gm, '');
      for (const [word] of code.matchAll(/\w+/g)) {
        mentioned.set(word, (mentioned.get(word) ?? new Set()).add(path));
      }
    }
    const exported = /^export (?:async )?(?:function\*?|const) (\w+)/gm;
    const unused = [...SOURCES, ...SCRIPTS].flatMap(({ path, text }) =>
      [...text.matchAll(exported)]
        .map(([, name = '']) => name)
        .filter((name) => (mentioned.get(name)?.size ?? 0) < 2)
        .map((name) => `${path}: ${name}`),
    );
    expect(unused).toEqual([]);
  });

  test('is free of marks for later and of focused tests', () => {
    const others = ALL.filter(({ path }) => path !== 'test/tidy/source.test.ts');
    expect(lines(others, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
    expect(lines(others, /\b(test|describe)\.only\(/)).toEqual([]);
  });

  test('names no path of the machine that it was written on', () => {
    const others = ALL.filter(({ path }) => path !== 'test/tidy/source.test.ts');
    expect(lines(others, /\/(work|root|home)\/\w+\/|\/tmp\/w\b/)).toEqual([]);
  });
});

describe('imports', () => {
  test('go to files that are there', () => {
    const broken = [...SOURCES, ...SCRIPTS].flatMap((file) =>
      specifiersOf(file)
        .map((specifier) => resolve(file.path, specifier))
        .filter((path): path is string => path !== null && !isThere(path))
        .map((path) => `${file.path} -> ${path}`),
    );
    expect(broken).toEqual([]);
  });

  test('name the own folder or #folder, never a way up', () => {
    const up = [...SOURCES, ...SCRIPTS].filter((file) =>
      specifiersOf(file).some((specifier) => specifier.startsWith('../')),
    );
    expect(paths(up)).toEqual([]);
  });

  test('reach every file of src from main.ts', () => {
    const reached = reachable('src/main.ts');
    expect(paths(SOURCES).filter((path) => !reached.has(path))).toEqual([]);
  });

  test('reach every file that supports tests', () => {
    const used = new Set(
      [...TESTS, ...SCRIPTS].flatMap((file) =>
        specifiersOf(file).map((specifier) => resolve(file.path, specifier)),
      ),
    );
    const support = paths(TESTS).filter((path) => !path.endsWith('.test.ts'));
    // Programs that tests start, not import, are named by path.
    const started = (path: string) =>
      TESTS.some(({ text }) => text.includes(path.slice(path.lastIndexOf('/') + 1)));
    expect(support.filter((path) => !used.has(path) && !started(path))).toEqual([]);
  });

  test('use every package that package.json asks for', () => {
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    const used = new Set(
      [
        ...SOURCES,
        { path: '', text: readFileSync(join(ROOT, 'src/wire/generated/holdfast_pb.ts'), 'utf8') },
      ]
        .flatMap(specifiersOf)
        .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')),
    );
    expect(Object.keys(dependencies).filter((name) => !used.has(name))).toEqual([]);
  });
});
