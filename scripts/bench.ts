/**
 * `npm run bench`: what one change, one poll and a while of nothing cost, beside the same steps done
 * natively and beside the bare runtime, all in one run (docs/performance.md).
 *
 *   npm run bench -- --quick           a minute instead of seven
 *   npm run bench -- --changes 50 --json out.json
 *
 * Read ratios, not milliseconds: machines differ, and are rarely alone.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { bench, FULL, QUICK } from './bench/measure.ts';
import { render } from './bench/report.ts';
import { buildBare, buildNative } from './bench-programs.ts';
import { build } from './build.ts';
import { run } from './run.ts';
import { hostTarget } from './targets.ts';
import { provide } from './test-parts.ts';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    changes: { type: 'string' },
    json: { type: 'string' },
    executable: { type: 'string' },
  },
});
await provide();
const plan = values.quick ? QUICK : FULL;
const changes = values.changes === undefined ? plan.changes : Number(values.changes);
const executable = values.executable ?? (await build(hostTarget()));
await run(['sync', executable]);
const programs = { executable, native: await buildNative(), bare: await buildBare() };
const result = await bench(programs, { ...plan, changes }, (text) => console.log(text));
console.log(`\n${render(result)}`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(result, null, 1));
process.exit(0);
