/** `holdfast doctor` about containers: which engine answers, where, which version. Starts none. */
import { engineOf } from '#apply/runtimes/compose-engine.ts';
import type { Platform } from '#platform/platform.ts';
import { COMPOSE_PROFILE } from '#state/compose.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, wrong } from './finding.ts';

export async function composeFindings(
  { http, files, processes, clock }: Pick<Platform, 'http' | 'files' | 'processes' | 'clock'>,
  { channels, compose, packages, runDir }: AgentConfig,
): Promise<readonly Finding[]> {
  if (!channels.some(({ allow }) => allow.runtimes.includes(COMPOSE_PROFILE))) return [];
  const open = engineOf({
    ...{ http, files, processes, clock, runDir, env: {}, start: false },
    ...compose,
  });
  const engine = await open();
  if (!engine.ok) return [wrong('compose', engine.fault, 'warning')];
  const { kind, version, socket, architecture } = engine.value;
  const name = kind === 'podman' ? 'Podman' : 'Docker Engine';
  const found = good('compose', `${name} ${version} (${architecture}) answers at ${socket}`);
  if (packages.registries.length > 0) return [found];
  const remedy =
    'For images elsewhere name their registries: `packages: { registries: [{ url: https://HOST }] }`.';
  return [found, note('compose', 'images come from the registries of states alone', remedy)];
}
