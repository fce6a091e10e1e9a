/**
 * `npm test`: formats, lint, layers, types, the executables, then every group of test/. `bun
 * scripts/test.ts unit real` runs those groups alone; what follows `--` goes to `bun test`. The last
 * line is the sum, and nothing is left running.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { build } from './build.ts';
import { run } from './run.ts';
import { CACHE, hostTarget, ROOT, targetNames } from './targets.ts';
import { provide } from './test-parts.ts';

interface Group {
  readonly name: string;
  /** whether its tests run dist/holdfast */
  readonly executable: boolean;
  /** ms that one test may take, unless it says so itself */
  readonly testMs: number;
  /** ms after which the whole group is ended and counted as failed */
  readonly groupMs: number;
}

const MINUTE = 60_000;
const GROUPS: readonly Group[] = [
  { name: 'tidy', executable: false, testMs: 30_000, groupMs: MINUTE },
  { name: 'unit', executable: false, testMs: 20_000, groupMs: 6 * MINUTE },
  { name: 'contract', executable: false, testMs: 30_000, groupMs: 5 * MINUTE },
  { name: 'fuzz', executable: false, testMs: MINUTE, groupMs: 4 * MINUTE },
  { name: 'attacks', executable: true, testMs: 60_000, groupMs: 6 * MINUTE },
  { name: 'sim', executable: false, testMs: 120_000, groupMs: 6 * MINUTE },
  { name: 'real', executable: true, testMs: 120_000, groupMs: 18 * MINUTE },
  { name: 'crash', executable: true, testMs: 300_000, groupMs: 10 * MINUTE },
];

interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

async function main(): Promise<number> {
  const at = process.argv.indexOf('--', 2);
  const names = process.argv.slice(2, at < 0 ? undefined : at);
  const passOn = at < 0 ? [] : process.argv.slice(at + 1);
  const unknown = names.filter((name) => !GROUPS.some((group) => group.name === name));
  if (unknown.length > 0) {
    console.log(`no group ${unknown.join(', ')}: ${GROUPS.map(({ name }) => name).join(', ')}`);
    return 2;
  }
  const chosen = GROUPS.filter(({ name }) => names.length === 0 || names.includes(name));
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  if (names.length === 0) {
    await step(total, 'format, lint and layers', () =>
      tool('biome', 'check', '--error-on-warnings', '.'),
    );
    await step(total, 'types', () => tool('tsc', '-p', '.'));
  }
  if (chosen.some(({ executable }) => executable)) {
    await provide();
    await buildAll(total, names.length === 0 ? targetNames() : [hostTarget()]);
  }
  for (const group of chosen) await runGroup(total, group, passOn);
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

/** One thing that passes or fails as a whole. */
async function step(total: Count, what: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
    total.passed++;
    console.log(`${what}: passed`);
  } catch (error) {
    total.failed++;
    console.log(`${what}: failed\n${error instanceof Error ? error.message : String(error)}`);
  }
}

async function tool(name: string, ...rest: string[]): Promise<void> {
  await run([join(ROOT, 'node_modules/.bin', name), ...rest], { cwd: ROOT });
}

async function buildAll(total: Count, targets: readonly string[]): Promise<void> {
  for (const name of targets) {
    if (name !== hostTarget() && process.arch !== 'x64') {
      total.skipped++;
      console.log(`executable for ${name}: skipped, foreign targets are built on linux-x64`);
    } else await step(total, `executable for ${name}`, () => build(name));
  }
}

async function runGroup(total: Count, group: Group, passOn: readonly string[]): Promise<void> {
  const folder = `test/${group.name}`;
  const files = [...new Glob(`${folder}/**/*.test.ts`).scanSync(ROOT)].sort();
  if (files.length === 0) return;
  const started = performance.now();
  mkdirSync(join(CACHE, 'test'), { recursive: true });
  const report = join(CACHE, 'test', `${group.name}.xml`);
  rmSync(report, { force: true });
  const flags = ['--only-failures', `--timeout=${group.testMs}`, '--reporter=junit'];
  const child = Bun.spawn(
    [process.execPath, 'test', ...flags, `--reporter-outfile=${report}`, ...passOn, `./${folder}`],
    { cwd: ROOT, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit', detached: true },
  );
  // A session of its own: whatever a test left behind ends with it.
  running = child.pid;
  const late = setTimeout(() => endSession(child.pid), group.groupMs);
  const code = await child.exited;
  clearTimeout(late);
  endSession(child.pid);
  running = null;
  const count = existsSync(report) ? countOf(readFileSync(report, 'utf8')) : null;
  // No failed test has a name: the runner itself died, or ran out of time.
  const lost = count === null || (code !== 0 && count.failed === 0);
  total.passed += count?.passed ?? 0;
  total.failed += (count?.failed ?? 0) + (lost ? 1 : 0);
  total.skipped += count?.skipped ?? 0;
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = child.signalCode === null ? `ended with ${code}` : `was ended by ${child.signalCode}`;
  const said = count === null ? 'no report' : `${count.passed} passed, ${count.failed} failed`;
  console.log(`${group.name}: ${said} in ${seconds} s${lost ? `; bun test ${how}` : ''}`);
}

function endSession(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // nobody is left
  }
}

/** The sums that stand in the root element. */
function countOf(junit: string): Count | null {
  const [root] = /<testsuites[^>]*>/.exec(junit) ?? [];
  if (root === undefined) return null;
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(root)?.[1] ?? 0);
  const failed = number('failures') + number('errors');
  const skipped = number('skipped');
  return { passed: number('tests') - failed - skipped, failed, skipped };
}

let running: number | null = null;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    if (running !== null) endSession(running);
    process.exit(1);
  });
}
process.exit(await main());
