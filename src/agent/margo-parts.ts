/**
 * How a deployment of a Margo manifest stands where the manifest comes into force deployment by
 * deployment (MARGO.md: one that fails lets the others stand). From the row of the manifest's state.
 */
import { changingIn } from '#apply/open-parts.ts';
import type { Fault } from '#errors/fault.ts';
import type { ChannelRow, OpenParts } from '#state/channel-row.ts';
import type { MargoState } from '#state/margo.ts';
import type { StoreReader } from '#store/store.ts';
import { endOf } from './margo-refused.ts';

export interface MargoParts {
  readonly open: OpenParts;
  /** what is being changed now */
  readonly changing: readonly string[];
}

/** Of the accepted manifest; null: all of it is in force, or it comes at once. */
export function margoParts(
  store: Pick<StoreReader, 'state'>,
  { fleet, channel, floor }: ChannelRow,
): MargoParts | null {
  const row = floor && store.state(fleet, channel, floor.stateDigest);
  if (!row?.ok || !row.value?.open) return null;
  return { open: row.value.open, changing: changingIn(row.value) ?? [] };
}

type Why = Pick<Fault, 'code' | 'message'> | null;
type End = { readonly state: MargoState; readonly why: Why };

/**
 * @param under  how the change that is under way stands
 * @returns null: in force as the manifest has it
 */
export function partEnd(
  { open, changing }: MargoParts,
  id: string,
  { row, under }: { readonly row: Pick<ChannelRow, 'intent'>; readonly under: End },
): End | null {
  const part = open.parts.find((one) => one.id === id);
  if (!part) return null;
  const begins: MargoState = part.digest === null ? 'removing' : 'pending';
  if (changing.includes(id)) {
    const removes = part.digest === null && under.state !== 'failed';
    return removes ? { state: 'removing', why: null } : under;
  }
  const over = part.ended || row.intent === null;
  if (!part.failure) return { state: begins, why: null };
  if (over) return { state: 'failed', why: part.failure };
  return part.digest === null ? { state: begins, why: part.failure } : endOf(part.failure);
}
