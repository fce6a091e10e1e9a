/**
 * `npm test`: formats, lint, layers, types, the executables, then every group of test/. `bun
 * scripts/test.ts unit real` runs those groups alone; what follows `--` goes to `bun test`. The last
 * line is the sum, and nothing is left running.
 */
import { join } from 'node:path';
import { build } from './build.ts';
import { run } from './run.ts';
import { hostTarget, ROOT, targetNames } from './targets.ts';
import { add, type Count, endRunning, type Group, runGroup } from './test-group.ts';
import { provide } from './test-parts.ts';

const MINUTE = 60_000;
/** A machine that is half as fast still comes to the last line within 40 minutes. */
const BUDGET_MS = 33 * MINUTE;
const GROUPS: readonly Group[] = [
  { name: 'tidy', executable: false, testMs: 30_000, processMs: MINUTE },
  { name: 'unit', executable: false, testMs: 20_000, processMs: 6 * MINUTE },
  { name: 'contract', executable: false, testMs: 30_000, processMs: 5 * MINUTE },
  { name: 'fuzz', executable: false, testMs: MINUTE, processMs: 4 * MINUTE },
  { name: 'attacks', executable: true, testMs: 60_000, processMs: 4 * MINUTE },
  { name: 'sim', executable: false, testMs: 120_000, processMs: 6 * MINUTE },
  { name: 'real', executable: true, testMs: 120_000, processMs: 5 * MINUTE },
  { name: 'crash', executable: true, testMs: 300_000, processMs: 6 * MINUTE },
];

const begunAt = performance.now();

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
  const until = names.length === 0 ? begunAt + BUDGET_MS : Number.POSITIVE_INFINITY;
  for (const group of chosen) add(total, await runGroup(group, { passOn, until }));
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

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    endRunning();
    process.exit(1);
  });
}
process.exit(await main());
