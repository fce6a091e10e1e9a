/** The policy of a statement on this device: it was verified when it was accepted, its file has a checksum. */
import type { Digest } from '#state/digest.ts';
import type { Policy } from '#state/policy.ts';
import type { ContentStore } from '#store/content.ts';
import { readDesiredState } from '#wire/desired-state.ts';

/** Null: the file is lost. */
export function keptPolicy(
  { content }: { readonly content: Pick<ContentStore, 'readStatement'> },
  digest: Digest,
): Policy | null {
  const kept = content.readStatement(digest);
  const state = kept.ok ? readDesiredState(kept.value.envelope.payload) : kept;
  return state.ok ? state.value.policy : null;
}
