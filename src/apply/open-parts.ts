/**
 * What the state row of a statement says of its deployments where they come into force one by one
 * (parts.ts), as pure functions: `generations` is what is in force, each with the statement that its
 * document stands in; `open` what is not as the statement wants it, and why. Each is part of one commit.
 */
import { assert, type Fault } from '#errors/fault.ts';
import type { Part } from '#plan/parts.ts';
import type { GenerationRow, OpenParts, PartRow, StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import type { Fleet } from '#state/names.ts';
import type { StatusPoint } from '#state/status.ts';
import type { StoreReader } from '#store/store.ts';
import { before } from './replaced.ts';

/** The rows of what is in force, to stand in the row of another statement. */
export function rowsFrom(row: StateRow): readonly GenerationRow[] {
  return before(row).generations.map((generation) => ({
    ...generation,
    statement: generation.statement ?? row.stateDigest,
  }));
}

/** Nothing of it has begun; what is known of an earlier beginning, or of the same document, stays. */
export function openedParts(
  parts: readonly Part[],
  whole: StatusPoint | null,
  known: OpenParts | null,
): OpenParts {
  const rows = new Map((known?.parts ?? []).map((row) => [row.id, row]));
  const opened = parts.flatMap(({ steps }) =>
    steps.map((step): PartRow => {
      const next = step.kind === 'activate' ? step.next : null;
      const id = next?.id ?? (step.kind === 'remove' ? step.previous.id : '');
      const wanted = { digest: next?.digest ?? null, documentDigest: next?.documentDigest ?? null };
      const row = rows.get(id);
      if (row && row.digest === wanted.digest) return row;
      return { id, ...wanted, tries: 0, ended: false, failure: null };
    }),
  );
  return { whole, parts: opened };
}

/** In force now. Null: with these nothing is open any more. */
function provenParts(open: OpenParts, ids: readonly string[]): OpenParts | null {
  const parts = open.parts.filter(({ id }) => !ids.includes(id));
  return parts.length === 0 ? null : { ...open, parts };
}

/** What is not in force of a state once this change of it is proven; null: nothing. */
export function openAfter(
  store: Pick<StoreReader, 'state'>,
  { fleet, channel, to, part, stateRow }: Proven,
): OpenParts | null {
  if (!part) return stateRow.open ?? null;
  const row = store.state(fleet, channel, to.stateDigest);
  const open = (row.ok ? row.value?.open : undefined) ?? stateRow.open;
  return open ? provenParts(open, part) : null;
}

interface Proven {
  readonly fleet: Fleet;
  readonly channel: string;
  readonly to: StatusPoint;
  readonly part?: readonly string[];
  readonly stateRow: StateRow;
}

export interface PartEnd {
  readonly tries?: number;
  readonly ended: boolean;
  readonly failure: PartRow['failure'];
}

/** Not in force: undone, or never begun. */
export function failedParts(open: OpenParts, ids: readonly string[], end: PartEnd): OpenParts {
  const parts = open.parts.map((part) => {
    if (!ids.includes(part.id)) return part;
    return { ...part, ended: end.ended, failure: end.failure, tries: end.tries ?? part.tries };
  });
  return { ...open, parts };
}

export function failureIn({ code, message }: Pick<Fault, 'code' | 'message'>): PartRow['failure'] {
  return { code, message };
}

/** What stands for a part: its deployments share their tries and their end. */
export function partOf(open: OpenParts | null | undefined, { ids }: Part): PartRow | null {
  return open?.parts.find(({ id }) => id === ids[0]) ?? null;
}

/** The row with one part more in force, and what that replaces: one change of the journal. */
export function partRow(
  row: StateRow,
  wanted: readonly GenerationRow[],
  next: readonly Generation[],
): StateRow {
  const own = new Map(wanted.map((generation) => [generation.id, generation]));
  const held = new Map(row.generations.map((generation) => [generation.id, generation]));
  const generations = next.map(({ id, digest }) => {
    const of = own.get(id)?.digest === digest ? own.get(id) : held.get(id);
    assert(of, `${id} is in no row`);
    return of;
  });
  return { ...row, generations, replaced: row.generations };
}

/** The deployments that an open change of such a row brings into force; null: it is none of a part. */
export function changingIn(row: StateRow | null): readonly string[] | null {
  if (!row?.open || !row.replaced) return null;
  const was = digests(row.replaced);
  const is = digests(row.generations);
  const ids = new Set([...was.keys(), ...is.keys()]);
  return [...ids].filter((id) => was.get(id) !== is.get(id));
}

function digests(rows: readonly GenerationRow[]): ReadonlyMap<string, Digest> {
  return new Map(rows.map(({ id, digest }) => [id, digest]));
}
