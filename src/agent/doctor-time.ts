/**
 * What `holdfast doctor` says of the time: whether the fleet can tell it to this device, by which way,
 * whether the owner asks for more than that, and what the running agent knows.
 */
import type { StatusView } from '#control/api.ts';
import { ask } from '#control/client.ts';
import type { Result } from '#errors/fault.ts';
import type { Platform } from '#platform/platform.ts';
import { durationText } from '#state/quantity.ts';
import type { Root } from '#state/root.ts';
import { TIME_ROLE } from '#state/time-statement.ts';
import type { AgentConfig } from './config.ts';
import { type Finding, good, note, weak } from './finding.ts';

const ADD_ROLE =
  'Add a key of the role time to the root (docs/roots.md), and run `holdfast time serve`.';
const ADD_WAY =
  'Name time.url or mqtt in agent.yaml; or carry answers by hand (`holdfast time ask`).';

export async function timeFindings(
  platform: Pick<Platform, 'http'>,
  config: AgentConfig,
  root: Result<Root>,
): Promise<readonly Finding[]> {
  if (!root.ok) return [];
  const wayFindings = judgeTimeWays(config, root.value);
  const status = await ask<StatusView>(platform.http, config.runDir, 'status', {});
  return status.ok ? [...wayFindings, knownTime(status.value.device)] : wayFindings;
}

/** Exported for its test; no I/O. */
export function judgeTimeWays(
  { trust, time, mqtt }: Pick<AgentConfig, 'trust' | 'time' | 'mqtt'>,
  { roles }: Pick<Root, 'roles'>,
): readonly Finding[] {
  const limited = trust.unattestedMaxMs > 0;
  const most = durationText(trust.unattestedMaxMs);
  if (!roles.some(({ name }) => name === TIME_ROLE)) {
    const nobody = 'the root names no role time: nobody can prove to this device what time it is';
    if (!limited) return [note('time', nobody, ADD_ROLE)];
    return [weak('time', `${nobody}, and states older than ${most} wait for it`, ADD_ROLE)];
  }
  if (time.authority || mqtt) return [];
  const alone = 'no way to ask what time it is: registries and bundles tell a lower bound alone';
  return [
    limited
      ? weak('time', `${alone}; states older than ${most} wait`, ADD_WAY)
      : note('time', alone, ADD_WAY),
  ];
}

/** Exported for its test; no I/O. */
export function knownTime({
  timeGrade,
  attestedAgoMs,
}: Pick<StatusView['device'], 'timeGrade' | 'attestedAgoMs'>): Finding {
  const agoMs = Math.floor((attestedAgoMs ?? 0) / 1_000) * 1_000;
  const since = attestedAgoMs === null ? '' : `, attested ${durationText(agoMs)} ago`;
  return good('time', `the agent goes by ${timeGrade} time${since}`);
}
