/** Every promise of docs/threats.md is held by tests that exist under the titles that it names. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, TESTS } from './tree.ts';

const page = readFileSync(join(ROOT, 'docs/threats.md'), 'utf8');
const section = /^## Promises\n([\s\S]*?)^## /m.exec(page)?.[1] ?? '';
const promises = section.split(/^### /m).slice(1);
const LINE = /^- `(test\/[^`]+\.test\.ts)`: (.+)$/gm;

/** First arguments of calls that make a test or a group of tests; `real(title('…'), …)` as well. */
function titlesOf(path: string): ReadonlySet<string> {
  const text = TESTS.find((file) => file.path === path)?.text ?? '';
  const call = /\b(?:test|describe|title|timed)\(\s*(['"`])((?:(?!\1)[^\\]|\\.)*)\1/g;
  return new Set([...text.matchAll(call)].map(([, , title = '']) => title));
}

test('it has promises, and each names tests', () => {
  expect(promises.length).toBeGreaterThan(10);
  const bare = promises.filter((promise) => [...promise.matchAll(LINE)].length === 0);
  expect(bare.map((promise) => promise.split('\n')[0])).toEqual([]);
});

test('each test that it names exists under that title', () => {
  const named = [...section.matchAll(LINE)];
  const lost = named.filter(([, path = '', title = '']) => !titlesOf(path).has(title));
  expect(lost.map(([, path, title]) => `${path}: ${title}`)).toEqual([]);
  // A line that is not of that form would not be looked at.
  expect(section.match(/^- /gm)?.length).toBe(named.length);
});
