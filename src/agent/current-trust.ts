/** What a statement of the first channel is judged by now: read anew for each one. */
import type { Trusted } from '#trust/verify.ts';
import { type Base, type ProgramVersion, trustedOf } from './base.ts';
import type { AgentConfig } from './config.ts';
import type { Follower } from './follow.ts';

export interface TrustParts {
  readonly base: Base;
  readonly config: AgentConfig;
  readonly program: ProgramVersion;
}

export function currentTrust(
  { base, config, program }: TrustParts,
  following: Follower,
  attestation: Trusted['attestation'],
): Trusted {
  const { floor, applied, fleet, channel } = following.row();
  const rejected = base.store.rejected(fleet, channel);
  const state = applied ? base.store.state(fleet, channel, applied.stateDigest) : null;
  const ids = state?.ok ? (state.value?.generations ?? []) : [];
  return trustedOf(base, config, {
    version: program.version,
    attestation,
    floor,
    applied,
    appliedIds: ids.map(({ id }) => id),
    rejected: new Map(
      (rejected.ok ? rejected.value : []).map((row) => [row.point.stateDigest, row] as const),
    ),
  });
}
