/**
 * `npm run kill -- --cycles N [--seed S] [--minutes M]`: the kill -9 test of test/crash with as many
 * kills as asked for, or as M minutes allow; thousands are a soak. Prints how many landed in each phase
 * and the seed that repeats the choices.
 */
import { parseArgs } from 'node:util';
import { longRun } from './long-run.ts';

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    minutes: { type: 'string' },
  },
});
const cycles = Number(values.cycles);
const minutes = Number(values.minutes ?? 1);
if (!Number.isInteger(cycles) || cycles < 1 || !(minutes > 0)) {
  console.log('usage: npm run kill -- --cycles N [--seed S] [--minutes M]');
  process.exit(2);
}
const code = await longRun('./test/crash/kill.test.ts', {
  HOLDFAST_KILL_CYCLES: String(cycles),
  // Thousands of kills share their machine for hours: only what never comes is a failure.
  HOLDFAST_PATIENCE: process.env.HOLDFAST_PATIENCE ?? '20',
  ...(values.seed === undefined ? {} : { HOLDFAST_KILL_SEED: values.seed }),
  ...(values.minutes === undefined ? {} : { HOLDFAST_KILL_MINUTES: values.minutes }),
});
process.exit(code);
