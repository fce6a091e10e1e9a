/**
 * The long version of a test file: the same test, told by its environment to go on for longer. Its
 * waits may take four times as long (HOLDFAST_PATIENCE), since long runs share their machine.
 */
import { build } from './build.ts';
import { hostTarget, ROOT } from './targets.ts';
import { provide } from './test-parts.ts';

/** @returns the exit code of `bun test` */
export async function longRun(
  file: string,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<number> {
  await provide();
  await build(hostTarget());
  const child = Bun.spawn([process.execPath, 'test', ...flags, file], {
    cwd: ROOT,
    stdin: 'ignore',
    stdout: 'inherit',
    stderr: 'inherit',
    env: { HOLDFAST_PATIENCE: '4', ...process.env, ...env },
  });
  return child.exited;
}
