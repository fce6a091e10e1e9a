/**
 * `npm run fuzz -- --seconds S [--seed N] [--only WORD]`: the targets of test/fuzz, S seconds in all,
 * shared among them. Prints the executions of each; a finding names seed and input.
 */
import { parseArgs } from 'node:util';
import { ROOT } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string' },
    only: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.log('usage: npm run fuzz -- --seconds S [--seed N] [--only WORD]');
  process.exit(2);
}
const child = Bun.spawn([process.execPath, 'test', '--only-failures', './test/fuzz'], {
  cwd: ROOT,
  stdin: 'ignore',
  stdout: 'inherit',
  stderr: 'inherit',
  env: {
    ...process.env,
    HOLDFAST_FUZZ_TOTAL_SECONDS: String(seconds),
    HOLDFAST_FUZZ_SEED: String(seed),
    ...(values.only === undefined ? {} : { HOLDFAST_FUZZ_ONLY: values.only }),
  },
});
process.exit(await child.exited);
