/**
 * The condition of the channel now, read from the store, the disk and the runtimes, never from
 * intent (I8): what the signed status and `holdfast status` both show.
 */

import type { Health } from '#apply/health.ts';
import { phaseOf, toldApplied } from '#apply/journal.ts';
import type { Deviation, Runtime } from '#apply/runtimes/runtime.ts';
import type { OpenParts } from '#state/channel-row.ts';
import type { Generation } from '#state/generation.ts';
import type { ChannelStatus, DeploymentStatus } from '#state/status.ts';
import type { Follower } from './follow.ts';
import { withParts } from './parts-told.ts';

/** How one deployment is. */
export interface DeploymentFacts {
  runtimeOf(generation: Generation): Runtime | null;
  /** what the last looks of its health checks said */
  healthOf(generation: Generation): Health;
  readonly drift: ReadonlyMap<string, readonly Deviation[]>;
}

export interface SnapshotInput extends DeploymentFacts {
  readonly follower: Follower;
  /** generations of the applied state */
  readonly current: readonly Generation[];
  readonly safeMode: boolean;
  /** what of a statement is not in force (parts-told.ts); absent: all is, or nothing */
  readonly open?: OpenParts | null;
}

export function channelStatus(input: SnapshotInput): ChannelStatus {
  const { follower, drift } = input;
  const row = follower.row();
  const waiting = follower.waitingFor();
  const inForce = input.current.map((generation) => deploymentStatus(input, generation));
  const deployments = withParts(inForce, input.open ?? null);
  const failed = row.partly && input.open?.parts.some(({ failure }) => failure !== null);
  const ill = deployments.some(({ health }) => health === 'unhealthy' || health === 'stopped');
  const phase = phaseOf(row);
  return {
    channel: follower.channel,
    desired: row.floor,
    applied: toldApplied(row),
    phase: input.safeMode ? 'safe-mode' : phase === 'idle' && waiting ? 'waiting' : phase,
    via: row.appliedVia,
    degraded: row.degraded !== null || phase === 'stuck' || ill || drift.size > 0 || !!failed,
    deployments,
    refused: follower.refusal(),
    heldByOperator: row.hold !== null || follower.paused(),
    freshness: row.appliedFreshness,
    waitingFor: waiting?.code ?? '',
  };
}

export function deploymentStatus(input: DeploymentFacts, generation: Generation): DeploymentStatus {
  const { id, documentDigest: digest } = generation;
  const condition = input.runtimeOf(generation)?.condition(generation);
  const restarts = condition?.restarts ?? 0;
  const base = { id, digest, restarts };
  const [deviation] = input.drift.get(id) ?? [];
  if (deviation) {
    const message = `${deviation.what}: ${deviation.found}`;
    return { ...base, health: 'unhealthy', code: 'drift.found', message };
  }
  if (condition?.running === 'no') {
    return { ...base, health: 'stopped', code: 'apply.not-running', message: condition.message };
  }
  if (condition?.running === 'starting') {
    return { ...base, health: 'starting', code: '', message: condition.message };
  }
  const { health, code, message } = input.healthOf(generation);
  return { ...base, health, code, message };
}
