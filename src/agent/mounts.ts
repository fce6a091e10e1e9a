/**
 * Whether the places that the agent writes to are mounted so that it can: the part of `holdfast doctor`
 * that reads the kernel's table of mounts, and changes nothing to find out.
 */
import { fault } from '#errors/fault.ts';
import type { Files } from '#platform/files.ts';
import { mountOf, readMounts } from '#platform/mount-table.ts';
import type { AgentConfig } from './config.ts';
import { targetRoots } from './config-channels.ts';
import { type Finding, wrong } from './finding.ts';

export function readOnlyPlaces(
  files: Files,
  { stateDir, runDir, channels }: Pick<AgentConfig, 'stateDir' | 'runDir' | 'channels'>,
): readonly Finding[] {
  const table = readMounts(files) ?? [];
  return [stateDir, runDir, ...targetRoots(channels)].flatMap((path) => {
    const real = files.realPath(path);
    if (!mountOf(table, real.ok ? real.value : path)?.readOnly) return [];
    return [wrong('disk', fault('platform.read-only', { operation: 'write below', path }))];
  });
}
