/**
 * The engines that tests run containers in: Podman and Docker Engine, each with storage of its own. What
 * is told of one must hold on the other, so a test is written once and runs on both where both are here.
 */
import { noDocker, startDocker } from './docker-engine.ts';
import { type ContainerEngine, noContainers, startPodman } from './podman.ts';

export interface EngineUnderTest {
  readonly name: string;
  /** null: it can be run here; else why it cannot */
  readonly missing: string | null;
  start(): Promise<ContainerEngine>;
}

export const ENGINES: readonly EngineUnderTest[] = [
  { name: 'Podman', missing: noContainers, start: startPodman },
  { name: 'Docker Engine', missing: noDocker, start: startDocker },
];
