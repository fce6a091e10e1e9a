/**
 * What channels left here that this device no longer follows, another fleet's included: it stays,
 * and its programs run on, until a state names the same ids. That state takes over what it names:
 * planned from what is there, so that nothing that is equal restarts, and from its commit on its own.
 * A channel that lost some of what it had that way is marked (`taken`): followed again, it is not in
 * force as it was signed, and is brought into force anew.
 */
import type { ChannelRow } from '#state/channel-row.ts';
import type { Generation } from '#state/generation.ts';
import type { Fleet } from '#state/names.ts';
import { deviceOfChannel } from '#state/values.ts';
import type { ContentStore } from '#store/content.ts';
import type { StoreReader, StoreWriter } from '#store/store.ts';
import { loadState } from './load.ts';

/** What this device follows: every other row is of a channel that was left. */
export interface Followed {
  readonly fleet: Fleet;
  readonly channels: ReadonlySet<string>;
}

export interface Orphaned {
  /** of the channel that was left */
  readonly row: ChannelRow;
  /** of its last proven state, without what another one took over */
  readonly generations: readonly Generation[];
}

interface Reading {
  readonly store: Pick<StoreReader, 'channels' | 'state'>;
  readonly content: ContentStore;
}

/** Newest first. What cannot be read is left where it is: it must not keep this channel from going on. */
export function orphansOf({ store, content }: Reading, followed: Followed): readonly Orphaned[] {
  return leftRows(store, followed).map((row) => {
    const state = row.applied && store.state(row.fleet, row.channel, row.applied.stateDigest);
    const loaded = state?.ok && state.value ? loadState(content, state.value) : null;
    return { row, generations: loaded?.ok ? loaded.value : [] };
  });
}

/** What is here already of the deployments with these ids. */
export function takenOver(
  reading: Reading,
  followed: Followed,
  ids: ReadonlySet<string>,
): readonly Generation[] {
  const found = new Map<string, Generation>();
  for (const { generations } of orphansOf(reading, followed)) {
    for (const generation of generations) {
      const { id } = generation;
      if (ids.has(id) && !found.has(id)) found.set(id, generation);
    }
  }
  return [...found.values()];
}

/** In the commit of a state: what it has is nobody else's any more. */
export function disown(tx: StoreWriter, followed: Followed, own: ChannelRow): void {
  const others = leftRows(tx, followed);
  if (others.length === 0 || !own.applied) return;
  const mine = tx.state(own.fleet, own.channel, own.applied.stateDigest);
  const ids = new Set(mine.ok ? mine.value?.generations.map(({ id }) => id) : []);
  for (const row of others) {
    const { fleet, channel, applied } = row;
    const state = applied && tx.state(fleet, channel, applied.stateDigest);
    if (!state?.ok || !state.value) continue;
    const generations = state.value.generations.filter(({ id }) => !ids.has(id));
    if (generations.length === state.value.generations.length) continue;
    tx.putState(fleet, channel, { ...state.value, generations });
    if (row.taken !== true) tx.putChannel({ ...row, taken: true });
  }
}

/** Rows of channels that are not followed and have something in force. */
export function leftRows(
  store: Pick<StoreReader, 'channels'>,
  followed: Followed,
): readonly ChannelRow[] {
  const rows = store.channels();
  return (
    (rows.ok ? rows.value : [])
      .filter((row) => row.applied !== null && !isFollowed(followed, row))
      // Values bring nothing into force by themselves: there is nothing to leave or to take over.
      .filter((row) => deviceOfChannel(row.channel) === null)
      .toSorted((a, b) => (b.applied?.at ?? 0) - (a.applied?.at ?? 0))
  );
}

export function isFollowed(
  { fleet, channels }: Followed,
  row: Pick<ChannelRow, 'fleet' | 'channel'>,
): boolean {
  return row.fleet === fleet && channels.has(row.channel);
}
