/**
 * Paths outside of every root that agent.yaml names now, and that are this agent's to take away, put
 * back and start all the same: what is in force, and what channels left here that are no longer
 * followed, was allowed when it was accepted. The owner takes the roots of a channel out together with
 * the channel; `forget`, the end of a change that was under way and the start after a reboot have to
 * reach what it left. What is new is judged by the roots alone, before (plan/allow.ts).
 */
import type { ContentStore } from '#store/content.ts';
import type { StoreReader } from '#store/store.ts';
import { loadState } from './load.ts';
import { type Followed, isFollowed } from './orphans.ts';

interface Reading {
  readonly store: Pick<StoreReader, 'channels' | 'states'>;
  readonly content: ContentStore;
}

/** Targets and data directories; what cannot be read names none. */
export function leftPaths({ store, content }: Reading, followed: Followed): ReadonlySet<string> {
  const found = new Set<string>();
  const rows = store.channels();
  for (const row of rows.ok ? rows.value : []) {
    const states = store.states(row.fleet, row.channel);
    // Of a channel that is followed an earlier state may not come back beyond its bounds.
    const bounded = isFollowed(followed, row);
    for (const state of states.ok ? states.value : []) {
      if (bounded && state.stateDigest !== row.applied?.stateDigest) continue;
      const loaded = loadState(content, state);
      for (const { deployment } of loaded.ok ? loaded.value : []) {
        for (const { path } of deployment.data) found.add(path);
        if (deployment.profile.kind !== 'files') continue;
        for (const { target } of deployment.profile.components) found.add(target);
      }
    }
  }
  return found;
}
