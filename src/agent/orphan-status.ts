/**
 * Status rows of channels that this device no longer follows (apply/orphans.ts), another fleet's among
 * them: what they left runs on, so it is told, read from the disk and the runtimes like the rest. A row
 * goes when a state has taken over the last of it. A channel of another fleet may have the name of the
 * one that is followed: it is told as `NAME.of-` and the first digits of its fleet.
 */
import { toldApplied } from '#apply/journal.ts';
import type { Followed, Orphaned } from '#apply/orphans.ts';
import { type ChannelView, faultView } from '#control/api.ts';
import { fault } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { ChannelStatus } from '#state/status.ts';
import { type DeploymentFacts, deploymentStatus } from './snapshot.ts';
import { pointView } from './views.ts';

/** what a row of this kind waits for */
export const ORPHANED = 'agent.orphaned';

const FLEET_DIGITS = 8;
/** of a channel's name, which has at most 63 with what follows */
const NAME_MAX = 63 - '.of-'.length - FLEET_DIGITS;

export function orphanStatuses(
  orphans: readonly Orphaned[],
  followed: Pick<Followed, 'fleet'>,
  facts: DeploymentFacts,
): readonly ChannelStatus[] {
  return orphans
    .filter(({ generations }) => generations.length > 0)
    .map(({ row, generations }) => {
      const deployments = generations.map((generation) => deploymentStatus(facts, generation));
      const ill = deployments.some(({ health }) => health === 'unhealthy' || health === 'stopped');
      return {
        channel: orphanName(row, followed),
        desired: row.floor,
        applied: toldApplied(row),
        phase: 'idle',
        via: row.appliedVia,
        degraded: ill,
        deployments,
        refused: null,
        heldByOperator: false,
        freshness: row.appliedFreshness,
        waitingFor: ORPHANED,
      };
    });
}

export function orphanName(
  { fleet, channel }: ChannelRow,
  followed: Pick<Followed, 'fleet'>,
): string {
  if (fleet === followed.fleet) return channel;
  // A name ends in a letter or digit, wherever it is cut.
  const name = channel.slice(0, NAME_MAX).replace(/[^a-z0-9]+$/, '');
  return `${name}.of-${fleet.slice(0, FLEET_DIGITS)}`;
}

/** For the control sockets: nothing of the channel that is followed is said of it. */
export function orphanView(status: ChannelStatus): ChannelView {
  const { channel } = status;
  return {
    channel,
    desired: pointView(status.desired),
    applied: pointView(status.applied),
    phase: status.phase,
    via: status.via,
    degraded: status.degraded,
    heldByOperator: false,
    paused: false,
    freshness: status.freshness,
    waitingFor: faultView(fault(ORPHANED, { channel })),
    refused: null,
    deployments: status.deployments,
  };
}
