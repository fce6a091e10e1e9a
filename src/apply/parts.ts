/**
 * `atomicity: deployment`: a statement comes into force part by part, what is needed first
 * (plan/parts.ts). One part is one whole transaction (transaction.ts), from what is in force to the same
 * with this part replaced, so a cut or a failure at any point leaves each deployment whole, old or new.
 * The row of the statement says in the commit of each part what is in force now (open-parts.ts).
 *
 *   open      the floor is raised, nothing has changed
 *   a part    as any change; undone alone when it fails; what needs it waits
 *   settled   nothing is left to try: the statement is told as rejected, what is in force of it stays
 *
 * Invariants: a part begins at most `attemptsMax` times; a part that ended is not begun again for the
 * same statement; the statement is applied when its last part is, in the commit of that part.
 */
import { FAULTS, type Fault, fault, ok, type Result } from '#errors/fault.ts';
import { inOrder } from '#plan/order.ts';
import type { Part } from '#plan/parts.ts';
import type { ChannelRow, OpenParts, StateRow } from '#state/channel-row.ts';
import type { Generation } from '#state/generation.ts';
import { pointText } from '#state/point.ts';
import { historyOf } from './history-line.ts';
import { openedIn, settledIn } from './journal.ts';
import { loadState } from './load.ts';
import { isOfDisk } from './of-disk.ts';
import {
  failedParts,
  failureIn,
  openedParts,
  type PartEnd,
  partOf,
  partRow,
  rowsFrom,
} from './open-parts.ts';
import { readRow } from './read-row.ts';
import { type ApplyContext, type Change, type Outcome, runTransaction } from './transaction.ts';

/** How a change is to come into force where that is not at once. */
export interface InParts {
  /** all that the statement wants, in dependency order */
  readonly desired: readonly Generation[];
  readonly parts: readonly Part[];
  /** what ended for one document stays ended in the next statement (Margo) */
  readonly remember?: true;
  /** why images or packages of a deployment cannot be had; absent: they are here */
  readonly unfetched?: ReadonlyMap<string, Fault>;
}

/** How a part stands; absent: its turn has not come. */
type Stand =
  | { readonly kind: 'in force' }
  | { readonly kind: 'ended' | 'waiting'; readonly why: Fault };

export async function runChange(
  context: ApplyContext,
  change: Change,
  signal: AbortSignal,
): Promise<Outcome> {
  const { inParts } = change;
  if (!inParts) return runTransaction(context, change, signal);
  const barred = context.barred(change);
  if (barred) return { kind: 'waiting', fault: barred };
  const opened = open(context, change, inParts);
  if (!opened.ok) return { kind: 'waiting', fault: opened.fault };
  const run: Run = { context, change, inParts, signal, inForce: opened.value, stands: new Map() };
  for (const [place, part] of inParts.parts.entries()) {
    if (signal.aborted) return { kind: 'superseded' };
    const end = await follow(run, place, part);
    if (end) return end;
  }
  return finish(run);
}

interface Run {
  readonly context: ApplyContext;
  readonly change: Change;
  readonly inParts: InParts;
  readonly signal: AbortSignal;
  inForce: readonly Generation[];
  readonly stands: Map<number, Stand>;
}

/** Check 19 for the statement: kept, and the floor raised; nothing of it has begun. */
function open(
  context: ApplyContext,
  change: Change,
  inParts: InParts,
): Result<readonly Generation[]> {
  const { content, store } = context;
  const row = readRow(store, change);
  if (!row.ok) return row;
  const stateRow = openRow(context, change, { row: row.value, inParts });
  if (!stateRow.ok) return stateRow;
  if (change.statement) {
    const kept = content.putStatement(change.to.stateDigest, change.statement);
    const synced = kept.ok ? content.sync() : kept;
    if (!synced.ok) return synced;
  }
  const generations = loadState(content, stateRow.value);
  if (!generations.ok) return generations;
  const again = isOpen(row.value, change);
  const next = again ? row.value : openedIn(row.value, change);
  const done = store.transaction((tx) => {
    tx.putState(change.fleet, change.channel, stateRow.value);
    tx.putChannel(next);
    if (again) return;
    const evidence = change.statement?.evidence ?? null;
    context.beside(tx, { kind: 'accepted', row: next, issuedAt: change.issuedAt, evidence });
  });
  if (!done.ok) return done;
  context.onPhase('waiting', next);
  return generations;
}

/** Accepted before: this is another try of it. */
function isOpen({ floor, intent }: ChannelRow, { to }: Change): boolean {
  return floor?.stateDigest === to.stateDigest && intent?.to.stateDigest === to.stateDigest;
}

/** What is in force, in the row of this statement. */
function openRow(
  { store }: ApplyContext,
  { fleet, channel, to }: Change,
  { row, inParts }: { readonly row: ChannelRow; readonly inParts: InParts },
): Result<StateRow> {
  const { applied, partly } = row;
  const before = applied ? store.state(fleet, channel, applied.stateDigest) : ok(null);
  if (!before.ok) return before;
  const own = store.state(fleet, channel, to.stateDigest);
  if (!own.ok) return own;
  const remembered = inParts.remember ? before.value?.open : undefined;
  const known = own.value?.open ?? remembered ?? null;
  const whole = partly ? partly.whole : applied;
  const opened = openedParts(inParts.parts, whole, known);
  const { stateDigest } = to;
  if (before.value?.stateDigest === stateDigest) {
    return ok({ stateDigest, generations: before.value.generations, open: opened });
  }
  const generations = before.value ? inNewRow(before.value, inParts.desired) : [];
  return ok({ stateDigest, generations, open: opened });
}

/** What the statement has as it is in force already stands in its own documents. */
function inNewRow(row: StateRow, desired: readonly Generation[]): StateRow['generations'] {
  const wanted = new Map(desired.map(({ id, digest }) => [id, digest]));
  return rowsFrom(row).map((generation) => {
    if (wanted.get(generation.id) !== generation.digest) return generation;
    const { statement: _, ...own } = generation;
    return own;
  });
}

/** @returns an outcome that ends the run; null: on to the next part */
async function follow(run: Run, place: number, part: Part): Promise<Outcome | null> {
  const { context, change, stands } = run;
  const held = heldBack(run, part);
  if (held) {
    stands.set(place, held);
    return null;
  }
  const barred = context.barred(change);
  if (barred) return { kind: 'waiting', fault: barred };
  const before = openNow(run);
  const known = partOf(before?.open, part);
  if (!before || !known) return { kind: 'waiting', fault: lostRow(change) };
  const spent = known.tries >= change.attemptsMax && !known.ended;
  if (spent) record(run, part, endOf(fault('apply.crash-loop', { tries: known.tries }), true));
  const ended = spent ? partOf(openNow(run)?.open, part) : known;
  if (ended?.ended) {
    stands.set(place, { kind: 'ended', why: recorded(ended.failure) });
    return null;
  }
  const away = part.ids.flatMap((id) => run.inParts.unfetched?.get(id) ?? []);
  const [why] = away;
  if (why) {
    const kind = why.retry === 'never' ? 'ended' : 'waiting';
    stands.set(place, { kind, why });
    record(run, part, endOf(why, kind === 'ended'));
    return null;
  }
  return runPart(run, { place, part, row: before, tries: known.tries });
}

async function runPart(
  run: Run,
  {
    place,
    part,
    row,
    tries,
  }: {
    readonly place: number;
    readonly part: Part;
    readonly row: StateRow;
    readonly tries: number;
  },
): Promise<Outcome | null> {
  const { context, change, inParts, signal, stands } = run;
  const next = inOrder(withPart(run.inForce, inParts.desired, part));
  if (!next.ok) return { kind: 'waiting', fault: next.fault };
  const { inParts: _, ...plain } = change;
  const outcome = await runTransaction(
    context,
    {
      ...plain,
      ...{ part: part.ids, steps: part.steps, tries, statement: null, issuedAt: 0 },
      stateRow: partRow(row, change.stateRow.generations, next.value),
    },
    signal,
  );
  if (outcome.kind === 'applied') {
    run.inForce = next.value;
    stands.set(place, { kind: 'in force' });
    return null;
  }
  if (outcome.kind === 'superseded' || outcome.kind === 'stuck') return outcome;
  const now = readRow(context.store, change);
  // The agent starts anew in the middle of this part, or somebody bars all; the disk is everybody's.
  const over = context.barred(change) !== null || (now.ok && now.value.intent?.phase !== 'waiting');
  if (over || isOfDisk(outcome.fault.code)) return outcome;
  const kind = outcome.kind === 'rejected' ? 'ended' : 'waiting';
  stands.set(place, { kind, why: outcome.fault });
  record(run, part, endOf(outcome.fault, kind === 'ended'));
  return null;
}

/** In force, with this part as the statement wants it. */
function withPart(
  inForce: readonly Generation[],
  desired: readonly Generation[],
  { ids }: Part,
): readonly Generation[] {
  const own = new Set(ids);
  const wanted = new Map(desired.map((generation) => [generation.id, generation]));
  const stays = inForce.filter(({ id }) => !own.has(id));
  const comes = ids.flatMap((id) => wanted.get(id) ?? []);
  const all = new Map([...stays, ...comes].map((generation) => [generation.id, generation]));
  // In the statement's order; what is not in it any more comes last.
  const listed = desired.flatMap(({ id }) => all.get(id) ?? []);
  return [...listed, ...[...all.values()].filter(({ id }) => !wanted.has(id))];
}

/** A part whose needs are not in force waits, or has ended with them. */
function heldBack({ inParts, stands }: Run, { ids, needs }: Part): Stand | null {
  for (const need of needs) {
    const stand = stands.get(need);
    if (!stand || stand.kind === 'in force') continue;
    const why = fault('apply.held-back', {
      deployment: ids.join(', '),
      needs: inParts.parts[need]?.ids.join(', ') ?? '',
      code: stand.why.code,
    });
    return { kind: stand.kind, why };
  }
  return null;
}

function openNow({ context, change: { fleet, channel, to } }: Run): StateRow | null {
  const row = context.store.state(fleet, channel, to.stateDigest);
  return row.ok ? row.value : null;
}

function endOf(why: Fault, ended: boolean): PartEnd {
  return { ended, failure: failureIn(why) };
}

/** Told with the next status; a disk that refuses it will tell it after the next try. */
function record(run: Run, part: Pick<Part, 'ids'>, end: PartEnd): void {
  const row = openNow(run);
  if (!row?.open) return;
  const { fleet, channel } = run.change;
  const next = { ...row, open: failedParts(row.open, part.ids, end) };
  const done = run.context.store.transaction((tx) => tx.putState(fleet, channel, next));
  if (!done.ok) run.context.log.write('warn', 'part.unrecorded', { code: done.fault.code });
}

/** All parts have had their turn. */
function finish(run: Run): Outcome {
  const { context, change, inParts, stands } = run;
  const row = readRow(context.store, change);
  if (!row.ok) return { kind: 'waiting', fault: row.fault };
  const left = inParts.parts.flatMap((part, place) => {
    const stand = stands.get(place);
    return stand && stand.kind !== 'in force' ? [{ ...stand, part }] : [];
  });
  const [first] = left;
  if (!first) return { kind: 'applied', row: row.value };
  for (const { part, kind, why } of left) {
    const known = partOf(openNow(run)?.open, part);
    // What is held back has no end of its own: the next statement may bring what it needs.
    if (known && known.failure?.message !== why.message) {
      record(run, part, { ended: known.ended && kind === 'ended', failure: failureIn(why) });
    }
  }
  const waiting = left.find(({ kind }) => kind === 'waiting');
  if (waiting) return { kind: 'waiting', fault: waiting.why };
  return settle(
    run,
    first.why,
    left.flatMap(({ part }) => part.ids),
  );
}

/** Nothing is left to try. What is in force of it stays, the row says what is not. */
function settle({ context, change }: Run, first: Fault, left: readonly string[]): Outcome {
  const { store } = context;
  const { fleet, channel, to } = change;
  const row = readRow(store, change);
  if (!row.ok) return { kind: 'waiting', fault: row.fault };
  const names = left.slice(0, NAMED_MAX).join(', ');
  const more = left.length > NAMED_MAX ? `, and ${left.length - NAMED_MAX} more` : '';
  const message = `${first.message} (not in force of ${pointText(to)}: ${names}${more})`;
  const why: Fault = { ...first, message, retry: 'never' };
  const next = settledIn(row.value);
  const done = store.transaction((tx) => {
    tx.putChannel(next);
    const { code } = why;
    tx.putRejected(fleet, channel, { point: to, code, message, deployment: left[0] ?? '' });
    tx.addHistory(historyOf(context, { ...change, steps: [] }, 'rejected', why));
    context.beside(tx, { kind: 'settled', row: next, point: to, fault: why, left });
  });
  if (!done.ok) return { kind: 'waiting', fault: done.fault };
  context.onPhase('idle', next);
  return { kind: 'rejected', fault: why };
}

/** of deployments that a message names */
const NAMED_MAX = 8;

function recorded(failure: OpenParts['parts'][number]['failure']): Fault {
  const code = failure?.code ?? 'apply.interrupted';
  const { remedy } = FAULTS[code] ?? FAULTS['apply.interrupted'];
  return { code, message: failure?.message ?? '', remedy, retry: 'never' };
}

function lostRow({ to }: Change): Fault {
  return fault('store.row-missing', { key: `state ${to.stateDigest}` });
}
