/**
 * What a child of a gateway says of one deployment: a small JSON file in its folder (agent/margo-child-folder.ts).
 * From outside, so read strictly; what says nothing of the document that lies there now counts as nothing.
 */
import * as v from 'valibot';
import type { Digest } from '#state/digest.ts';
import { MARGO_STATES, type MargoState } from '#state/margo.ts';
import { isJsonObject, readStrictJson } from './strict-json.ts';

export interface ChildStatus {
  readonly state: MargoState;
  /** empty: no error */
  readonly code: string;
  readonly message: string;
}

const TEXT_MAX = 1_000;
const text = v.pipe(
  v.string(),
  v.transform((value) => value.slice(0, TEXT_MAX)),
);
const schema = v.looseObject({
  digest: v.string(),
  state: v.picklist(MARGO_STATES),
  error: v.nullish(v.looseObject({ code: v.optional(text), message: v.optional(text) })),
});

/** Null: it says nothing that counts for this document. */
export function readMargoChildStatus(bytes: Uint8Array, digest: Digest): ChildStatus | null {
  const read = readStrictJson(bytes, 'the status of a child');
  if (!read.ok || !isJsonObject(read.value)) return null;
  const checked = v.safeParse(schema, read.value);
  if (!checked.success || checked.output.digest !== digest) return null;
  const { state, error } = checked.output;
  return { state, code: error?.code ?? '', message: error?.message ?? '' };
}
