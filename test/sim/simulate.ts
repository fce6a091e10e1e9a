/**
 * One process of `npm run simulate`: runs of seeds one after the other. Lines of its own go to
 * stdout; the last one is JSON for whoever started it (scripts/simulate.ts), with
 * `--preload known-signatures.ts`.
 */
import { parseArgs } from 'node:util';
import { apart } from './apart.ts';
import { runBranched } from './branches.ts';
import { exhaust, OPERATIONS, type Scope, tryPoint } from './exhaustive.ts';
import { runFieldBranched } from './field/branches.ts';
import { fieldScheduleOf, isField } from './field/schedule.ts';
import { counts, verifyForReal } from './known-signatures.ts';
import type { Ran } from './run.ts';
import { scheduleOf } from './schedule.ts';
import { sealed } from './sealed.ts';
import { shorten } from './shorten.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string', default: '1000' },
    step: { type: 'string', default: '1' },
    replay: { type: 'boolean', default: false },
    exhaustive: { type: 'boolean', default: false },
    scope: { type: 'string', default: 'whole' },
    'stop-at-first': { type: 'boolean', default: false },
  },
});

/** every so many runs verify signatures for real */
const REAL_EVERY = 100;
const SHOWN_MAX = 3;

export interface Sum {
  runs: number;
  cuts: number;
  boots: number;
  steps: number;
  violations: number;
  /** seeds that failed */
  seeds: number[];
  realMs: number;
  realCuts: number;
  ms: number;
  verified: { real: number; remembered: number };
  hash: string;
}

const unhandled: unknown[] = [];
process.on('unhandledRejection', (error) => {
  if (!(error instanceof Error && error.name === 'Cut')) unhandled.push(error);
});

const inWorld = <T>(work: () => T): Promise<T> => apart(() => sealed(work));

async function runSeed(seed: number, keep = false): Promise<Ran> {
  const ran = await inWorld(() =>
    isField(seed)
      ? runFieldBranched(fieldScheduleOf(seed), { keep })
      : runBranched(scheduleOf(seed), { keep }),
  );
  const [first] = unhandled.splice(0);
  if (first === undefined) return ran;
  const says = first instanceof Error ? `${first.stack}` : String(first);
  return { ...ran, violations: [...ran.violations, { invariant: 'I4', says }] };
}

async function show(seed: number): Promise<void> {
  const first = await runSeed(seed);
  const [violation] = first.violations;
  if (!violation) {
    const whole = await runSeed(seed, true);
    console.log(whole.lines.join('\n'));
    console.log(`seed ${seed}: no violation; trace ${first.hash.slice(0, 16)}`);
    return;
  }
  const { invariant } = violation;
  const { acts: left, last } = await inWorld(() =>
    isField(seed)
      ? shortest(fieldScheduleOf(seed), invariant, runFieldBranched)
      : shortest(scheduleOf(seed), invariant, runBranched),
  );
  console.log(last.lines.slice(-(values.replay ? 5_000 : 60)).join('\n'));
  const acts = left.map(({ act, afterMs }) => `${act} after ${afterMs} ms`).join(', ');
  console.log(`seed ${seed}: ${violation.invariant}: ${violation.says.split('\n')[0]}`);
  console.log(`shortest schedule that still fails: ${acts || 'nothing'}`);
  console.log(`npm run simulate -- --seed ${seed} --replay`);
}

interface Acting {
  readonly acts: readonly { readonly act: string; readonly afterMs: number }[];
}

function shortest<S extends Acting>(
  schedule: S,
  invariant: string,
  work: (schedule: S, options?: { readonly keep: boolean }) => Ran,
): { readonly acts: S['acts']; readonly last: Ran } {
  const short = shorten(schedule, invariant, (one) => work(one));
  return { acts: short.acts, last: work(short, { keep: true }) };
}

const SCOPES: Readonly<Record<string, Scope>> = {
  short: { kinds: ['power', 'kill'], every: 2, variants: 1, again: 0 },
  whole: { kinds: ['power', 'kill'], every: 1, variants: 2, again: 40 },
};

/** Every operation, or every `step`th from number `seed` on. */
async function exhaustAll(first: number, every: number): Promise<number> {
  const scope = SCOPES[values.scope] ?? SCOPES.whole;
  let bad = 0;
  let cuts = 0;
  let points = 0;
  for (const [index, operation] of OPERATIONS.entries()) {
    if (scope === undefined || index % every !== first % every) continue;
    const done = await inWorld(() => exhaust(operation, scope));
    points += done.points;
    cuts += done.cuts;
    bad += done.found.length;
    console.log(`${operation.name}: ${done.points} runs, ${done.found.length} violations`);
    for (const { point, violation } of done.found.slice(0, SHOWN_MAX)) {
      const { ran } = await inWorld(() => tryPoint(point, true));
      console.log(ran.lines.slice(-80).join('\n'));
      const { kind, step, again, kindAgain, variant } = point;
      const next = again > 0 ? `, ${kindAgain} again at ${again}` : '';
      console.log(`${operation.name}, ${kind} at step ${step}${next}, ${variant}:`);
      console.log(`${violation.invariant}: ${violation.says}`);
    }
  }
  console.log(JSON.stringify({ runs: points, cuts, violations: bad, verified: counts }));
  return bad === 0 ? 0 : 1;
}

async function main(): Promise<number> {
  const seed = Number(values.seed);
  if (values.exhaustive) return exhaustAll(seed, Number(values.step));
  if (values.replay) {
    await show(seed);
    return 0;
  }
  const sum: Sum = {
    ...{ runs: 0, cuts: 0, boots: 0, steps: 0, violations: 0, seeds: [] },
    ...{ realMs: 0, realCuts: 0, ms: 0, verified: counts, hash: '' },
  };
  const hasher = new Bun.CryptoHasher('sha256');
  for (let at = 0; at < Number(values.runs); at += 1) {
    const number = seed + at * Number(values.step);
    const real = number % REAL_EVERY === 0;
    verifyForReal(real);
    const begun = process.cpuUsage();
    const ran = await runSeed(number);
    const spent = process.cpuUsage(begun);
    // Time of the processor: others on the machine do not count.
    const ms = (spent.user + spent.system) / 1_000;
    sum.runs += 1;
    sum.cuts += ran.cuts;
    sum.boots += ran.boots;
    sum.steps += ran.steps;
    if (real) {
      sum.realMs += ms;
      sum.realCuts += ran.cuts;
    } else sum.ms += ms;
    hasher.update(ran.hash);
    if (ran.violations.length === 0) continue;
    sum.violations += ran.violations.length;
    sum.seeds.push(number);
    if (sum.seeds.length <= SHOWN_MAX && !values['stop-at-first']) await show(number);
    if (values['stop-at-first']) {
      console.log(`${ran.violations[0]?.invariant}: ${ran.violations[0]?.says}`);
      break;
    }
  }
  sum.hash = hasher.digest('hex');
  console.log(JSON.stringify(sum));
  return sum.violations === 0 ? 0 : 1;
}

process.exit(await main());
