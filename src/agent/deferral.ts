/**
 * Why an acceptable statement does not come into force yet: its place in the spread of its policy,
 * before anything beside the envelope is fetched; a maintenance window, when everything is here and
 * its steps could begin. What waits is kept on this device with what is left of its wait, so it goes
 * on without a network and across restarts; it is judged anew when it is due, and until then nothing
 * is accepted. Waiting counts by CLOCK_BOOTTIME; no clock that somebody sets shortens or lengthens a
 * spread. `urgent` in the signed policy, and `apply --now`, pass both.
 *
 * Invariants: a newer state never waits longer than the one before it would have; each start of the
 * machine takes at least a sixteenth off; commits are bounded by sixteen a spread and one a boot.
 */
import type { ApplyContext, Change } from '#apply/transaction.ts';
import { type Fault, fault, type Result } from '#errors/fault.ts';
import { placeInSpread } from '#plan/spread.ts';
import { windowAt } from '#plan/window.ts';
import type { Platform } from '#platform/platform.ts';
import type { ChannelRow, Deferred } from '#state/channel-row.ts';
import { comparePoints, pointText } from '#state/point.ts';
import type { Policy } from '#state/policy.ts';
import { durationText } from '#state/quantity.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import type { StatementFile } from '#wire/records.ts';
import type { Base } from './base.ts';
import type { AgentConfig } from './config.ts';
import type { Follower } from './follow.ts';
import type { Candidate } from './found.ts';

/** ms between two looks at a wait: what a sudden reboot may lose of it, and how late a set clock is seen */
const STEP_MS = 15 * 60_000;
const STEPS = 16;

export interface Deferral {
  /** Null: its place in the spread has come. */
  barred(candidate: Candidate): Fault | null;
  /** Would it wait, were it taken now? Changes nothing, keeps nothing. */
  foretell(candidate: Candidate, disturbs: boolean): Fault | null;
  /** Everything is here. Null: a window is open, or none is asked for. */
  beforeActivation(candidate: Candidate, change: Change): Fault | null;
  /** What waited at the last start waits on. */
  begin(): void;
  /** It can never come into force, or is in force by now. */
  drop(): void;
  stop(): void;
}

export interface DeferralInput {
  readonly context: Pick<ApplyContext, 'store' | 'content' | 'clock' | 'log'>;
  readonly follower: Pick<Follower, 'row' | 'saw' | 'noteFault'>;
  readonly deviceId: string;
  /** `strict`: only a clock that somebody vouches for opens a window */
  readonly clockMode: 'lenient' | 'strict';
  time(): TimeView;
  /** of this start of the machine */
  bootId(): string;
  /** a transaction is under way */
  busy(): boolean;
  /** What waits is due: it is judged again, from disk. */
  due(): void;
}

/** What it has to know of the device. */
export function deferralFacts(of: {
  readonly base: Pick<Base, 'device' | 'time'>;
  readonly platform: Pick<Platform, 'processes'>;
  readonly config: Pick<AgentConfig, 'trust'>;
}): Pick<DeferralInput, 'deviceId' | 'clockMode' | 'time' | 'bootId'> {
  return {
    deviceId: of.base.device.id,
    clockMode: of.config.trust.clock,
    time: () => of.base.time.view(),
    bootId: () => of.platform.processes.bootId(),
  };
}

interface Self {
  readonly input: DeferralInput;
  cancel: () => void;
  /** of what waits for one; null: for its place in the spread */
  windows: Policy['windows'] | null;
}

export function deferral(input: DeferralInput): Deferral {
  const self: Self = { input, cancel: () => {}, windows: null };
  return {
    barred: (candidate) => barred(self, candidate),
    foretell: (candidate, disturbs) => foretell(self.input, candidate, disturbs),
    beforeActivation: (candidate, change) => beforeActivation(self, candidate, change),
    begin: () => begin(self),
    drop() {
      self.cancel();
      const { deferred, ...row } = input.follower.row();
      if (deferred) save(input, row);
    },
    stop: () => self.cancel(),
  };
}

/** It waits for its hour: no source failed, and none is to be asked more often or less. */
export function isDeferred(code: Fault['code']): boolean {
  return code === 'plan.spread' || code === 'margo.quiet' || code.startsWith('plan.window');
}

function passes({ now, state }: Candidate): boolean {
  return now === true || state.policy.urgent;
}

function barred(self: Self, candidate: Candidate): Fault | null {
  if (passes(candidate)) return null;
  const { input } = self;
  const waits = isSpread(input, candidate) ? spread(self, candidate) : null;
  if (waits) return waits;
  // What is under way would be undone for it, and it could not begin.
  return input.busy() ? windowClosed(self, candidate.state.policy.windows, candidate) : null;
}

function foretell(input: DeferralInput, candidate: Candidate, disturbs: boolean): Fault | null {
  if (passes(candidate)) return null;
  const { point, policy } = candidate.state;
  const leftMs = isSpread(input, candidate) ? spreadLeft(input, candidate) : 0;
  if (leftMs > 0) return spreadFault(input, pointText(point), policy.spreadMs, leftMs);
  return disturbs ? (windowWait(input, policy.windows, candidate)?.fault ?? null) : null;
}

function isSpread({ follower }: DeferralInput, { state, via }: Candidate): boolean {
  const accepted = follower.row().floor?.stateDigest === state.point.digest;
  // A bundle is brought by a person to one device: there is no crowd to spread.
  return !accepted && via !== 'bundle' && state.policy.spreadMs > 0;
}

/** ms until its place comes; a newer state never waits longer than the one before it would have */
function spreadLeft(input: DeferralInput, { state }: Candidate): number {
  const { point, policy, fleet, channel } = state;
  const { deferred: held } = input.follower.row();
  const before = held ? leftOf(input, held) : Number.POSITIVE_INFINITY;
  if (held?.to.stateDigest === point.digest) return before;
  const place = placeInSpread({
    ...{ fleet, channel, epoch: point.epoch, sequence: point.sequence },
    ...{ deviceId: input.deviceId, spreadMs: policy.spreadMs },
  });
  return Math.min(place, before);
}

function spread(self: Self, candidate: Candidate): Fault | null {
  const { input } = self;
  const { clock } = input.context;
  const { point, policy } = candidate.state;
  const leftMs = spreadLeft(input, candidate);
  if (leftMs <= 0) return null;
  if (input.follower.row().deferred?.to.stateDigest !== point.digest) {
    const kept = keep(input, candidate, {
      ...{ spreadMs: policy.spreadMs, leftMs, dueMs: clock.bootMs() + leftMs },
      statement: { envelope: candidate.envelope, documents: null, via: candidate.via },
    });
    if (!kept.ok) return kept.fault;
  }
  self.windows = null;
  arm(self, leftMs);
  return spreadFault(input, pointText(point), policy.spreadMs, leftMs);
}

function spreadFault(input: DeferralInput, offered: string, spreadMs: number, leftMs: number) {
  const until = untilText(input.time(), leftMs);
  return fault('plan.spread', { offered, until, spread: durationText(spreadMs) });
}

/** A clock that is not to be believed says nothing of when. */
function untilText({ wallPlausible, grade, estimateMs }: TimeView, leftMs: number): string {
  const left = `in ${durationText(Math.max(1_000, Math.ceil(leftMs / 1_000) * 1_000))}`;
  if (!wallPlausible && grade !== 'attested') return left;
  return `${instantText(estimateMs + leftMs)}, ${left}`;
}

function beforeActivation(self: Self, candidate: Candidate, change: Change): Fault | null {
  const { policy, point } = candidate.state;
  // What changes nothing here disturbs nobody.
  if (passes(candidate) || change.steps.length === 0) return null;
  const closed = windowClosed(self, policy.windows, candidate);
  if (!closed || closed.retry === 'never') return closed;
  const { input } = self;
  const { deferred, floor } = input.follower.row();
  if (floor?.stateDigest === point.digest) return closed;
  const isKept = deferred?.to.stateDigest === point.digest && self.windows === policy.windows;
  self.windows = policy.windows;
  if (isKept || !change.statement) return closed;
  const dueMs = input.context.clock.bootMs();
  const waited = { spreadMs: policy.spreadMs, leftMs: 0, dueMs, statement: change.statement };
  const kept = keep(input, candidate, waited);
  return kept.ok ? closed : kept.fault;
}

/** Null: open. Otherwise the timer is set for when that may change. */
function windowClosed(self: Self, windows: Policy['windows'], candidate: Candidate): Fault | null {
  const waits = windowWait(self.input, windows, candidate);
  if (waits?.leftMs !== undefined) arm(self, waits.leftMs);
  return waits?.fault ?? null;
}

/** Null: open. Without `leftMs` no hour opens it. */
function windowWait(
  input: DeferralInput,
  windows: Policy['windows'],
  { state }: Candidate,
): { readonly fault: Fault; readonly leftMs?: number } | null {
  if (windows.length === 0) return null;
  const offered = pointText(state.point);
  const view = input.time();
  const why = untold(view, input.clockMode);
  if (why !== null) {
    return { fault: fault('plan.window-unknown-time', { offered, why }), leftMs: STEP_MS };
  }
  const found = windowAt(windows, view.estimateMs);
  if (found.kind === 'open') return null;
  if (found.kind === 'unknown-zone') {
    return { fault: fault('plan.time-zone', { offered, timeZone: found.timeZone }) };
  }
  const now = instantText(view.estimateMs);
  return {
    fault: fault('plan.window-closed', {
      ...{ offered, opens: instantText(found.opensMs), now },
      grade: view.grade,
    }),
    leftMs: found.opensMs - view.estimateMs,
  };
}

/** Why the time of day is not known well enough for a window; null: it is. */
function untold(
  { grade, wallPlausible, estimateMs, floorMs }: TimeView,
  mode: 'lenient' | 'strict',
): string | null {
  if (grade === 'attested') return null;
  if (!wallPlausible) {
    return `the clock is not to be believed, it is at least ${instantText(Math.max(floorMs, estimateMs))}`;
  }
  return mode === 'strict' && grade !== 'synchronised'
    ? 'nothing vouches for the clock, and trust.clock is strict'
    : null;
}

/** Statement first, then the row that names it: a cut between leaves what the next sweep takes. */
function keep(
  input: DeferralInput,
  { state, via }: Candidate,
  waited: Pick<Deferred, 'spreadMs' | 'leftMs' | 'dueMs'> & { readonly statement: StatementFile },
): Result<void> {
  const { content } = input.context;
  const { statement, ...times } = waited;
  const { epoch, sequence, digest: stateDigest } = state.point;
  const put = content.putStatement(stateDigest, statement);
  if (!put.ok) return put;
  const synced = content.sync();
  if (!synced.ok) return synced;
  const to = { epoch, sequence, stateDigest, at: 0 };
  const deferred = { to, via, bootId: input.bootId(), ...whole(times) };
  return save(input, { ...input.follower.row(), deferred });
}

function whole<T extends Pick<Deferred, 'spreadMs' | 'leftMs' | 'dueMs'>>(times: T): T {
  return { ...times, leftMs: Math.ceil(times.leftMs), dueMs: Math.ceil(times.dueMs) };
}

function save({ context, follower }: DeferralInput, row: ChannelRow): Result<void> {
  const done = context.store.transaction((tx) => tx.putChannel(row));
  if (done.ok) follower.saw(row);
  else context.log.write('warn', 'deferral.unrecorded', { code: done.fault.code });
  return done;
}

/** ms; in another boot what was left when it was written, less the least that a boot counts for. */
function leftOf({ context, bootId }: DeferralInput, held: Deferred): number {
  const left =
    held.bootId === bootId()
      ? Math.min(held.leftMs, held.dueMs - context.clock.bootMs())
      : held.leftMs - Math.ceil(held.spreadMs / STEPS);
  return Math.max(0, left);
}

/** From now on by the clock of this boot, with what is left of it. */
function anchor(input: DeferralInput, held: Deferred): number {
  const leftMs = leftOf(input, held);
  const dueMs = input.context.clock.bootMs() + leftMs;
  const times = whole({ spreadMs: held.spreadMs, leftMs, dueMs });
  save(input, {
    ...input.follower.row(),
    deferred: { ...held, bootId: input.bootId(), ...times },
  });
  return leftMs;
}

function begin(self: Self): void {
  const { input } = self;
  const { deferred: held, floor } = input.follower.row();
  if (!held) return;
  if (floor && comparePoints(held.to, floor) < 0) return;
  const leftMs = held.bootId === input.bootId() ? leftOf(input, held) : anchor(input, held);
  if (leftMs <= 0) {
    input.due();
    return;
  }
  arm(self, leftMs);
  const { epoch, sequence, stateDigest: digest } = held.to;
  const why = spreadFault(input, pointText(held.to), held.spreadMs, leftMs);
  input.follower.noteFault(why, { epoch, sequence, digest }, held.via);
}

function arm(self: Self, leftMs: number): void {
  self.cancel();
  const { clock } = self.input.context;
  const { deferred } = self.input.follower.row();
  const stepMs = Math.max(STEP_MS, (deferred?.spreadMs ?? 0) / STEPS);
  self.cancel = clock.after(Math.min(Math.max(1, leftMs), stepMs), () => step(self));
}

/** A timer stands still in suspend, and a clock may have been set: what counts is read anew. */
function step(self: Self): void {
  const { input, windows } = self;
  const { deferred: held } = input.follower.row();
  if (windows && held) {
    const view = input.time();
    const found =
      untold(view, input.clockMode) === null ? windowAt(windows, view.estimateMs) : null;
    if (found?.kind !== 'closed') {
      input.due();
      return;
    }
    arm(self, found.opensMs - view.estimateMs);
    return;
  }
  const leftMs = held ? leftOf(input, held) : 0;
  if (!held || leftMs <= 0) {
    input.due();
    return;
  }
  anchor(input, held);
  arm(self, leftMs);
}
