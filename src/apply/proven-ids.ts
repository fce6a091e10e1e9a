/** The deployments of the last proven state of a channel: what an undo goes back to. */
import type { ChannelRow } from '#state/channel-row.ts';
import type { StoreReader } from '#store/store.ts';
import { before } from './replaced.ts';

/** Null: it cannot be read. */
export function provenIds(
  store: Pick<StoreReader, 'channel' | 'state'>,
  { fleet, channel }: Pick<ChannelRow, 'fleet' | 'channel'>,
): ReadonlySet<string> | null {
  const row = store.channel(fleet, channel);
  if (!row.ok) return null;
  const applied = row.value?.applied;
  if (!applied) return new Set();
  const state = store.state(fleet, channel, applied.stateDigest);
  if (!state.ok || !state.value) return null;
  return new Set(before(state.value).generations.map(({ id }) => id));
}
