/** What a statement of a channel is judged by now: read anew for each one. */
import { toldApplied, wholeInForce } from '#apply/journal.ts';
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
  const held = following.row();
  const { floor, applied, fleet, channel } = held;
  const rejected = base.store.rejected(fleet, channel);
  const state = applied ? base.store.state(fleet, channel, applied.stateDigest) : null;
  const ids = state?.ok ? (state.value?.generations ?? []) : [];
  return trustedOf(base, config, {
    // A state that comes into force part by part is judged anew at each try, by what was whole before.
    ...{ channel, attestation, floor, applied: toldApplied(held) },
    version: program.version,
    inForce: wholeInForce(held)?.stateDigest ?? null,
    appliedIds: ids.map(({ id }) => id),
    rejected: new Map(
      (rejected.ok ? rejected.value : []).map((row) => [row.point.stateDigest, row] as const),
    ),
  });
}
