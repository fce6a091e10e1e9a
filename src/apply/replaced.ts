/**
 * A change to the state that is applied brings it into force again: with other values of the device,
 * or whole, after another channel had taken over part of it. Its state row has both while it is open: the new generations, and those that they replace
 * and that an undo brings back. One row, so a cut leaves both or neither.
 */
import type { ChannelRow, StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { StoreWriter } from '#store/store.ts';

interface Of {
  readonly kind: string;
  readonly fleet: ChannelRow['fleet'];
  readonly channel: string;
  readonly to: { readonly stateDigest: Digest };
}

/** In the commit of the change. */
export function forgetReplaced(tx: StoreWriter, change: Of): void {
  settle(tx, change, ({ replaced: _, ...row }) => row);
}

/** In the commit of its undo. */
export function restoreReplaced(tx: StoreWriter, change: Of): void {
  settle(tx, change, ({ replaced, ...row }) => ({ ...row, generations: replaced ?? [] }));
}

/** The row as it stood before the change. */
export function before({ replaced, ...row }: StateRow): StateRow {
  return replaced ? { ...row, generations: replaced } : row;
}

function settle(
  tx: StoreWriter,
  { fleet, channel, to }: Of,
  settled: (row: StateRow) => StateRow,
): void {
  const row = tx.state(fleet, channel, to.stateDigest);
  if (row.ok && row.value?.replaced) tx.putState(fleet, channel, settled(row.value));
}
