/** What `doctor` says of the agent's own configuration: which sections are the owner's, which a state's. */
import type { Fault } from '#errors/fault.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, wrong } from './finding.ts';

/** @param ignored  why the sections of a state count for nothing; null: they count, or there are none */
export function configurationFindings(
  { file, fromState = [] }: Pick<AgentConfig, 'file' | 'fromState'>,
  ignored: Fault | null,
): readonly Finding[] {
  const valid = good('configuration', `${file} is valid`);
  if (ignored?.code === 'platform.denied') {
    const message = `stateDir cannot be read: a state may have brought sections that this user does not see`;
    return [valid, note('configuration', message)];
  }
  if (ignored) return [valid, wrong('configuration', ignored)];
  if (fromState.length === 0) return [valid];
  return [
    valid,
    good('configuration', `from a state: ${fromState.join(', ')}; the rest from ${file}`),
  ];
}
