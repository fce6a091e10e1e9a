/**
 * A change to the state that is applied brings it into force again: with other values of the device,
 * or whole, after another channel had taken over part of it. Its state row has both while it is open: the new generations, and those that they replace
 * and that an undo brings back. One row, so a cut leaves both or neither.
 */
import type { ChannelRow, OpenParts, StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { StoreWriter } from '#store/store.ts';

interface Of {
  readonly fleet: ChannelRow['fleet'];
  readonly channel: string;
  readonly to: { readonly stateDigest: Digest };
}

/** In the commit of the change. @param open  what of the state is not in force */
export function forgetReplaced(tx: StoreWriter, change: Of, open: OpenParts | null): void {
  settle(tx, change, ({ replaced: _, open: __, ...row }) => ({ ...row, ...(open && { open }) }));
}

/** In the commit of its undo. @param open  of a change that was part of a statement */
export function restoreReplaced(tx: StoreWriter, change: Of, open: OpenParts | null = null): void {
  settle(tx, change, ({ replaced, ...row }) => ({
    ...row,
    generations: replaced ?? [],
    ...(open && { open }),
  }));
}

/** A change to what is applied had stuck, and another state came over it: its proven half stays. */
export function settleStuck(
  tx: StoreWriter,
  { fleet, channel, to }: Of,
  { applied }: Pick<ChannelRow, 'applied'>,
): void {
  if (!applied || applied.stateDigest === to.stateDigest) return;
  restoreReplaced(tx, { fleet, channel, to: applied });
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
