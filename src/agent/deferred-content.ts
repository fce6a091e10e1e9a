/**
 * What a collection keeps for statements that wait (deferral.ts), of whatever channel: the statement,
 * and every blob it names, so that a window which opens without a network finds everything here.
 */
import type { ApplyContext } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import { readDesiredState } from '#wire/desired-state.ts';

export interface DeferredContent {
  readonly statements: readonly Digest[];
  readonly blobs: readonly Digest[];
}

export function deferredContent({
  store,
  content,
}: Pick<ApplyContext, 'store' | 'content'>): Result<DeferredContent> {
  const rows = store.channels();
  if (!rows.ok) return rows;
  const statements: Digest[] = [];
  const blobs: Digest[] = [];
  for (const { deferred } of rows.value) {
    if (!deferred) continue;
    statements.push(deferred.to.stateDigest);
    const kept = content.readStatement(deferred.to.stateDigest);
    // One that is damaged is fetched again, with what it needs.
    const state = kept.ok ? readDesiredState(kept.value.envelope.payload) : kept;
    if (state.ok) blobs.push(...state.value.blobs.map(({ digest }) => digest));
  }
  return ok({ statements, blobs });
}
