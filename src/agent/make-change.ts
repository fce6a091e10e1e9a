/**
 * Changes from a candidate, and from the state in force where values of this device have changed
 * since: planned anew from what is on disk, only what names such a value, and only where it differs.
 */
import type { ControlPath } from '#apply/control-path.ts';
import { stateRowOf } from '#apply/load.ts';
import { provenOf } from '#apply/recover.ts';
import { before } from '#apply/replaced.ts';
import type { Change } from '#apply/transaction.ts';
import { ok, type Result, refused } from '#errors/fault.ts';
import { stepsBetween } from '#plan/steps.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Generation } from '#state/generation.ts';
import { touchesConfiguration } from '#state/own-configuration.ts';
import type { StatusPoint } from '#state/status.ts';
import { readDesiredState } from '#wire/desired-state.ts';
import { type ChangeInput, changeOf, planCandidate } from './change.ts';
import type { Deferral } from './deferral.ts';
import type { Follower } from './follow.ts';
import type { Candidate } from './found.ts';
import { MARGO_CHANNEL } from './margo-state.ts';
import { checkOvertaken } from './overtaken.ts';

export interface Making {
  readonly changes: ChangeInput;
  readonly follower: Pick<Follower, 'row'>;
  readonly clock: Clock;
  readonly log: Log;
  /** may what is here begin now? */
  readonly deferral: Pick<Deferral, 'beforeActivation'>;
  readonly control: Pick<ControlPath, 'open'>;
}

export async function makeChange(
  making: Making,
  candidate: Candidate,
  signal: AbortSignal,
): Promise<Result<Change>> {
  const { changes, follower, clock, log, deferral } = making;
  const row = follower.row();
  const late = checkOvertaken(changes.store, candidate, row);
  if (!late.ok) return late;
  const begunAt = clock.monotonicMs();
  const planned = await planCandidate(changes, candidate, row, signal);
  if (!planned.ok) return planned;
  const plannedAt = clock.monotonicMs();
  const change = await changeOf(changes, planned.value, row, signal);
  const { startedAt, headMs } = candidate;
  log.write('debug', 'change.made', {
    startedAt,
    headMs,
    verifyMs: begunAt - startedAt - headMs,
    planMs: plannedAt - begunAt,
    fetchMs: clock.monotonicMs() - plannedAt,
  });
  const waits = change.ok ? deferral.beforeActivation(candidate, change.value) : null;
  if (waits) return refused(waits);
  if (!change.ok || !isGuarded(candidate, change.value)) return change;
  return ok({ ...change.value, reach: await making.control.open(signal) });
}

/** What changes nothing here cuts nobody off. */
function isGuarded({ state }: Candidate, { steps }: Change): boolean {
  if (touchesConfiguration(steps)) return true;
  return state.policy.commit === 'reachable' && steps.length > 0;
}

/** Null: what is in force has the values that are. */
export async function makeValuesChange(
  { changes, follower, clock, deferral }: Making,
  signal: AbortSignal,
): Promise<Result<Change | null>> {
  const row = follower.row();
  const { applied } = row;
  if (!applied) return ok(null);
  const current = provenOf(changes, row);
  if (!current.ok) return current;
  if (!current.value.some(namesValues)) return ok(null);
  const held = changes.store.state(row.fleet, row.channel, applied.stateDigest);
  if (!held.ok || !held.value) return held.ok ? ok(null) : held;
  // A Margo manifest is planned anew when the next one comes (docs/margo.md).
  if (row.channel === MARGO_CHANNEL) return ok(null);
  const candidate = candidateOf(changes, { ...row, applied }, clock.monotonicMs());
  if (!candidate.ok) return candidate;
  const planned = await planCandidate(changes, candidate.value, row, signal);
  if (!planned.ok) return planned;
  const { plan, mediaTypes } = planned.value;
  // Labels may have changed as well: what names no value is left as it is.
  const kept = new Map(current.value.map((generation) => [generation.id, generation]));
  const wanted = new Map(plan.desired.map((generation) => [generation.id, generation]));
  const desired = row.partly
    ? current.value.map((held) => ofThisState(held, wanted.get(held.id)))
    : plan.desired.map((next) => (namesValues(next) ? next : (kept.get(next.id) ?? next)));
  const steps = stepsBetween(current.value, desired);
  if (steps.length === 0) return ok(null);
  const only = { ...planned.value, plan: { desired, steps } };
  const change = await changeOf(changes, only, row, signal);
  if (!change.ok) return change;
  const { inParts: _, ...whole } = change.value;
  const replaced = before(held.value).generations;
  const types = new Map(replaced.map(({ id, documentMediaType }) => [id, documentMediaType]));
  const stateRow = stateRowOf(
    applied.stateDigest,
    desired,
    (id) => types.get(id) ?? mediaTypes.get(id) ?? '',
  );
  const { open } = held.value;
  const settled = { kind: 'values', to: applied, statement: null, issuedAt: 0 } as const;
  const made = {
    ...{ ...whole, ...settled, steps },
    stateRow: { ...stateRow, replaced, ...(open && { open }) },
  };
  // Other values restart programs as another state does: the windows of the one in force hold.
  const waits = deferral.beforeActivation(candidate.value, made);
  return waits ? refused(waits) : ok(made);
}

/** What stands there from an older statement is not changed by values: it is to be replaced. */
function ofThisState(held: Generation, next: Generation | undefined): Generation {
  return next && !held.statement && namesValues(next) ? next : held;
}

function namesValues({ deployment }: Generation): boolean {
  return deployment.parameters.some(({ value }) => value.kind === 'device-value');
}

/** The statement in force, from disk: accepted before, so age and number are not judged again. */
function candidateOf(
  { content }: ChangeInput,
  { applied, appliedVia, appliedFreshness }: ChannelRow & { readonly applied: StatusPoint },
  startedAt: number,
): Result<Candidate> {
  const kept = content.readStatement(applied.stateDigest);
  if (!kept.ok) return kept;
  const { envelope } = kept.value;
  const state = readDesiredState(envelope.payload);
  if (!state.ok) return state;
  const from = { manifestDigest: null, inline: new Map(), source: null, startedAt, headMs: 0 };
  const via = appliedVia ?? 'registry';
  return ok({
    state: state.value,
    envelope,
    freshness: appliedFreshness,
    via,
    checks: [],
    ...from,
  });
}
