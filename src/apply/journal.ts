/**
 * The channel row through one change, as pure functions: each is one put in one durable commit, and
 * each is checked against the phase table. Invariants: the floor never goes down (I2); `applied` is
 * only ever a state that was proven; an intent names the state that recovery has to end.
 */
import { assert, type Code, type Fault } from '#errors/fault.ts';
import type { ChannelRow, Intent } from '#state/channel-row.ts';
import type { Fleet } from '#state/names.ts';
import { comparePoints } from '#state/point.ts';
import type { Freshness, Phase, StatusPoint, Via } from '#state/status.ts';
import { isOfDisk } from './of-disk.ts';
import { nextPhase, type PhaseEvent } from './phases.ts';

export function emptyRow(fleet: Fleet, channel: string): ChannelRow {
  return {
    fleet,
    channel,
    floor: null,
    intent: null,
    applied: null,
    appliedVia: null,
    appliedFreshness: 'unknown',
    previous: [],
    hold: null,
    degraded: null,
  };
}

/** What is in force as it was signed: not when another channel took over part of it meanwhile. */
export function wholeInForce({ applied, taken }: ChannelRow): StatusPoint | null {
  return taken === true ? null : applied;
}

/** The phase the row is in, as status shows it. */
export function phaseOf(row: ChannelRow): Phase {
  return row.intent?.phase ?? 'idle';
}

export interface Acceptance {
  readonly kind: Intent['kind'];
  readonly to: StatusPoint;
  readonly via: Via;
  readonly freshness: Freshness;
  readonly attemptsMax: number;
  /** ways to the control plane that have to answer again; absent: none is asked for */
  readonly reach?: readonly string[];
}

/** Check 19: intent, raised floor and the count of this try, in one commit, before any effect. */
export function accepted(row: ChannelRow, acceptance: Acceptance): ChannelRow {
  const { kind, to, via, freshness, attemptsMax, reach } = acceptance;
  const again = row.intent?.to.stateDigest === to.stateDigest ? row.intent : null;
  const floor = kind === 'apply' ? raised(row.floor, to) : row.floor;
  const tries = (again?.tries ?? 0) + 1;
  const intent: Intent = {
    kind,
    phase: 'activating',
    to,
    via,
    freshness,
    tries,
    attemptsMax,
    failure: null,
    ...(reach && { reach }),
  };
  const { deferred, ...rest } = row;
  // What waited is this one, or is overtaken by it.
  const waits = deferred && comparePoints(deferred.to, to) > 0;
  return { ...rest, floor, intent, ...(waits && { deferred }) };
}

/** The floor only rises, and an equal point keeps its digest (checks 13 and 19, I2). */
function raised(floor: StatusPoint | null, to: StatusPoint): StatusPoint {
  if (!floor) return to;
  const order = comparePoints(to, floor);
  assert(order > 0 || (order === 0 && to.stateDigest === floor.stateDigest), 'floor went down');
  return order > 0 ? to : floor;
}

/** Enters the phase that follows `event`; the table decides which. */
export function entered(
  row: ChannelRow,
  event: PhaseEvent,
  failure: Intent['failure'] = null,
): ChannelRow {
  const { intent } = row;
  assert(intent, `no intent for ${event}`);
  const next = nextPhase(intent.phase, event);
  assert(next, `${event} in phase ${intent.phase}`);
  const { phase } = next;
  if (phase === 'idle') return { ...row, intent: null };
  assert(phase !== 'preparing' && phase !== 'safe-mode', `${phase} is not durable`);
  return { ...row, intent: { ...intent, phase, failure: failure ?? intent.failure } };
}

/** The agent itself ends after this try's first half, to be configured anew: recovery does the second. */
export function handedOver(row: ChannelRow): ChannelRow {
  const next = entered(row, 'activated');
  assert(next.intent, 'nothing to hand over');
  return { ...next, intent: { ...next.intent, restarting: true } };
}

/** It has started again by its own will: no try was cut. */
export function takenUp(row: ChannelRow): ChannelRow {
  assert(row.intent, 'nothing to take up');
  const { restarting: _, ...intent } = row.intent;
  return { ...row, intent };
}

/** Check 20: counted before the phase is entered again; nothing else changes. */
export function counted(row: ChannelRow): ChannelRow {
  assert(row.intent, 'nothing to count');
  return { ...row, intent: { ...row.intent, tries: row.intent.tries + 1 } };
}

/** Check 22: what was activated is now applied and proven. */
export function committed(row: ChannelRow, at: number, keep: number): ChannelRow {
  const { intent } = row;
  assert(intent, 'nothing to commit');
  const rest = row.previous.filter(({ stateDigest }) => stateDigest !== intent.to.stateDigest);
  const before = row.applied && row.applied.stateDigest !== intent.to.stateDigest;
  const previous =
    intent.kind === 'rollback' || !before || !row.applied ? rest : [row.applied, ...rest];
  const { taken: _, ...proven } = entered(row, 'healthy');
  return {
    ...proven,
    applied: { ...intent.to, at },
    appliedVia: intent.via,
    appliedFreshness: intent.freshness,
    previous: previous.slice(0, keep),
    hold: intent.kind === 'rollback' ? { at, reason: 'rollback by the operator' } : null,
    degraded: null,
  };
}

/** Whether a failed or cut try may come again (check 20), given how often it was tried. */
export function mayTryAgain(intent: Intent, fault: Pick<Fault, 'code' | 'retry'>): boolean {
  return isOfDisk(fault.code) || (fault.retry === 'later' && intent.tries < intent.attemptsMax);
}

/** Undone and to be tried again; a try that the disk ended is given back (of-disk.ts). */
export function retriable(row: ChannelRow, { code }: Pick<Fault, 'code'>): ChannelRow {
  const next = entered(row, 'retriable');
  if (!next.intent || !isOfDisk(code)) return next;
  return { ...next, intent: { ...next.intent, tries: Math.max(0, next.intent.tries - 1) } };
}

export function failureOf(fault: Fault, deployment: string): Intent['failure'] {
  return { code: fault.code satisfies Code, message: fault.message, deployment };
}
