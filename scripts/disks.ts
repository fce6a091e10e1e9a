/**
 * `npm run disks`: the compiled agent on a small disk that fails at every step of an apply, with both
 * runtimes (test/crash/disks.test.ts): full, no inode, I/O errors, read-only, shut by the kernel. One
 * line for each; the last line is the sum. Needs root, loop devices and strace.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.ts';
import { hostTarget, ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

await provide();
await build(hostTarget());
const folder = mkdtempSync(join(tmpdir(), 'holdfast-disks-'));
const table = join(folder, 'table');
const child = Bun.spawn([process.execPath, 'test', './test/crash/disks.test.ts'], {
  cwd: ROOT,
  stdin: 'ignore',
  stdout: 'inherit',
  stderr: 'inherit',
  env: {
    HOLDFAST_PATIENCE: '4',
    ...process.env,
    HOLDFAST_DISKS: 'all',
    HOLDFAST_DISKS_TABLE: table,
  },
});
const code = await child.exited;
const lines = existsSync(table) ? readFileSync(table, 'utf8').split('\n').slice(0, -1) : [];
rmSync(folder, { recursive: true, force: true });
const bad = lines.filter((line) => line.endsWith('BAD')).length;
if (lines.length > 0) console.log(lines.join('\n'));
console.log(`disks: ${lines.length} cases, ${bad} bad`);
process.exit(code === 0 && lines.length > 0 && bad === 0 ? 0 : 1);
