/** The runtimes, by the profile type they serve. A new one: a file beside this, a line in MAKERS. */
import { type AgentConfigOptions, agentConfigRuntime } from './agent-config.ts';
import { type ComposeOptions, composeRuntime } from './compose.ts';
import { type FilesOptions, filesRuntime } from './files.ts';
import { type HelmOptions, helmRuntime } from './helm.ts';
import { type ProcessOptions, type ProcessRuntime, processRuntime } from './process.ts';
import type { Runtime } from './runtime.ts';

export type RuntimeOptions = FilesOptions &
  ProcessOptions &
  AgentConfigOptions &
  HelmOptions &
  ComposeOptions;

const MAKERS: Readonly<Record<string, (options: RuntimeOptions) => Runtime>> = {
  files: filesRuntime,
  agent: agentConfigRuntime,
  helm: helmRuntime,
  compose: composeRuntime,
};

/** What `channels[].allow.runtimes` may name. */
export const RUNTIME_TYPES: readonly string[] = [...Object.keys(MAKERS), 'process'];

export interface Runtimes {
  readonly byType: ReadonlyMap<string, Runtime>;
  /** what only programs need: `holdfast stop`, and letting them run on */
  readonly process: ProcessRuntime;
}

export function allRuntimes(options: RuntimeOptions): Runtimes {
  const process = processRuntime(options);
  const others = Object.values(MAKERS).map((make) => make(options));
  const byType = new Map([...others, process].map((runtime) => [runtime.type, runtime]));
  return { byType, process };
}
