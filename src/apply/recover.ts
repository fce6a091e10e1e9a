/**
 * At start, before anything else and without network: what a cut left open is ended by the last
 * column of the phase table, so that the device is in the old or the new state (I1), in a bounded
 * number of boots (I4). A cut counts as a failed try, whatever caused it (check 20).
 */
import { FAULTS, type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Step } from '#plan/step.ts';
import { everyStep, stepsBetween, stepText } from '#plan/steps.ts';
import type { ChannelRow, Intent } from '#state/channel-row.ts';
import { runsPrograms } from '#state/compose.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { counted, takenUp } from './journal.ts';
import { loadState } from './load.ts';
import { changingIn } from './open-parts.ts';
import { takenOver } from './orphans.ts';
import { before } from './replaced.ts';
import { type ApplyContext, type Change, doStep, type Outcome, undo } from './transaction.ts';

export type Recovered =
  /** nothing was open, or it is closed now */
  | { readonly kind: 'closed'; readonly outcome: Outcome | null }
  /** the whole new state is in force; its proof goes on */
  | { readonly kind: 'proving'; readonly change: Change };

/** @param safeMode  the last proven state is to run: what was being proven goes back as well */
export async function recover(
  context: ApplyContext,
  row: ChannelRow,
  healthWindowMs: number,
  safeMode = false,
): Promise<Result<Recovered>> {
  const { intent } = row;
  if (!intent || intent.phase === 'waiting') return ok({ kind: 'closed', outcome: null });
  const reopened = reopen(context, row, intent, healthWindowMs);
  if (!reopened.ok) return reopened;
  const { change, desired } = reopened.value;
  context.log.write('warn', 'recovery', { phase: intent.phase, tries: intent.tries });
  if (intent.phase === 'undoing' || intent.phase === 'stuck') {
    const failure = recordedFailure(intent);
    // Another state, or the operator, had ended this try: no verdict on it.
    const superseded = failure.code === 'apply.superseded';
    return closed(await undo(context, change, failure, superseded));
  }
  const byItself = intent.restarting === true;
  if (intent.tries >= intent.attemptsMax && !byItself) {
    const loop = fault('apply.crash-loop', { tries: intent.tries });
    return closed(await undo(context, change, loop, false));
  }
  if (intent.phase === 'activating' || safeMode) {
    // The next try is counted by its acceptance (journal.ts), before it enters activating again.
    const cut = fault('apply.interrupted', { phase: intent.phase, tries: intent.tries });
    return closed(await undo(context, change, cut, false));
  }
  return proveAgain(context, row, change, desired);
}

/**
 * Check 20: counted before the proof begins again; the whole new state is in force first, in its
 * order. What it did not change is part of that: after a reboot nothing runs, and after a crash of
 * the agent alone nobody supervises what does.
 */
async function proveAgain(
  context: ApplyContext,
  row: ChannelRow,
  change: Change,
  desired: readonly Generation[],
): Promise<Result<Recovered>> {
  const next = row.intent?.restarting ? takenUp(row) : counted(row);
  const saved = context.store.transaction((tx) => tx.putChannel(next));
  if (!saved.ok) return saved;
  context.onPhase('proving', next);
  for (const { step, changed } of wholeState(change.steps, desired)) {
    const done = await doStep(context, step);
    if (done.ok) continue;
    if (changed) return closed(await undo(context, change, done.fault, false));
    context.log.write('error', 'start.failed', { step: stepText(step), code: done.fault.code });
  }
  return ok({ kind: 'proving', change });
}

/** The steps of the change, and between them, in order, the programs that it leaves alone. */
function wholeState(
  steps: readonly Step[],
  desired: readonly Generation[],
): readonly { readonly step: Step; readonly changed: boolean }[] {
  const changes = new Map<string, Step>();
  for (const step of steps) if (step.kind === 'activate') changes.set(step.next.id, step);
  const removals = steps.filter(({ kind }) => kind === 'remove');
  return [
    ...removals.map((step) => ({ step, changed: true })),
    ...desired.flatMap((next) => {
      const step = changes.get(next.id);
      if (step) return [{ step, changed: true }];
      if (!runsPrograms(next.deployment)) return [];
      return [{ step: { kind: 'activate', next, previous: next } as const, changed: false }];
    }),
  ];
}

function closed(outcome: Outcome): Result<Recovered> {
  return ok({ kind: 'closed', outcome });
}

/** The failure that was being undone when the cut came; its class decides about another try. */
function recordedFailure({ failure, tries }: Intent): Fault {
  if (!failure) return fault('apply.interrupted', { phase: 'undoing', tries });
  return {
    code: failure.code,
    message: failure.message,
    remedy: '',
    // A row of a newer program may name a code that this one does not know.
    retry: FAULTS[failure.code]?.retry ?? 'never',
  };
}

/** The change as it was accepted, from the rows and the statement files alone. */
function reopen(
  context: ApplyContext,
  row: ChannelRow,
  intent: Intent,
  healthWindowMs: number,
): Result<{ readonly change: Change; readonly desired: readonly Generation[] }> {
  const stateRow = context.store.state(row.fleet, row.channel, intent.to.stateDigest);
  if (!stateRow.ok) return stateRow;
  const current =
    stateRow.value?.replaced && intent.kind !== 'rollback'
      ? loadState(context.content, before(stateRow.value))
      : provenOf(context, row);
  if (!current.ok) return current;
  const part = intent.kind === 'apply' ? changingIn(stateRow.value) : null;
  const desired = generationsOf(context, row, intent.to.stateDigest);
  if (!desired.ok) return desired;
  const { kind, to, via, freshness, attemptsMax, reach } = intent;
  // Begun where an undo had stuck: what is on disk is not known to be `current`.
  const known = row.degraded === null || part !== null;
  const between = known ? stepsBetween : everyStep;
  const owned = new Set(current.value.map(({ id }) => id));
  const named = new Set(desired.value.map(({ id }) => id).filter((id) => !owned.has(id)));
  const stray = known ? ok([]) : strayGenerations(context, row, intent);
  if (!stray.ok) return stray;
  const listed = new Set([...owned, ...named]);
  const here = [
    ...current.value,
    ...takenOver(context, context.followed, named),
    ...stray.value.filter(({ id }) => !listed.has(id)),
  ];
  const change: Change = {
    kind,
    to,
    via,
    freshness,
    attemptsMax,
    fleet: row.fleet,
    channel: row.channel,
    steps: between(here, desired.value),
    stateRow: stateRow.value ?? { stateDigest: to.stateDigest, generations: [] },
    statement: null,
    healthWindowMs,
    issuedAt: 0,
    startedAt: context.clock.monotonicMs(),
    ...(reach && { reach }),
    ...(part && { part }),
  };
  return ok({ change, desired: desired.value });
}

/**
 * What a state left that was given up for this one while its undo had stuck: its row stays until the
 * commit that ends this change (agent/assemble.ts), so that a cut does not make it forgotten.
 */
function strayGenerations(
  { store, content }: ApplyContext,
  { fleet, channel, applied, previous }: ChannelRow,
  { to }: Intent,
): Result<readonly Generation[]> {
  const states = store.states(fleet, channel);
  if (!states.ok) return states;
  const kept = new Set([to, applied, ...previous].map((point) => point?.stateDigest));
  const found: Generation[] = [];
  for (const row of states.value) {
    // A change to the applied state itself may have stuck: then its new half is not in force.
    const stuck =
      row.stateDigest === applied?.stateDigest &&
      row.replaced &&
      row.stateDigest !== to.stateDigest;
    if (kept.has(row.stateDigest) && !stuck) continue;
    const loaded = loadState(content, row);
    if (!loaded.ok) return loaded;
    found.push(...loaded.value);
  }
  return ok(found);
}

/** What is in force and proven: also where a change to that very state is open. */
export function provenOf(
  { store, content }: Pick<ApplyContext, 'store' | 'content'>,
  { fleet, channel, applied }: Pick<ChannelRow, 'fleet' | 'channel' | 'applied'>,
): Result<readonly Generation[]> {
  if (!applied) return ok([]);
  const row = store.state(fleet, channel, applied.stateDigest);
  if (!row.ok) return row;
  if (!row.value) return refuse('store.row-missing', { key: `state ${applied.stateDigest}` });
  return loadState(content, before(row.value));
}

/** The generations of a state that this device has accepted once; none for null. */
export function generationsOf(
  { store, content }: Pick<ApplyContext, 'store' | 'content'>,
  { fleet, channel }: Pick<ChannelRow, 'fleet' | 'channel'>,
  digest: Digest | null,
): Result<readonly Generation[]> {
  if (digest === null) return ok([]);
  const row = store.state(fleet, channel, digest);
  if (!row.ok) return row;
  if (!row.value) return refuse('store.row-missing', { key: `state ${digest}` });
  return loadState(content, row.value);
}
