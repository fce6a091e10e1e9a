/**
 * `npm run simulate [-- --seed N] [--runs M] [--jobs K] [--replay]
 * [--exhaustive [--scope short]]`: the real agent in a simulated
 * world (test/sim), each run from its seed. The last line is the sum; a failure prints its seed, a
 * shorter schedule that still fails, the end of its trace, and how to see it again. Ends with 1 when
 * there was a violation.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './targets.ts';

interface Sum {
  readonly runs: number;
  readonly cuts: number;
  readonly violations: number;
  readonly ms: number;
  readonly realMs: number;
  readonly realCuts: number;
  readonly verified: { readonly real: number; readonly remembered: number };
}

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1000' },
    jobs: { type: 'string', default: '1' },
    replay: { type: 'boolean', default: false },
    exhaustive: { type: 'boolean', default: false },
    scope: { type: 'string', default: 'whole' },
  },
});

/** A process keeps what it has seen: after so many runs a new one takes over. */
const RUNS_MAX = 25;

async function job(index: number, jobs: number): Promise<readonly (Sum | null)[]> {
  const runs = Math.floor((Number(values.runs) - index + jobs - 1) / jobs);
  const seed = Number(values.seed) + index;
  if (values.replay || values.exhaustive) return [await ended(seed, jobs, runs)];
  const sums: (Sum | null)[] = [];
  for (let done = 0; done < runs; done += RUNS_MAX) {
    sums.push(await ended(seed + done * jobs, jobs, Math.min(RUNS_MAX, runs - done)));
  }
  return sums;
}

/** @returns  null: the process ended without its sum */
async function ended(seed: number, step: number, runs: number): Promise<Sum | null> {
  const range = ['--seed', String(seed), '--step', String(step)];
  const { replay, exhaustive, scope } = values;
  const flags = replay ? ['--replay'] : ['--runs', String(runs)];
  if (exhaustive) flags.push('--exhaustive', '--scope', scope);
  const preload = `--preload=${join(ROOT, 'test/sim/known-signatures.ts')}`;
  const main = join(ROOT, 'test/sim/simulate.ts');
  const command = [process.execPath, preload, main, ...range, ...flags];
  const child = Bun.spawn(command, { cwd: ROOT, stdout: 'pipe', stderr: 'inherit' });
  const lines = (await new Response(child.stdout).text()).trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  if (!last.startsWith('{')) {
    console.log(lines.join('\n'));
    return null;
  }
  if (lines.length > 1) console.log(lines.slice(0, -1).join('\n'));
  return JSON.parse(last) as Sum;
}

async function main(): Promise<number> {
  const jobs = values.replay ? 1 : Math.max(1, Number(values.jobs));
  const each = await Promise.all(Array.from({ length: jobs }, (_, index) => job(index, jobs)));
  const sums = each.flat();
  if (values.replay) return 0;
  const add = (of: (sum: Sum) => number): number =>
    sums.reduce((all, sum) => all + (sum ? of(sum) : 0), 0);
  const rate = (cuts: number, ms: number): number =>
    ms === 0 ? 0 : Math.round((cuts / ms) * 60_000);
  const [cuts, realCuts] = [add((sum) => sum.cuts), add((sum) => sum.realCuts)];
  const { exhaustive } = values;
  const remembered = rate(
    cuts - realCuts,
    add((sum) => sum.ms),
  );
  const real = rate(
    realCuts,
    add((sum) => sum.realMs),
  );
  if (!exhaustive)
    console.log(
      `crash points a minute of processor time: ${remembered} with signatures remembered, ${real} without`,
    );
  const lost = sums.some((sum) => sum === null);
  if (lost) console.log('a process of the simulation ended without its sum');
  const violations = add((sum) => sum.violations);
  console.log(
    `simulated: ${add((sum) => sum.runs)} runs, ${cuts} crash points, ${violations} violations`,
  );
  return violations === 0 && !lost ? 0 : 1;
}

process.exit(await main());
