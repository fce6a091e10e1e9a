/**
 * What nobody needs any more is removed, only when idle. Kept: applied, accepted, the proven states
 * that rollback may go to, every generation that a live process uses (the runtime knows), what
 * channels left here that are no longer followed, and the statements that the audit journal names.
 */
import { folderOf } from '#apply/folder-name.ts';
import { loadState } from '#apply/load.ts';
import { orphansOf } from '#apply/orphans.ts';
import { generationsOf } from '#apply/recover.ts';
import { before } from '#apply/replaced.ts';
import { type ApplyContext, runtimeOf } from '#apply/transaction.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { ChannelRow, StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { deviceOfChannel } from '#state/values.ts';
import { deferredContent } from './deferred-content.ts';
import { auditedStatements } from './evidence.ts';

/** States whose rows and contents stay. */
export function keptStates(row: ChannelRow): ReadonlySet<Digest> {
  const points = [row.floor, row.applied, row.intent?.to ?? null, ...row.previous];
  return new Set(points.flatMap((point) => (point ? [point.stateDigest] : [])));
}

/** @param rows  of the channels that are followed */
export async function collect(
  context: ApplyContext,
  rows: readonly ChannelRow[],
): Promise<Result<void>> {
  const kept = new Set<Digest>();
  const ids = new Set<string>();
  const generations: Generation[] = [];
  for (const row of rows) {
    const loaded = keptOf(context, row);
    if (!loaded.ok) return loaded;
    for (const digest of keptStates(row)) kept.add(digest);
    for (const id of loaded.value.ids) ids.add(id);
    generations.push(...loaded.value.generations);
  }
  const orphans = orphansOf(context, context.followed);
  generations.push(...orphans.flatMap((orphan) => orphan.generations));
  const gone = goneOf(context, rows, ids);
  if (!gone.ok) return gone;
  for (const id of [...ids, ...gone.value]) {
    const swept = await sweepDeployment(context, id, generations);
    if (!swept.ok) return swept;
  }
  const audited = auditedStatements(context);
  if (!audited.ok) return audited;
  const others = orphans.flatMap((orphan) => [...keptStates(orphan.row)]);
  const values = valuesStatements(context, generations);
  if (!values.ok) return values;
  return sweepContent(
    context,
    new Set([...kept, ...others, ...standingIn(generations), ...values.value, ...audited.value]),
    generations,
  );
}

/** Statements that only have the documents of what is left in force of them. */
function standingIn(generations: readonly Generation[]): readonly Digest[] {
  return generations.flatMap(({ statement }) => (statement ? [statement] : []));
}

interface Kept {
  readonly generations: readonly Generation[];
  /** of all its states: what may have left something on the disk */
  readonly ids: ReadonlySet<string>;
}

function keptOf(context: ApplyContext, row: ChannelRow): Result<Kept> {
  const states = context.store.states(row.fleet, row.channel);
  if (!states.ok) return states;
  const generations: Generation[] = [];
  for (const digest of keptStates(row)) {
    const loaded = generationsOf(context, row, digest);
    // One that cannot be read names nothing: its blobs are kept by not collecting at all.
    if (!loaded.ok && states.value.some(({ stateDigest }) => stateDigest === digest)) return loaded;
    if (loaded.ok) generations.push(...loaded.value);
    const proven = replacedIn(context, states.value, digest);
    if (!proven.ok) return proven;
    generations.push(...proven.value);
  }
  return ok({ generations, ids: idsOf(states.value) });
}

/** What an open change to this state goes back to. */
function replacedIn(
  { content }: ApplyContext,
  states: readonly StateRow[],
  digest: Digest,
): Result<readonly Generation[]> {
  const row = states.find(({ stateDigest }) => stateDigest === digest);
  return row?.replaced ? loadState(content, before(row)) : ok([]);
}

function idsOf(states: readonly StateRow[]): ReadonlySet<string> {
  return new Set(states.flatMap(({ generations }) => generations.map(({ id }) => id)));
}

/**
 * Deployments that left something on the disk and that no state names any more, whatever channel it
 * is of: the row of a state goes in the commit that replaces it, before anything is swept.
 */
function goneOf(
  { store, runtimes }: ApplyContext,
  own: readonly ChannelRow[],
  ids: ReadonlySet<string>,
): Result<readonly string[]> {
  const rows = store.channels();
  if (!rows.ok) return rows;
  const named = new Set(ids);
  for (const { fleet, channel } of rows.value) {
    if (own.some((row) => row.fleet === fleet && row.channel === channel)) continue;
    const states = store.states(fleet, channel);
    if (!states.ok) return states;
    for (const id of idsOf(states.value)) named.add(id);
  }
  const gone = new Set<string>();
  for (const runtime of runtimes.values()) {
    const left = runtime.left?.() ?? ok([]);
    if (!left.ok) return left;
    // A folder that is named by a hash says no id; no id of a statement needs one (check 12).
    for (const name of left.value) if (folderOf(name) === name && !named.has(name)) gone.add(name);
  }
  return ok([...gone].sort());
}

/** Of the device's own channel: in force, the floor, those before, and what generations were made with. */
function valuesStatements(
  { store, followed: { fleet } }: ApplyContext,
  generations: readonly Generation[],
): Result<readonly Digest[]> {
  const rows = store.channels();
  if (!rows.ok) return rows;
  const own = rows.value.filter(
    (row) => row.fleet === fleet && deviceOfChannel(row.channel) !== null,
  );
  const used = generations.flatMap(({ secrets }) => [...(secrets?.values() ?? [])]);
  return ok([
    ...own.flatMap((row) => [...keptStates(row)]),
    ...used.map(({ statement }) => statement),
  ]);
}

async function sweepDeployment(
  context: ApplyContext,
  id: string,
  generations: readonly Generation[],
): Promise<Result<void>> {
  const own = generations.filter((generation) => generation.id === id);
  for (const [type, runtime] of context.runtimes) {
    const mine = own.filter((generation) => {
      const found = runtimeOf(context, generation);
      return found.ok && found.value.type === type;
    });
    const swept = await runtime.sweep(id, new Set(mine.map(({ digest }) => digest)));
    if (!swept.ok) return swept;
  }
  return ok(undefined);
}

function sweepContent(
  { store, content, runtimes }: ApplyContext,
  statements: ReadonlySet<Digest>,
  generations: readonly Generation[],
): Result<void> {
  const blobs = new Set<Digest>();
  for (const generation of generations) {
    for (const { digest } of generation.blobs.values()) blobs.add(digest);
  }
  for (const runtime of runtimes.values()) {
    for (const digest of runtime.blobs?.(generations) ?? []) blobs.add(digest);
  }
  const waiting = deferredContent({ store, content });
  if (!waiting.ok) return waiting;
  for (const digest of waiting.value.blobs) blobs.add(digest);
  const kept = new Set([...statements, ...waiting.value.statements]);
  for (;;) {
    const swept = content.sweep({ blobs, statements: kept });
    if (!swept.ok) return swept;
    if (!swept.value.more) return ok(undefined);
  }
}
