/**
 * One group of tests, in one process of `bun test` or, where tests run real parts, one for each file:
 * a file that hangs or dies takes no other with it, and what there is no time left for is told as
 * skipped. A file of real parts that fails runs once more by itself, and the end says so: a machine
 * that is busy with others is no fault of the product, but nothing is hidden.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Glob } from 'bun';
import { CACHE, ROOT } from './targets.ts';

export interface Group {
  readonly name: string;
  /** its tests run dist/holdfast and other real parts: a process for each file */
  readonly executable: boolean;
  /** ms that one test may take, unless it says so itself */
  readonly testMs: number;
  /** ms after which one process is ended and counted as failed */
  readonly processMs: number;
}

export interface Count {
  passed: number;
  failed: number;
  skipped: number;
}

export interface GroupRun {
  /** what follows `--`, for `bun test` */
  readonly passOn: readonly string[];
  /** by performance.now(): nothing is begun after it */
  readonly until: number;
}

let running: number | null = null;

/** Whatever a test left behind ends with its session. */
export function endRunning(): void {
  if (running !== null) endSession(running);
}

export async function runGroup(group: Group, { passOn, until }: GroupRun): Promise<Count> {
  const folder = `test/${group.name}`;
  const files = [...new Glob(`${folder}/**/*.test.ts`).scanSync(ROOT)].sort();
  const total: Count = { passed: 0, failed: 0, skipped: 0 };
  if (files.length === 0) return total;
  const started = performance.now();
  const unsteady: string[] = [];
  for (const file of group.executable ? files : [folder]) {
    if (performance.now() > until) {
      console.log(`${file}: skipped, no time is left`);
      total.skipped++;
      continue;
    }
    const first = await runFile(group, file, passOn);
    const again = first.failed > 0 && group.executable && performance.now() < until;
    const count = again ? await runFile(group, file, passOn) : first;
    if (again && count.failed === 0) unsteady.push(file);
    add(total, count);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${group.name}: ${total.passed} passed, ${total.failed} failed in ${seconds} s`);
  for (const file of unsteady)
    console.log(`unsteady: ${file} failed once, and passed when run again`);
  return total;
}

export function add(total: Count, { passed, failed, skipped }: Count): void {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}

async function runFile(group: Group, path: string, passOn: readonly string[]): Promise<Count> {
  mkdirSync(join(CACHE, 'test'), { recursive: true });
  const report = join(CACHE, 'test', `${path.replaceAll('/', '-')}.xml`);
  rmSync(report, { force: true });
  const flags = ['--only-failures', `--timeout=${group.testMs}`, '--reporter=junit'];
  const child = Bun.spawn(
    [process.execPath, 'test', ...flags, `--reporter-outfile=${report}`, ...passOn, `./${path}`],
    { cwd: ROOT, stdin: 'ignore', stdout: 'inherit', stderr: 'inherit', detached: true },
  );
  running = child.pid;
  const late = setTimeout(() => endSession(child.pid), group.processMs);
  const code = await child.exited;
  clearTimeout(late);
  endSession(child.pid);
  running = null;
  const count = existsSync(report) ? countOf(readFileSync(report, 'utf8')) : null;
  if (count !== null && (code === 0 || count.failed > 0)) return count;
  // No failed test has a name: the runner itself died, or ran out of time. A name that was asked
  // for and stands in other files is no failure of this one.
  if (passOn.length > 0 && code === 1 && count === null && group.executable) {
    return { passed: 0, failed: 0, skipped: 0 };
  }
  const how = child.signalCode === null ? `ended with ${code}` : `was ended by ${child.signalCode}`;
  console.log(`${path}: bun test ${how}`);
  const { passed = 0, skipped = 0 } = count ?? {};
  return { passed, failed: 1, skipped };
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
