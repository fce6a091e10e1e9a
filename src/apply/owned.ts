/**
 * What other channels own on this device, for the plan of one: what is in force of each that is
 * followed, what it has accepted and is bringing into force, and what channels left here that are no
 * longer followed. An id that the new state names itself is taken over from the latter (orphans.ts), and
 * is no conflict. What cannot be read owns nothing that could be named: such a channel is told as
 * damaged, and does not keep the others from going on.
 */
import { ok, type Result } from '#errors/fault.ts';
import { type Claim, checkOwned } from '#plan/conflict.ts';
import type { Files } from '#platform/files.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { deviceOfChannel } from '#state/values.ts';
import type { ContentStore } from '#store/content.ts';
import type { StoreReader } from '#store/store.ts';
import { loadState } from './load.ts';
import { type Followed, isFollowed, orphansOf } from './orphans.ts';

export interface Owning {
  readonly store: Pick<StoreReader, 'channels' | 'channel' | 'state'>;
  readonly content: ContentStore;
  readonly followed: Followed;
  /** how a path reads with the links of the target roots followed; default: as it is */
  real?(path: string): string;
}

/** `plan.conflict`: the first thing that another channel owns. */
export function checkOthers(
  owning: Owning,
  own: Pick<ChannelRow, 'fleet' | 'channel'>,
  desired: readonly Generation[],
): Result<undefined> {
  const others = claimsBeside(owning, own, new Set(desired.map(({ id }) => id)));
  if (others.length === 0) return ok();
  return checkOwned({ channel: own.channel, generations: desired }, others, owning.real);
}

function claimsBeside(
  owning: Owning,
  own: Pick<ChannelRow, 'fleet' | 'channel'>,
  named: ReadonlySet<string>,
): readonly Claim[] {
  const { store, followed } = owning;
  const rows = store.channels();
  const followedRows = (rows.ok ? rows.value : []).filter(
    (row) =>
      isFollowed(followed, row) &&
      row.channel !== own.channel &&
      deviceOfChannel(row.channel) === null,
  );
  const left = orphansOf(owning, followed).map(({ row, generations }) => ({
    channel: row.channel,
    generations: generations.filter(({ id }) => !named.has(id)),
  }));
  const accepted = followedRows.map((row) => ({
    channel: row.channel,
    generations: acceptedOf(owning, row),
  }));
  return [...accepted, ...left].filter(({ generations }) => generations.length > 0);
}

/** In force, and on its way to be: an undo brings the former back, so both are owned until the end. */
function acceptedOf({ store, content }: Owning, row: ChannelRow): readonly Generation[] {
  const { fleet, channel, applied, intent } = row;
  const digests = new Set<Digest>();
  for (const point of [applied, intent?.to]) if (point) digests.add(point.stateDigest);
  return [...digests].flatMap((digest) => {
    const state = store.state(fleet, channel, digest);
    const loaded = state.ok && state.value ? loadState(content, state.value) : null;
    return loaded?.ok ? loaded.value : [];
  });
}

/** Longest root first; a root that is no link, or is not there, reads as it is. */
export function realBelow(
  files: Pick<Files, 'realPath'>,
  roots: readonly string[],
): (path: string) => string {
  const deepest = [...roots].sort((a, b) => b.length - a.length);
  return (path) => {
    const root = deepest.find((each) => path.startsWith(each.endsWith('/') ? each : `${each}/`));
    if (root === undefined) return path;
    const real = files.realPath(root);
    if (!real.ok || real.value === root) return path;
    const rest = path.slice(root.endsWith('/') ? root.length - 1 : root.length);
    return `${real.value === '/' ? '' : real.value}${rest}`;
  };
}
