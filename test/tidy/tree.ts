/** The source tree as data: paths, texts, and who imports whom. Read once for all tidy tests. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { Glob } from 'bun';

export const ROOT = join(import.meta.dir, '../..');

export interface SourceFile {
  /** from the root of the repository, as `src/plan/steps.ts` */
  readonly path: string;
  readonly text: string;
}

function read(pattern: string): readonly SourceFile[] {
  return [...new Glob(pattern).scanSync({ cwd: ROOT })]
    .filter((path) => !path.startsWith('src/wire/generated/'))
    .sort()
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

export const SOURCES = read('src/**/*.ts');
export const SCRIPTS = read('scripts/**/*.ts');
export const TESTS = read('test/**/*.ts');
export const ALL = [...SOURCES, ...SCRIPTS, ...TESTS];

/** What stands between the quotes of every import, dynamic and of types included. */
export function specifiersOf({ text }: SourceFile): readonly string[] {
  const pattern =
    /^\s*(?:import|export)\b[^'"`;]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;
  return [...text.matchAll(pattern)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** The file of this repository that a specifier names, or null for a package. */
export function resolve(from: string, specifier: string): string | null {
  if (specifier.startsWith('#')) return `src/${specifier.slice(1)}`;
  if (specifier.startsWith('.')) return relative(ROOT, join(ROOT, dirname(from), specifier));
  return null;
}

/** Every file that can be reached from `start` by imports. */
export function reachable(start: string): ReadonlySet<string> {
  const byPath = new Map(SOURCES.map((file) => [file.path, file]));
  const seen = new Set<string>();
  const left = [start];
  for (let path = left.pop(); path !== undefined; path = left.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const file = byPath.get(path);
    if (file === undefined) continue;
    for (const specifier of specifiersOf(file)) {
      const next = resolve(path, specifier);
      if (next !== null) left.push(next);
    }
  }
  return seen;
}

export function isThere(path: string): boolean {
  return existsSync(join(ROOT, path));
}
