/**
 * `npm run kill -- --cycles N [--seed S]`: the kill -9 test of test/crash with as many kills as
 * asked for; thousands are a soak. Prints how many landed in each phase and the seed that repeats
 * the choices.
 */
import { parseArgs } from 'node:util';
import { longRun } from './long-run.ts';

const { values } = parseArgs({
  options: { cycles: { type: 'string', default: '1000' }, seed: { type: 'string' } },
});
const cycles = Number(values.cycles);
if (!Number.isInteger(cycles) || cycles < 1) {
  console.log('usage: npm run kill -- --cycles N [--seed S]');
  process.exit(2);
}
const code = await longRun('./test/crash/kill.test.ts', {
  HOLDFAST_KILL_CYCLES: String(cycles),
  // Thousands of kills share their machine for hours: only what never comes is a failure.
  HOLDFAST_PATIENCE: process.env.HOLDFAST_PATIENCE ?? '20',
  ...(values.seed === undefined ? {} : { HOLDFAST_KILL_SEED: values.seed }),
});
process.exit(code);
