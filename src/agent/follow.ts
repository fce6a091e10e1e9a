/**
 * One channel on this device: what `wake → head → verify → plan → apply → report` (cycle.ts) works
 * on. Holds the row and the last refusal in memory, decides whether a candidate may go on (pause,
 * hold, safe mode), and tells outcomes to the outbox in the commit that makes them true.
 */

import { emptyRow, isSpent } from '#apply/journal.ts';
import { stateRowOf } from '#apply/load.ts';
import { checkOthers } from '#apply/owned.ts';
import { generationsOf, provenOf } from '#apply/recover.ts';
import type { ApplyContext, Change, Moment } from '#apply/transaction.ts';
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { stepsBetween } from '#plan/steps.ts';
import { eventOf, eventOfFault } from '#report/events.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { Fleet } from '#state/names.ts';
import { type Point, pointText } from '#state/point.ts';
import type { Refusal, StatusPoint, Via } from '#state/status.ts';
import type { StoreWriter } from '#store/store.ts';
import type { AuditFact, AuditLog } from './audit-log.ts';
import { type Candidate, type Found, isAttack } from './found.ts';

export interface Follower {
  readonly fleet: Fleet;
  readonly channel: string;
  row(): ChannelRow;
  /** After a durable transition (apply's `onPhase`). */
  saw(row: ChannelRow): void;
  /** the last refusal or reason to wait, until an acceptance clears it */
  refusal(): Refusal | null;
  waitingFor(): Fault | null;
  /** What find() found that is not a candidate; true when it is news that status should tell. */
  note(found: Exclude<Found, { kind: 'candidate' }>): boolean;
  /** A candidate that did not become a change, or whose change ended without being applied. */
  noteFault(fault: Fault, offered: Point | null, via: Via | null): void;
  /** A candidate that is recorded as rejected. */
  noteRefusal(fault: Fault, offered: Point, via: Via): void;
  /** Null: go on. Otherwise why this candidate has to wait. */
  barred(candidate: Candidate): Fault | null;
  /** The same of a change that is about to be accepted; what an operator asks for is never barred. */
  barredChange(change: Pick<Change, 'kind' | 'to'>): Fault | null;
  /** In the commit of an acceptance, undo or application: events. */
  beside(tx: StoreWriter, moment: Moment): void;
  /** The change that goes back to the previous proven state. */
  rollback(context: ApplyContext): Result<Change>;
  /** Ends the hold and the pause of this channel, and with `device` that of the device; one commit. */
  resume(scope: PauseScope): Result<void>;
  pause(reason: string, scope: PauseScope): Result<void>;
  /** this channel, or the device as a whole */
  paused(): boolean;
  /** repeated crashes: the last proven state runs, what is held is not tried again */
  safeMode(): boolean;
}

/** One channel alone, or all that this device does. */
export type PauseScope = 'channel' | 'device';

/** What all followers of a device know of it; `row` is in the store. */
export interface DevicePause {
  paused: boolean;
}

export interface FollowerInput {
  readonly context: Pick<ApplyContext, 'store' | 'content' | 'clock'>;
  readonly fleet: Fleet;
  readonly channel: string;
  readonly device: DevicePause;
  /** starts in a row that crashed, when that makes this start a safe one; else 0 */
  readonly safeModeCrashes: number;
  readonly audit: AuditLog;
}

/** What is known of the channel between two wakes. */
interface Held {
  row: ChannelRow;
  readonly device: DevicePause;
  refusal: Refusal | null;
  waiting: Fault | null;
  /** starts in a row that crashed, when that makes this start a safe one; else 0 */
  safeModeCrashes: number;
}

export function follower(input: FollowerInput): Result<Follower> {
  const { fleet, channel, context, audit } = input;
  const row = context.store.channel(fleet, channel);
  if (!row.ok) return row;
  const held: Held = {
    row: row.value ?? emptyRow(fleet, channel),
    device: input.device,
    refusal: null,
    waiting: null,
    safeModeCrashes: input.safeModeCrashes,
  };
  return ok({
    fleet,
    channel,
    row: () => held.row,
    saw(next) {
      // A newer state that is applied ends safe mode, as the operator does.
      const applied = next.applied?.stateDigest;
      if (applied !== held.row.applied?.stateDigest) held.safeModeCrashes = 0;
      held.row = next;
      if (next.intent?.phase !== 'activating') return;
      held.refusal = null;
      held.waiting = null;
    },
    refusal: () => held.refusal,
    waitingFor: () => held.waiting,
    note(found) {
      const news = note(held, found);
      const written = 'again' in found && found.again;
      if (news && found.kind === 'refused' && !written) audit.refuse({ channel, ...found });
      return news;
    },
    noteFault(why, offered, via) {
      if (why.retry !== 'never') {
        held.waiting = why;
        return;
      }
      held.refusal = refusalOf(why, offered, via, false);
      audit.refuse({ channel, fault: why, offered, via });
    },
    noteRefusal(why, offered, via) {
      held.refusal = refusalOf(why, offered, via, false);
      audit.refuse({ channel, fault: why, offered, via });
    },
    barred: ({ state }) => barred(held, state.point),
    barredChange: ({ kind, to: { epoch, sequence, stateDigest: digest } }) =>
      kind === 'rollback' ? null : barred(held, { epoch, sequence, digest }),
    beside(tx, moment) {
      tellMoment(tx, { audit, at: context.clock.wallMs(), channel }, moment);
    },
    rollback: (apply) => rollbackChange(apply, held.row),
    resume: (scope) => resume(input, held, scope),
    pause: (reason, scope) => pause(input, held, { reason, scope }),
    paused: () => isPaused(held),
    safeMode: () => held.safeModeCrashes > 0,
  });
}

/** Events and the audit entry, also of a channel that nobody follows any more. */
export function tellMoment(
  tx: StoreWriter,
  { audit, at, channel }: Pick<FollowerInput, 'audit' | 'channel'> & { readonly at: number },
  moment: Moment,
): void {
  for (const event of eventsOf(moment, { at, channel })) tx.addEvent(event);
  // Of other values for the applied state: their own channel has told that they were accepted.
  if (moment.kind === 'accepted' && moment.row.intent?.kind === 'values') return;
  audit.add(tx, { channel, ...factOf(moment) });
}

function refusalOf(why: Fault, offered: Point | null, via: Via | null, attack: boolean): Refusal {
  const { code, message } = why;
  return { code, message, offered: offered && statusPoint(offered), via, attack };
}

function note(held: Held, found: Exclude<Found, { kind: 'candidate' }>): boolean {
  if (found.kind === 'current' || found.kind === 'nothing') held.waiting = null;
  if (found.kind !== 'refused' && found.kind !== 'waiting') return false;
  if (found.again && !isHidden(held, found)) return false;
  if (found.kind === 'waiting') held.waiting = found.fault;
  else held.refusal = refusalOf(found.fault, found.offered, found.via, found.attack);
  return true;
}

/** An attack that is still shown, though something was told over it that anybody can send. */
function isHidden({ refusal }: Held, found: Found): boolean {
  return isAttack(found) && refusal?.attack !== true;
}

function barred(held: Held, point: Point): Fault | null {
  const offered = pointText(point);
  const { applied, hold, floor } = held.row;
  if (isPaused(held)) return fault('agent.paused', { offered });
  if (hold) return fault('agent.held', { offered, held: applied ? pointText(applied) : 'nothing' });
  if (held.safeModeCrashes > 0 && point.digest === floor?.stateDigest) {
    return fault('agent.safe-mode', { offered, crashes: held.safeModeCrashes });
  }
  if (isSpent(held.row, point.digest)) {
    return fault('agent.tries-spent', { offered, tries: held.row.tried?.tries ?? 0 });
  }
  return null;
}

function isPaused({ device, row }: Held): boolean {
  return device.paused || row.paused !== undefined;
}

function resume(
  { context, channel, audit }: FollowerInput,
  held: Held,
  scope: PauseScope,
): Result<void> {
  held.safeModeCrashes = 0;
  const { row, device: whole } = held;
  const ends = whole.paused && scope === 'device';
  const flapped = row.degraded === 'drift.flapping';
  const spent = row.floor !== null && isSpent(row, row.floor.stateDigest);
  if (!ends && !row.paused && !row.hold && !flapped && !spent) return ok(undefined);
  const { paused: own, tried, ...rest } = row;
  // Whoever says "go on" has decided about a state that was never judged as well.
  const kept = tried && !spent && { tried };
  const next = { ...rest, ...kept, hold: null, degraded: flapped ? null : row.degraded };
  const place = { at: context.clock.wallMs(), channel };
  const done = context.store.transaction((tx) => {
    tx.putChannel(next);
    const device = tx.device();
    if (ends && device.ok && device.value) tx.putDevice({ ...device.value, paused: null });
    if (ends || own) tx.addEvent(eventOf('agent.resumed', place));
    if (row.hold) tx.addEvent(eventOf('state.hold-ended', place, { point: row.applied }));
    audit.add(tx, { kind: 'resumed', actor: 'operator', channel, point: row.applied });
  });
  if (!done.ok) return done;
  audit.landed();
  if (ends) whole.paused = false;
  Object.assign(held, { row: next, waiting: null });
  return done;
}

function pause(
  { context, channel, audit }: FollowerInput,
  held: Held,
  { reason, scope }: { readonly reason: string; readonly scope: PauseScope },
): Result<void> {
  const at = context.clock.wallMs();
  const row = scope === 'channel' ? { ...held.row, paused: { at, reason } } : held.row;
  const done = context.store.transaction((tx) => {
    const device = tx.device();
    if (scope === 'channel') tx.putChannel(row);
    else if (device.ok && device.value) tx.putDevice({ ...device.value, paused: { at, reason } });
    tx.addEvent(eventOf('agent.paused', { at, channel }, { reason }));
    audit.add(tx, { kind: 'paused', actor: 'operator', channel, message: reason });
  });
  if (!done.ok) return done;
  audit.landed();
  held.row = row;
  if (scope === 'device') held.device.paused = true;
  return done;
}

function eventsOf(moment: Moment, place: { readonly at: number; readonly channel: string }) {
  const { row } = moment;
  switch (moment.kind) {
    case 'accepted': {
      const { intent } = row;
      // Nothing was there that could come back.
      if (intent?.reach?.length !== 0) return [];
      return [eventOf('state.unguarded', place, { point: intent.to })];
    }
    case 'applied': {
      const { applied, appliedVia, hold, partly } = row;
      if (!applied) return [];
      const parts = (moment.part ?? []).map((deployment) =>
        eventOf('deployment.applied', { ...place, deployment }, { point: applied }),
      );
      if (partly && moment.part) return parts;
      if (hold) {
        return [
          eventOf('state.rolled-back', place, {
            from: row.floor,
            to: applied,
            reason: hold.reason,
          }),
        ];
      }
      return [
        ...parts,
        eventOf('state.applied', place, {
          point: applied,
          via: appliedVia ?? 'registry',
          tookMs: moment.tookMs,
        }),
      ];
    }
    case 'undone': {
      const details = { point: moment.point, code: moment.fault.code };
      if (moment.part) return partUndone(moment.part, moment.fault, { place, details });
      const undone = eventOf('state.undone', place, { ...details, to: row.applied });
      const why = eventOfFault(moment.fault, place);
      return moment.rejected && moment.change === 'apply'
        ? [why, undone, eventOf('state.rejected', place, details)]
        : [why, undone];
    }
    case 'settled': {
      const { point, fault, left } = moment;
      const details = { point, code: fault.code, left: left.slice(0, 8).join(', ') };
      return [eventOf('state.partly', place, details)];
    }
  }
}

type Place = Parameters<typeof eventOfFault>[1];

function partUndone(
  part: readonly string[],
  why: Fault,
  {
    place,
    details,
  }: {
    readonly place: Place;
    readonly details: { readonly point: StatusPoint; readonly code: string };
  },
) {
  return part.flatMap((deployment) => [
    eventOfFault(why, { ...place, deployment }),
    eventOf('deployment.undone', { ...place, deployment }, details),
  ]);
}

/** The same moment for the audit journal. */
function factOf(moment: Moment): AuditFact {
  const { row } = moment;
  switch (moment.kind) {
    case 'accepted': {
      const { kind = 'apply', to: point = null, via = null } = row.intent ?? {};
      const details = moment.evidence && sha256(moment.evidence);
      return kind === 'rollback'
        ? { kind: 'rollback', actor: 'operator', point, via }
        : { kind: 'accepted', actor: 'owner', point, via, details };
    }
    case 'applied': {
      const { applied: point, appliedVia: via, hold } = row;
      const of = moment.part ? `${moment.part.slice(0, 8).join(', ')}, ` : '';
      const message = `${of}in ${moment.tookMs} ms`;
      return hold
        ? { kind: 'rolled-back', actor: 'operator', point, via, message }
        : { kind: 'applied', actor: 'agent', point, via, message };
    }
    case 'undone': {
      const { point, fault } = moment;
      const rejected = moment.rejected && moment.change === 'apply' && !moment.part;
      return { kind: rejected ? 'rejected' : 'undone', actor: 'agent', point, fault };
    }
    case 'settled': {
      const { point, fault } = moment;
      return { kind: 'rejected', actor: 'agent', point, fault };
    }
  }
}

function rollbackChange(context: ApplyContext, row: ChannelRow): Result<Change> {
  const [to] = row.previous;
  if (!to || !row.applied) return refuse('agent.no-rollback', { channel: row.channel });
  const current = provenOf(context, row);
  if (!current.ok) return current;
  const desired = generationsOf(context, row, to.stateDigest);
  if (!desired.ok) return desired;
  // What was this channel's then may be another one's now.
  const free = checkOthers(context, row, desired.value);
  if (!free.ok) return free;
  const held = context.store.state(row.fleet, row.channel, to.stateDigest);
  if (!held.ok) return refused(held.fault);
  return ok({
    kind: 'rollback',
    to,
    via: row.appliedVia ?? 'registry',
    freshness: 'unknown',
    attemptsMax: LIMITS.attemptsMaxDefault,
    fleet: row.fleet,
    channel: row.channel,
    steps: stepsBetween(current.value, desired.value),
    stateRow: held.value ?? stateRowOf(to.stateDigest, desired.value, () => ''),
    statement: null,
    healthWindowMs: 0,
    issuedAt: 0,
    startedAt: context.clock.monotonicMs(),
  });
}

function statusPoint({ epoch, sequence, digest }: Point): StatusPoint {
  return { epoch, sequence, stateDigest: digest, at: 0 };
}
