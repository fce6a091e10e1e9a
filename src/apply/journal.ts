/**
 * The channel row through one change, as pure functions: each is one put in one durable commit, and
 * each is checked against the phase table. Invariants: the floor never goes down (I2); `applied` is
 * only ever a state that was proven; an intent names the state that recovery has to end.
 */
import { assert, type Code, type Fault } from '#errors/fault.ts';
import type { ChannelRow, Intent, OpenParts, Tried } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
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

/** What is in force as it was signed: not when another channel took over part of it, or parts failed. */
export function wholeInForce({ applied, taken, partly }: ChannelRow): StatusPoint | null {
  return taken === true || partly ? null : applied;
}

/** What is told as applied: what is, or was last, in force whole. */
export function toldApplied({ applied, partly }: ChannelRow): StatusPoint | null {
  return partly ? partly.whole : applied;
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
  /** how often this part of it was begun before; absent: it is no part, its row counts */
  readonly tries?: number;
}

/** Check 19: intent, raised floor and the count of this try, in one commit, before any effect. */
export function accepted(row: ChannelRow, acceptance: Acceptance): ChannelRow {
  const { kind, to, via, freshness, attemptsMax, reach } = acceptance;
  const floor = kind === 'apply' ? raised(row.floor, to) : row.floor;
  const before = triesOf(row, acceptance);
  const intent: Intent = {
    kind,
    phase: 'activating',
    to,
    via,
    freshness,
    tries: (acceptance.tries ?? before.begun) + 1,
    attemptsMax,
    failure: null,
    ...(reach && { reach }),
    ...(before.stops && { stops: before.stops }),
  };
  const { deferred, tried: _, ...rest } = row;
  // What waited is this one, or is overtaken by it.
  const waits = deferred && comparePoints(deferred.to, to) > 0;
  return {
    ...rest,
    floor,
    intent,
    ...(waits && { deferred }),
    ...(before.kept && { tried: before.kept }),
  };
}

/**
 * How often what is accepted now was begun before, also when a newer state or a rollback had ended that
 * (I6); and the count of another state, which a rollback does not end: it goes on after the hold.
 */
function triesOf(
  { intent, tried }: ChannelRow,
  { kind, to }: Acceptance,
): { readonly begun: number; readonly stops: number; readonly kept: Tried | null } {
  if (intent?.to.stateDigest === to.stateDigest) {
    return {
      begun: intent.tries,
      stops: intent.stops ?? 0,
      kept: kind === 'apply' ? null : (tried ?? null),
    };
  }
  if (kind === 'apply') {
    const same = tried?.stateDigest === to.stateDigest;
    return { begun: same ? tried.tries : 0, stops: 0, kept: null };
  }
  return { begun: 0, stops: 0, kept: (intent && triedOf(intent)) ?? tried ?? null };
}

/** Of a statement that was accepted; what an operator goes back to, or other values, are not. */
function triedOf({ kind, to: { stateDigest }, tries, attemptsMax }: Intent): Tried | null {
  return kind === 'apply' ? { stateDigest, tries, attemptsMax } : null;
}

/** The row in phase `undoing`, from whichever phase it is in. */
export function undoing(row: ChannelRow, why: Fault, superseded: boolean): ChannelRow {
  const failure = failureOf(why, '');
  switch (row.intent?.phase) {
    case 'activating':
      return entered(row, superseded ? 'superseded' : 'failed', failure);
    case 'proving':
      return entered(takenUp(row), superseded ? 'superseded' : 'unhealthy', failure);
    case 'stuck':
      return entered(row, 'retried');
    default:
      return row;
  }
}

/** Undone without a verdict: a newer state or a rollback came. The count stays (I6). */
export function givenUp(row: ChannelRow): ChannelRow {
  const tried = row.intent && triedOf(row.intent);
  return { ...entered(row, 'undone'), ...(tried && { tried }) };
}

/** Begun as often as it may be, and never judged: only the operator begins it once more. */
export function isSpent({ tried }: ChannelRow, digest: Digest): boolean {
  return tried?.stateDigest === digest && tried.tries >= tried.attemptsMax;
}

/** The floor only rises, and an equal point keeps its digest (checks 13 and 19, I2). */
function raised(floor: StatusPoint | null, to: StatusPoint): StatusPoint {
  if (!floor) return to;
  const order = comparePoints(to, floor);
  assert(order > 0 || (order === 0 && to.stateDigest === floor.stateDigest), 'floor went down');
  return order > 0 ? to : floor;
}

/** Check 19 for a statement that comes into force in parts: the floor is raised, none has begun. */
export function openedIn(row: ChannelRow, acceptance: Acceptance): ChannelRow {
  const { kind, to, via, freshness, attemptsMax, reach } = acceptance;
  const phase = row.intent?.phase ?? 'waiting';
  assert(phase === 'waiting', `opened in phase ${phase}`);
  const next = accepted(row, { kind, to, via, freshness, attemptsMax, ...(reach && { reach }) });
  return between({ ...next, ...(next.intent && { intent: { ...next.intent, phase } }) });
}

/** Between two parts nothing is under way: what was counted and what failed is in the state's row. */
function between(row: ChannelRow): ChannelRow {
  assert(row.intent, 'no intent between parts');
  const { restarting: _, ...intent } = row.intent;
  return { ...row, intent: { ...intent, tries: 0, failure: null } };
}

/** One part is undone; others wait. */
export function partUndone(row: ChannelRow): ChannelRow {
  return between(entered(row, 'part-undone'));
}

/** Of its parts none is left to try. */
export function settledIn(row: ChannelRow): ChannelRow {
  return entered(row, 'settled');
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

/**
 * The operator stops what runs, and the next start goes on with this try: no cut. Not without end: a state
 * that makes somebody stop it again and again is judged like one that is cut again and again (check 20).
 * @returns null: nothing is to be recorded
 */
export function leftOpen(row: ChannelRow): ChannelRow | null {
  const { intent } = row;
  const stops = (intent?.stops ?? 0) + 1;
  if (intent?.phase !== 'activating' && intent?.phase !== 'proving') return null;
  if (stops > LIMITS.stopsMax) return null;
  return { ...row, intent: { ...intent, restarting: true, stops } };
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

/**
 * Check 22: what was activated is now applied and proven.
 * @param open  what of that state is not in force; null: it is whole
 */
export function committed(
  row: ChannelRow,
  at: number,
  keep: number,
  open: OpenParts | null = null,
): ChannelRow {
  const { intent } = row;
  assert(intent, 'nothing to commit');
  const rest = row.previous.filter(({ stateDigest }) => stateDigest !== intent.to.stateDigest);
  const before = row.applied && row.applied.stateDigest !== intent.to.stateDigest;
  const previous =
    intent.kind === 'rollback' || !before || !row.applied ? rest : [row.applied, ...rest];
  const isPart = open !== null && intent.kind === 'apply';
  const ended = isPart ? between(entered(row, 'part-proven')) : entered(row, 'healthy');
  const { taken: _, partly: __, ...proven } = ended;
  return {
    ...proven,
    applied: { ...intent.to, at },
    appliedVia: intent.via,
    appliedFreshness: intent.freshness,
    previous: previous.slice(0, keep),
    ...(open && { partly: { whole: open.whole } }),
    hold: intent.kind === 'rollback' ? { at, reason: 'rollback by the operator' } : null,
    degraded: null,
  };
}

/** Whether a failed, cut or stopped try may come again (check 20), given how often it was tried. */
export function mayTryAgain(intent: Intent, fault: Pick<Fault, 'code' | 'retry'>): boolean {
  if (intent.restarting) return true;
  return isOfDisk(fault.code) || (fault.retry === 'later' && intent.tries < intent.attemptsMax);
}

/** Undone and to be tried again; a try that the disk ended (of-disk.ts) or the operator is given back. */
export function retriable(row: ChannelRow, { code }: Pick<Fault, 'code'>): ChannelRow {
  const next = entered(row, 'retriable');
  if (!next.intent) return next;
  const { restarting, ...intent } = next.intent;
  if (!restarting && !isOfDisk(code)) return next;
  return { ...next, intent: { ...intent, tries: Math.max(0, intent.tries - 1) } };
}

export function failureOf(fault: Fault, deployment: string): Intent['failure'] {
  return { code: fault.code satisfies Code, message: fault.message, deployment };
}
