/**
 * `npm run conformance:margo`: every rule of Margo's checklist (margo-checklist.ts) against agent and hub.
 * An independent little manager (test/support/margo-server.ts) and plain requests play the other side. A
 * line for each rule; the last line is the sum. The exit code is 1 when a rule fails, or has no test and
 * is not listed as open.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RULES, type Rule, rulesIn } from './margo-checklist.ts';
import { ROOT } from './targets.ts';

/** Beside every test/real and test/unit file that begins with margo. */
const ALSO = [
  'test/unit/link/http-signature.test.ts',
  'test/unit/platform/svid.test.ts',
  'test/unit/wire/application-deployment.test.ts',
];
/** test files about rc2 and pr1 */
const OLDER = /margo-(?:older|client|signature)|http-signature/;
const TIMEOUT_MS = '60000';
const COLUMN = 62;

export interface Case {
  readonly title: string;
  readonly passed: boolean;
  /** of the older dialects, rc2 and pr1 */
  readonly older: boolean;
}

/** Of the report that `bun test` writes; skipped ones are left out. */
export function casesOf(junit: string): readonly Case[] {
  const cases: Case[] = [];
  for (const [, head = '', body = ''] of junit.matchAll(
    /<testcase ([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const of = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(head)?.[1] ?? '';
    if (body.includes('<skipped')) continue;
    const title = plain(`${of('classname')} ${of('name')}`);
    const older = OLDER.test(of('file')) || /\b(?:rc2|pr1)\b/.test(title);
    cases.push({ title, older, passed: !/<failure|<error/.test(body) });
  }
  return cases;
}

export type End = 'passed' | 'failed' | 'open' | 'no test';

export function endOf(rule: Rule, cases: readonly Case[]): End {
  const { open } = rule;
  const of = casesFor(rule, cases);
  if (of.some(({ passed }) => !passed)) return 'failed';
  if (open !== undefined) return 'open';
  return of.length > 0 ? 'passed' : 'no test';
}

/** In which dialects a test of the rule passed; what reads a manifest is the same code in all three. */
function dialectsOf(rule: Rule, cases: readonly Case[]): string {
  const of = casesFor(rule, cases).filter(({ passed }) => passed);
  const spoken = [
    of.some(({ older }) => !older) ? 'rc3' : '   ',
    of.some(({ older }) => older) ? 'rc2 pr1' : '       ',
  ];
  return spoken.join(' ');
}

function casesFor({ number, also }: Rule, cases: readonly Case[]): readonly Case[] {
  return cases.filter(
    ({ title }) => rulesIn(title).includes(number) || (also !== undefined && title.includes(also)),
  );
}

/** What the tests told of the traffic that they judged by `margo/openapi.yaml` (test/support/margo-traffic.ts). */
export function trafficOf(printed: string): string {
  const told = [...printed.matchAll(/^openapi: (\d+) messages judged, (\d+) misfits$/gm)];
  const sum = (of: 1 | 2) => told.reduce((all, match) => all + Number(match[of]), 0);
  return sum(1) === 0
    ? 'openapi: skipped, margo/openapi.yaml is not here (HOLDFAST_VECTORS names its folder)'
    : `openapi: ${sum(1)} messages of both sides judged by margo/openapi.yaml, ${sum(2)} misfits`;
}

function plain(text: string): string {
  return text
    .replaceAll('&gt;', '>')
    .replaceAll('&lt;', '<')
    .replaceAll('&quot;', '"')
    .replaceAll('&apos;', "'")
    .replaceAll('&amp;', '&');
}

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-conformance-'));
  const report = join(folder, 'junit.xml');
  const flags = ['--timeout', TIMEOUT_MS, '--reporter=junit', `--reporter-outfile=${report}`];
  const files = [...new Bun.Glob('test/{real,unit}/**/margo*.test.ts').scanSync(ROOT), ...ALSO];
  const child = Bun.spawn([process.execPath, 'test', ...flags, ...files.sort()], {
    ...{ cwd: ROOT, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' },
  });
  const [said, printed] = await Promise.all([
    new Response(child.stderr).text(),
    new Response(child.stdout).text(),
    child.exited,
  ]);
  const cases = casesOf(readFileSync(report, 'utf8'));
  rmSync(folder, { recursive: true, force: true });
  const ends = RULES.map((rule) => ({ rule, end: endOf(rule, cases) }));
  for (const { rule, end } of ends) {
    const name = `M${String(rule.number).padStart(2, '0')} ${rule.who.padEnd(3)}`;
    const why = end === 'open' ? `: ${rule.open}` : '';
    const spoken = dialectsOf(rule, cases);
    console.log(`${name} ${rule.says.padEnd(COLUMN)} ${spoken} ${end}${why}`);
  }
  const count = (...of: readonly End[]): number =>
    ends.filter(({ end }) => of.includes(end)).length;
  const failed = count('failed', 'no test');
  if (failed > 0) console.error(said.slice(-20_000));
  console.log(`\n${cases.length} tests; ${count('open')} rules are open, as docs/margo.md says`);
  console.log(trafficOf(printed));
  console.log(`margo: ${count('passed')} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
