/**
 * Writes docs/margo-checklist.md: each rule of Margo's checklist and the files whose tests name it. What
 * passes is for `npm run conformance:margo` to say; this page says where to look.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RULES, type Rule, rulesIn } from './margo-checklist.ts';
import { ROOT } from './targets.ts';

const HEAD = `# Margo's checklist

Each rule in words of ours, who has to keep it (C a device, W a manager), and the tests that name it. Made by
\`bun scripts/margo-page.ts\`; \`npm run conformance:margo\` runs them all, on both sides, and prints what passes,
in which dialects, and how much traffic was judged by the description of the API.

| rule | who | says | tests |
|---|---|---|---|
`;

interface Titles {
  /** real/margo-agent, wire/margo */
  readonly name: string;
  readonly titles: readonly string[];
}

/** @param files  test files by name, whole text */
export function checklistPage(files: ReadonlyMap<string, string>): string {
  const titled = [...files].map(([name, text]): Titles => ({ name, titles: titlesOf(text) }));
  return HEAD + RULES.map((rule) => line(rule, titled)).join('');
}

function line(rule: Rule, files: readonly Titles[]): string {
  const proofs = files.filter(({ titles }) =>
    titles.some(
      (title) =>
        rulesIn(title).includes(rule.number) || (rule.also && title.includes(rule.also)) === true,
    ),
  );
  const names = proofs.map(({ name }) => name).sort();
  const said = rule.open === undefined ? names.join(', ') : `open: ${rule.open}`;
  return `| M${String(rule.number).padStart(2, '0')} | ${rule.who} | ${rule.says} | ${said} |\n`;
}

/** Every text in quotes that names a rule: titles of tests, in whatever call they stand. */
function titlesOf(text: string): readonly string[] {
  return [...text.matchAll(/(['"`])((?:(?!\1)[^\n])+)\1/g)].map(([, , title = '']) => title);
}

function read(): ReadonlyMap<string, string> {
  const glob = new Bun.Glob('test/{real,unit}/**/*.test.ts');
  const paths = [...glob.scanSync(ROOT)]
    .filter((path) =>
      /\/(?:margo|svid|application-deployment|http-signature|message-keys)/.test(path),
    )
    .sort();
  return new Map(paths.map((path) => [nameOf(path), readFileSync(join(ROOT, path), 'utf8')]));
}

/** real/margo-agent */
function nameOf(path: string): string {
  return path.replace(/^test\/(?:unit\/)?/, '').replace(/\.test\.ts$/, '');
}

if (import.meta.main) writeFileSync(join(ROOT, 'docs/margo-checklist.md'), checklistPage(read()));
