/** The runtimes, by the profile type they serve. A new one: a file beside this, a line here. */
import { type FilesOptions, filesRuntime } from './files.ts';
import { type ProcessOptions, type ProcessRuntime, processRuntime } from './process.ts';
import type { Runtime } from './runtime.ts';

export interface Runtimes {
  readonly byType: ReadonlyMap<string, Runtime>;
  /** what only programs need: `holdfast stop`, and letting them run on */
  readonly process: ProcessRuntime;
}

export function allRuntimes(options: FilesOptions & ProcessOptions): Runtimes {
  const process = processRuntime(options);
  const all: readonly Runtime[] = [filesRuntime(options), process];
  return { byType: new Map(all.map((runtime) => [runtime.type, runtime])), process };
}
