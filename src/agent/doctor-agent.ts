/**
 * What the running agent itself says, for `holdfast doctor`: the verdict of `explain`, with its cure.
 * Where none answers: why its last start failed. Asks nothing of the network.
 */
import type { ExplainView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import type { Platform } from '#platform/platform.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, weak } from './finding.ts';
import { readStartFailure } from './start-failure.ts';

const NOT_STARTED =
  'Start it (systemctl start holdfast), or by hand to see why it ends: holdfast agent.';

export async function agentSays(
  platform: Pick<Platform, 'files' | 'http'>,
  { runDir }: Pick<AgentConfig, 'runDir'>,
): Promise<readonly Finding[]> {
  const answer = await ask<ExplainView>(platform.http, runDir, 'explain', {});
  if (!answer.ok) {
    const failed = readStartFailure(platform.files, runDir);
    if (!failed) return [note('agent', answer.fault.message, NOT_STARTED)];
    const { code, message, remedy } = failed;
    return [
      { about: 'agent', severity: 'error', code, message: `its last start: ${message}`, remedy },
    ];
  }
  const { verdict, cure, also } = answer.value;
  const first = cure === null ? good('agent', verdict) : weak('agent', verdict, cure);
  return [first, ...(also ?? []).map((one) => weak('agent', one.verdict, one.cure))];
}
