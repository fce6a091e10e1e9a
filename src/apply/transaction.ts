/**
 * One change as a journaled transaction (DESIGN section 6): prepare everything → accept → activate
 * in order → prove → commit, or undo in reverse order. The rows are made by journal.ts, the order
 * of phases is in phases.ts; recover.ts ends what a cut left open. At most one runs per device.
 *
 * Invariants: nothing visible changes before the acceptance is durable; after any failure either
 * the whole old state is back or the phase is `stuck`; a commit is only ever made for a whole,
 * proven new state.
 */
import { type Fault, fault, ok, type Result, refused } from '#errors/fault.ts';
import type { Step } from '#plan/step.ts';
import { stepText } from '#plan/steps.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { ChannelRow, StateRow } from '#state/channel-row.ts';
import type { Generation } from '#state/generation.ts';
import type { Fleet } from '#state/names.ts';
import { touchesConfiguration } from '#state/own-configuration.ts';
import { pointText } from '#state/point.ts';
import type { Phase, StatusPoint } from '#state/status.ts';
import type { ContentStore } from '#store/content.ts';
import type { Store, StoreWriter } from '#store/store.ts';
import type { StatementFile } from '#wire/records.ts';
import { type ControlPath, needsProof, proveReachable } from './control-path.ts';
import { historyOf } from './history-line.ts';
import { type Acceptance, accepted, committed, entered, handedOver, undoing } from './journal.ts';
import { isLeftOpen } from './leave-open.ts';
import { openAfter } from './open-parts.ts';
import type { Followed } from './orphans.ts';
import type { InParts } from './parts.ts';
import { provenIds } from './proven-ids.ts';
import { readRow } from './read-row.ts';
import { forgetReplaced, settleStuck } from './replaced.ts';
import type { Runtime } from './runtimes/runtime.ts';
import { finishUndo } from './undone.ts';

export interface ApplyContext {
  readonly store: Store;
  readonly content: ContentStore;
  /** the channels of this device: what others left is taken over from there */
  readonly followed: Followed;
  /** how a target reads with the links of the target roots followed; default: as it is */
  real?(path: string): string;
  readonly clock: Clock;
  readonly log: Log;
  readonly runtimes: ReadonlyMap<string, Runtime>;
  /** Proven states kept for rollback beside the applied one. */
  readonly keep: number;
  /** Runs the health checks of these generations and watches the window; deadline inside. */
  prove(
    generations: readonly Generation[],
    windowMs: number,
    signal: AbortSignal,
  ): Promise<Result<void>>;
  /** for `commit: reachable`; absent: nothing is demanded */
  readonly control?: ControlPath;
  /** The agent ends and starts with the configuration that lies there now; absent: it cannot. */
  readonly reconfigure?: () => void;
  /** In the same commit: what else is to be told or raised (events, time floor). */
  readonly beside: (tx: StoreWriter, moment: Moment) => void;
  /** Why nothing new may be accepted now (a pause, a hold); null: it may. */
  readonly barred: (change: Pick<Change, 'channel' | 'kind' | 'to'>) => Fault | null;
  /** After each durable transition. */
  readonly onPhase: (phase: Phase, row: ChannelRow) => void;
}

export type Moment =
  | {
      readonly kind: 'accepted';
      readonly row: ChannelRow;
      readonly issuedAt: number;
      /** of the statement; null: none was kept, or it is a rollback */
      readonly evidence: Uint8Array | null;
    }
  | {
      readonly kind: 'applied';
      readonly row: ChannelRow;
      readonly tookMs: number;
      /** the deployments of this part; absent: the whole change at once */
      readonly part?: readonly string[];
    }
  | {
      readonly kind: 'undone';
      readonly row: ChannelRow;
      readonly point: StatusPoint;
      readonly fault: Fault;
      /** not tried again; of a change of values, these values */
      readonly rejected: boolean;
      readonly change: Change['kind'];
      readonly part?: readonly string[];
    }
  /** part by part, and some are not in force: none is tried again */
  | {
      readonly kind: 'settled';
      readonly row: ChannelRow;
      readonly point: StatusPoint;
      readonly fault: Fault;
      /** the deployments that are not as it wants them */
      readonly left: readonly string[];
    };

export interface Change extends Acceptance {
  readonly fleet: Fleet;
  readonly channel: string;
  readonly steps: readonly Step[];
  readonly stateRow: StateRow;
  /** null for a rollback: the statement is on disk already */
  readonly statement: StatementFile | null;
  readonly healthWindowMs: number;
  /** of the statement, for the time floor */
  readonly issuedAt: number;
  /** monotonic ms of the wake */
  readonly startedAt: number;
  /** it comes into force deployment by deployment (parts.ts) */
  readonly inParts?: InParts;
  /** this change is one of them: its deployments */
  readonly part?: readonly string[];
}

export type Outcome =
  | { readonly kind: 'applied'; readonly row: ChannelRow }
  | { readonly kind: 'rejected'; readonly fault: Fault }
  /** undone, or never accepted; worth another try */
  | { readonly kind: 'waiting'; readonly fault: Fault }
  | { readonly kind: 'superseded' }
  | { readonly kind: 'stuck'; readonly fault: Fault };

/** From prepare to commit. `signal` aborts when a newer state supersedes this one. */
export async function runTransaction(
  context: ApplyContext,
  change: Change,
  signal: AbortSignal,
): Promise<Outcome> {
  const prepared = await prepareAll(context, change);
  if (!prepared.ok) {
    const { fault } = prepared;
    return { kind: fault.retry === 'never' ? 'rejected' : 'waiting', fault };
  }
  if (signal.aborted) return { kind: 'superseded' };
  // The operator may have paused while this was fetched.
  const barred = context.barred(change);
  if (barred) return { kind: 'waiting', fault: barred };
  const acceptance = accept(context, change);
  if (!acceptance.ok) return { kind: 'waiting', fault: acceptance.fault };
  const activated = await activateAll(context, change, signal);
  if (!activated.ok) return giveUp(context, change, activated.fault, signal);
  const handsOver = context.reconfigure && touchesConfiguration(change.steps);
  if (!needsProof(change) && !handsOver) return commit(context, change);
  const proving = transition(context, change, (row) =>
    handsOver ? handedOver(row) : entered(row, 'activated'),
  );
  if (!proving.ok) return undo(context, change, proving.fault, false);
  if (handsOver) {
    context.reconfigure?.();
    return { kind: 'waiting', fault: fault('apply.reconfigured', { point: pointText(change.to) }) };
  }
  return proveAndCommit(context, change, signal);
}

/** The second half, from phase `proving` on: recovery joins here. */
export async function proveAndCommit(
  context: ApplyContext,
  change: Change,
  signal: AbortSignal,
): Promise<Outcome> {
  const generations = changedGenerations(change.steps);
  const proven = await proveReachable(context, { ...change, generations }, signal);
  if (!proven.ok) return giveUp(context, change, proven.fault, signal);
  return commit(context, change);
}

/** Undone; or left to the next start, when what runs is about to be stopped. */
function giveUp(
  context: ApplyContext,
  change: Change,
  why: Fault,
  signal: AbortSignal,
): Outcome | Promise<Outcome> {
  if (!isLeftOpen(signal)) return undo(context, change, why, signal.aborted);
  return { kind: 'waiting', fault: fault('apply.stopped', { point: pointText(change.to) }) };
}

async function prepareAll(context: ApplyContext, change: Change): Promise<Result<void>> {
  for (const generation of changedGenerations(change.steps)) {
    const runtime = runtimeOf(context, generation);
    if (!runtime.ok) return runtime;
    const prepared = await runtime.value.prepare(generation);
    if (!prepared.ok) return prepared;
  }
  return ok(undefined);
}

/** Check 19. Content first (statement file, one fsync of its directory), then the commit. */
function accept(context: ApplyContext, change: Change): Result<void> {
  const { content, store } = context;
  if (change.statement) {
    const kept = content.putStatement(change.to.stateDigest, change.statement);
    if (!kept.ok) return kept;
    const synced = content.sync();
    if (!synced.ok) return synced;
  }
  const row = readRow(store, change);
  if (!row.ok) return row;
  const next = accepted(row.value, change);
  const done = store.transaction((tx) => {
    tx.putState(change.fleet, change.channel, change.stateRow);
    tx.putChannel(next);
    // The statement was accepted before its first part.
    if (change.part) return;
    const evidence = change.statement?.evidence ?? null;
    context.beside(tx, { kind: 'accepted', row: next, issuedAt: change.issuedAt, evidence });
  });
  if (!done.ok) return done;
  context.onPhase('activating', next);
  return ok(undefined);
}

async function activateAll(
  context: ApplyContext,
  change: Change,
  signal: AbortSignal,
): Promise<Result<void>> {
  for (const step of change.steps) {
    if (signal.aborted) return refused(fault('apply.superseded', { point: pointText(change.to) }));
    const done = await doStep(context, step);
    if (!done.ok) {
      context.log.write('warn', 'step.failed', { step: stepText(step), code: done.fault.code });
      return done;
    }
  }
  return ok(undefined);
}

/** Brings `next` into force, or takes `previous` out of it. */
export async function doStep(context: ApplyContext, step: Step): Promise<Result<void>> {
  const generation = step.kind === 'remove' ? step.previous : step.next;
  const runtime = runtimeOf(context, generation);
  if (!runtime.ok) return runtime;
  if (step.kind === 'remove') return runtime.value.deactivate(step.previous);
  const { previous } = step;
  if (previous && profileType(previous) !== profileType(step.next)) {
    const other = runtimeOf(context, previous);
    const ended = other.ok ? await other.value.deactivate(previous) : other;
    if (!ended.ok) return ended;
    return runtime.value.activate(step.next, null);
  }
  return runtime.value.activate(step.next, previous);
}

/** The step that takes a step back; idempotent like it. */
function inverse(step: Step): Step {
  if (step.kind === 'remove') return { kind: 'activate', next: step.previous, previous: null };
  const { next, previous } = step;
  if (!previous) return { kind: 'remove', previous: next };
  return { kind: 'activate', next: previous, previous: next };
}

/**
 * Every step back, in reverse order, whatever had been reached: a step not yet done is undone as
 * well, since a cut may have hidden it. One that fails does not keep the others from being undone.
 */
export async function undo(
  context: ApplyContext,
  change: Change,
  why: Fault,
  superseded: boolean,
): Promise<Outcome> {
  // A full disk may refuse this row; the undo goes on, and recovery would come to the same end.
  const begun = transition(context, change, (row) => undoing(row, why, superseded));
  if (!begun.ok) context.log.write('error', 'undo.unrecorded', { code: begun.fault.code });
  const stuck = await undoSteps(context, change.steps, provenIds(context.store, change));
  if (!stuck) return finishUndo(context, change, why, superseded);
  const marked = transition(context, change, (row) => ({
    ...entered(undoing(row, why, superseded), 'failed'),
    degraded: stuck.code,
  }));
  if (!marked.ok) context.log.write('error', 'stuck.unrecorded', { code: marked.fault.code });
  return { kind: 'stuck', fault: stuck };
}

async function undoSteps(
  context: ApplyContext,
  steps: readonly Step[],
  proven: ReadonlySet<string> | null,
): Promise<Fault | null> {
  let failed: Fault | null = null;
  for (const step of steps.toReversed()) {
    // What an undo that stuck had left behind belongs to no state: it stays removed.
    const stray = step.kind === 'remove' && proven !== null && !proven.has(step.previous.id);
    const undone = await doStep(context, stray ? step : inverse(step));
    if (!undone.ok) {
      failed ??= undone.fault;
      context.log.write('error', 'undo.failed', { step: stepText(step), code: undone.fault.code });
    }
  }
  return failed;
}

/** Check 22. */
function commit(context: ApplyContext, change: Change): Outcome | Promise<Outcome> {
  const row = readRow(context.store, change);
  if (!row.ok) return undo(context, change, row.fault, false);
  const open = openAfter(context.store, change);
  const next = committed(row.value, context.clock.wallMs(), context.keep, open);
  const outcome = change.kind === 'rollback' ? 'rolled-back' : 'applied';
  const done = context.store.transaction((tx) => {
    tx.putChannel(next);
    tx.removeRejected(change.fleet, change.channel, change.to.stateDigest);
    forgetReplaced(tx, change, open);
    settleStuck(tx, change, row.value);
    // The last part's line is the whole statement's.
    const { part: _, ...whole } = change;
    const line = historyOf(context, open ? change : whole, outcome, null);
    tx.addHistory(line);
    const part = change.part && { part: change.part };
    context.beside(tx, { kind: 'applied', row: next, tookMs: line.tookMs, ...part });
  });
  if (!done.ok) return undo(context, change, done.fault, false);
  context.onPhase(next.intent?.phase ?? 'idle', next);
  return { kind: 'applied', row: next };
}

function transition(
  context: ApplyContext,
  change: Change,
  next: (row: ChannelRow) => ChannelRow,
): Result<void> {
  const row = readRow(context.store, change);
  if (!row.ok) return row;
  const value = next(row.value);
  const done = context.store.transaction((tx) => tx.putChannel(value));
  if (done.ok) context.onPhase(value.intent?.phase ?? 'idle', value);
  return done;
}

function changedGenerations(steps: readonly Step[]): readonly Generation[] {
  return steps.flatMap((step) => (step.kind === 'activate' ? [step.next] : []));
}

export function runtimeOf(
  { runtimes }: Pick<ApplyContext, 'runtimes'>,
  generation: Generation,
): Result<Runtime> {
  const type = profileType(generation);
  const runtime = runtimes.get(type);
  if (runtime) return ok(runtime);
  return refused(fault('plan.runtime-unknown', { deployment: generation.id, type }));
}

function profileType({ deployment: { profile } }: Generation): string {
  return profile.kind === 'other' ? profile.type : profile.kind;
}
