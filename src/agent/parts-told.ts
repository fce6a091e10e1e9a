/**
 * What of a statement is not in force, where it comes into force deployment by deployment: told with the
 * deployment it is about. One that an older statement has in force keeps its health and its digest; one
 * that is not there at all is told as stopped. Read from the rows of the store, never from intent (I8).
 */
import type { ChannelRow, OpenParts } from '#state/channel-row.ts';
import type { DeploymentStatus } from '#state/status.ts';
import type { StoreReader } from '#store/store.ts';

/** Of the accepted statement, else of the one that is in force in part; null: nothing is open. */
export function openOf(
  store: Pick<StoreReader, 'state'>,
  { fleet, channel, floor, applied, partly, hold }: ChannelRow,
): OpenParts | null {
  const of = (digest: Parameters<StoreReader['state']>[2] | undefined): OpenParts | null => {
    const row = digest ? store.state(fleet, channel, digest) : null;
    return row?.ok ? (row.value?.open ?? null) : null;
  };
  const accepted = hold ? null : of(floor?.stateDigest);
  return accepted ?? (partly ? of(applied?.stateDigest) : null);
}

export function withParts(
  deployments: readonly DeploymentStatus[],
  open: OpenParts | null,
): readonly DeploymentStatus[] {
  const failures = new Map(
    (open?.parts ?? []).flatMap((part) => (part.failure ? [[part.id, part] as const] : [])),
  );
  if (failures.size === 0) return deployments;
  const known = new Set(deployments.map(({ id }) => id));
  const told = deployments.map((deployment) => {
    const failure = failures.get(deployment.id)?.failure;
    return failure && deployment.code === '' ? { ...deployment, ...failure } : deployment;
  });
  const away = [...failures.values()].flatMap(({ id, documentDigest: digest, failure }) =>
    known.has(id) || !digest || !failure
      ? []
      : [{ id, digest, health: 'stopped', ...failure, restarts: 0 }],
  );
  return [...told, ...away];
}
