/**
 * `npm run disks`: the compiled agent on a small disk that fails at every step of an apply, with both
 * runtimes (test/crash/disks.test.ts): full, no inode, I/O errors, read-only, shut by the kernel. One
 * line for each; the last line is the sum. Needs root, loop devices and strace.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { longRun } from './long-run.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-disks-'));
const table = join(folder, 'table');
const code = await longRun('./test/crash/disks.test.ts', {
  HOLDFAST_DISKS: 'all',
  HOLDFAST_DISKS_TABLE: table,
});
const lines = existsSync(table) ? readFileSync(table, 'utf8').split('\n').slice(0, -1) : [];
rmSync(folder, { recursive: true, force: true });
const bad = lines.filter((line) => line.endsWith('BAD')).length;
if (lines.length > 0) console.log(lines.join('\n'));
console.log(`disks: ${lines.length} cases, ${bad} bad`);
process.exit(code === 0 && lines.length > 0 && bad === 0 ? 0 : 1);
