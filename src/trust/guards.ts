/**
 * Check 15, the part that needs only values: is this agent new enough, and does the statement take
 * away more than a slip of the hand may. What the owner's configuration allows is plan's business.
 */
import type { DesiredState } from '#state/desired-state.ts';
import { comparePoints, pointText } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import { type Outcome, passed, stop } from './outcome.ts';
import { compareVersions, parseVersion } from './version.ts';

// Check 15
export function judgeAgentVersion(wanted: string, running: string): Outcome<undefined> {
  if (wanted === '') return passed(undefined, 'any agent');
  const least = parseVersion(wanted);
  const own = parseVersion(running);
  if (!least || !own || compareVersions(own, least) < 0) {
    return stop('trust.agent-too-old', { wanted, running });
  }
  return passed(undefined, `agent ${running} is at least ${wanted}`);
}

/**
 * Removal guard: no deployment left, or more than half of the applied ones gone, passes only where
 * the applied point lies below (this epoch, `allow_removal`). 0 means unset, also in a new epoch.
 * @param applied  the last state that was in force whole; null: none was, which lies below each
 */
// Check 15
export function judgeRemoval(
  state: Pick<DesiredState, 'point' | 'deployments' | 'policy'>,
  appliedIds: readonly string[],
  applied: StatusPoint | null,
): Outcome<undefined> {
  const wanted = new Set(state.deployments.map(({ id }) => id));
  const removed = appliedIds.filter((id) => !wanted.has(id)).length;
  const compared = `removes ${removed} of ${appliedIds.length}`;
  const guarded = appliedIds.length > 0 && (wanted.size === 0 || removed * 2 > appliedIds.length);
  if (!guarded) return passed(undefined, compared);
  const { allowRemoval } = state.policy;
  const upTo = { epoch: state.point.epoch, sequence: allowRemoval };
  const below = applied === null || comparePoints(applied, upTo) < 0;
  if (allowRemoval > 0n && below) {
    return passed(undefined, `${compared}, allowed below ${pointText(upTo)}`);
  }
  return stop('trust.removal-guard', {
    removed,
    of: appliedIds.length,
    applied: applied ? pointText(applied) : 'none',
    allowed: allowRemoval > 0n ? `below ${pointText(upTo)}` : 'never',
  });
}
