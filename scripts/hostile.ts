/**
 * `npm run hostile -- --minutes M`: the compiled agent against a registry and a broker that play one
 * trick after the other (test/support/hostile-peers.ts), then honest ones. Prints what was played, the
 * memory that it took and how soon the device converged.
 */
import { parseArgs } from 'node:util';
import { build } from './build.ts';
import { hostTarget, ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.log('usage: npm run hostile -- --minutes M');
  process.exit(2);
}
await provide();
await build(hostTarget());
const child = Bun.spawn([process.execPath, 'test', './test/attacks/hostile.test.ts'], {
  cwd: ROOT,
  stdin: 'ignore',
  stdout: 'inherit',
  stderr: 'inherit',
  env: { ...process.env, HOLDFAST_HOSTILE_SECONDS: String(Math.round(minutes * 60)) },
});
process.exit(await child.exited);
