/**
 * What waited for its place in the spread, or for a window, is due (deferral.ts): judged anew from
 * this device's disk, by the root, the floor and the time of now, then it goes the way of any change.
 */
import type { ContentStore } from '#store/content.ts';
import { type CycleEnd, type CycleParts, resumeFrom } from './cycle.ts';
import type { Deferral } from './deferral.ts';

export interface GoingOn extends CycleParts {
  readonly deferral: Pick<Deferral, 'barred' | 'drop'>;
  readonly context: { readonly content: Pick<ContentStore, 'readStatement'> };
}

/** Null: nothing waits, or what waited is lost; a source brings it again. */
export async function goOnWithDeferred(parts: GoingOn): Promise<CycleEnd | null> {
  const { deferred } = parts.follower.row();
  if (!deferred) return null;
  const kept = parts.context.content.readStatement(deferred.to.stateDigest);
  if (!kept.ok) {
    parts.deferral.drop();
    return null;
  }
  const { envelope } = kept.value;
  const found = parts.finder.judge(envelope, deferred.via, parts.monotonicMs());
  // Refused now, or in force by another way: it waits for nothing any more.
  if (found.kind !== 'candidate' && found.kind !== 'waiting') parts.deferral.drop();
  return resumeFrom(parts, found);
}
