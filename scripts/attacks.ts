/**
 * `npm run attacks`: runs every test that names a row of test/attacks/rows.ts, on the compiled
 * executable where the test uses it, and lists each row with the ways it was offered, the codes it
 * was refused with and the verdict. The last line is the sum; the exit code is 1 when anything was
 * accepted. A shared ATTACKS.md beside the repository must have no row that is not here.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { casesOf, type RowReport, reportRows } from './attack-report.ts';
import { build } from './build.ts';
import { CACHE, hostTarget, ROOT, targetNames } from './targets.ts';
import { provide } from './test-parts.ts';

interface Table {
  readonly ATTACKS: ReadonlyMap<string, string>;
}

const ROW = '\\b[SRCBDNMPL]\\d\\d\\b';
/** ms for one test, and for each of the two runs */
const TEST_MS = 120_000;
const ALL_MS = 20 * 60_000;

async function main(): Promise<number> {
  const { ATTACKS } = (await import(join(ROOT, 'test/attacks/rows.ts'))) as Table;
  const rows = [...ATTACKS.keys()];
  const lost = sharedRows().filter((row) => !ATTACKS.has(row));
  if (lost.length > 0) console.log(`rows without an entry here: ${lost.join(', ')}`);
  await provide();
  // Guests and emulated CPUs run other targets' executables: none is left from another day.
  for (const name of process.arch === 'x64' ? targetNames() : [hostTarget()]) await build(name);
  const cases = casesOf(await runTests());
  const reports = reportRows(rows, cases, (file) => readFileSync(join(ROOT, file), 'utf8'));
  for (const report of reports) console.log(lineOf(report, ATTACKS.get(report.row) ?? ''));
  const refused = reports.filter(({ verdict }) => verdict === 'refused').length;
  const accepted = reports.length - refused + lost.length;
  console.log(`attacks: ${refused} refused, ${accepted} accepted`);
  return accepted === 0 ? 0 : 1;
}

function sharedRows(): readonly string[] {
  const file = join(ROOT, '../shared/ATTACKS.md');
  if (!existsSync(file)) return [];
  const matches = readFileSync(file, 'utf8').matchAll(/^- \*\*([SRCBDNMPL]\d\d)\*\*/gm);
  return [...matches].map(([, row = '']) => row);
}

/** The junit reports of all tests whose titles name a row. */
async function runTests(): Promise<string> {
  // Tests of whole devices build on those before them in their file: they run with their neighbours.
  const alone = await runNamed('rows', 'test/{unit,contract}/**/*.test.ts', ['-t', ROW]);
  const together = await runNamed('devices', 'test/{attacks,sim,real,crash}/**/*.test.ts', []);
  return alone + together;
}

async function runNamed(name: string, pattern: string, filter: readonly string[]): Promise<string> {
  const folder = join(CACHE, 'test');
  mkdirSync(folder, { recursive: true });
  const report = join(folder, `${name}.xml`);
  rmSync(report, { force: true });
  const files = [...new Glob(pattern).scanSync(ROOT)]
    .filter((file) => new RegExp(ROW).test(readFileSync(join(ROOT, file), 'utf8')))
    .toSorted()
    .map((file) => `./${file}`);
  const flags = ['--only-failures', `--timeout=${TEST_MS}`, ...filter, '--reporter=junit'];
  const child = Bun.spawn(
    [process.execPath, 'test', ...flags, `--reporter-outfile=${report}`, ...files],
    {
      cwd: ROOT,
      stdin: 'ignore',
      stdout: 'inherit',
      stderr: 'inherit',
      // A session of its own: whatever a test left behind ends with it.
      detached: true,
      // `npm run kill` is for many.
      env: { ...process.env, HOLDFAST_KILL_CYCLES: '20' },
    },
  );
  running = child.pid;
  const late = setTimeout(endRunning, ALL_MS);
  await child.exited;
  clearTimeout(late);
  endRunning();
  return existsSync(report) ? readFileSync(report, 'utf8') : '';
}

function endRunning(): void {
  try {
    if (running !== null) process.kill(-running, 'SIGKILL');
  } catch {
    // nobody is left
  }
  running = null;
}

function lineOf({ row, sources, codes, passed, verdict, why }: RowReport, what: string): string {
  const shown = codes.length > 3 ? [...codes.slice(0, 3), `and ${codes.length - 3} more`] : codes;
  const columns = [
    row,
    (why === '' ? verdict : `${verdict} (${why})`).padEnd(8),
    `${passed} tests`.padEnd(9),
    sources.join(',').padEnd(22),
    (shown.join(', ') || 'the old state stays').padEnd(44),
  ];
  return `${columns.join(' ')} ${what}`;
}

let running: number | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    endRunning();
    process.exit(1);
  });
}
process.exit(await main());
