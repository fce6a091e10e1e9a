/**
 * `npm run store-images -- --images N [--seed S]`: what a disk may hold after a power cut at any
 * moment of a store's life, N times, each opened in a process of its own batch
 * (test/crash/store-images.ts). The last line is `store images: N images, N bad`.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

const { values } = parseArgs({
  options: {
    images: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
  },
});
const [images, seed] = [Number(values.images), Number(values.seed)];
if (!Number.isInteger(images) || images < 1 || !Number.isInteger(seed)) {
  console.log('usage: npm run store-images -- --images N [--seed S]');
  process.exit(2);
}
await provide();
const program = join(ROOT, 'test/crash/store-images.ts');
const child = Bun.spawn([process.execPath, program, `${images}`, `${seed}`], {
  cwd: ROOT,
  stdin: 'ignore',
  stdout: 'inherit',
  stderr: 'inherit',
});
process.exit(await child.exited);
