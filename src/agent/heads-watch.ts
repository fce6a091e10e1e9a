/**
 * What a time authority says of the channel's newest statement, against what this device has seen:
 * the proof that nobody holds states back (freeze), or that somebody does. It changes nothing that
 * runs: it wakes a look, and tells. A head that no source shows is told as `trust.freeze`, first as
 * lag, which mirrors have; when sources have answered for FREEZE_LASTS_MS and still show nothing, as
 * an attack. A source that cannot be reached holds nothing back. A head with the number of what was
 * accepted and another digest is `trust.equivocation`, at once.
 *
 * Invariant: one durable event for each thing told, at most EVENTS_PER_HOUR.
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import { comparePoints, type Point, pointText } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import type { TimeHead, TimeStatement } from '#state/time-statement.ts';
import { instantText } from '#trust/time.ts';
import type { CycleEnd } from './cycle.ts';

export const FREEZE_LASTS_MS = 3_600_000;
const EVENTS_PER_HOUR = 4;

export interface HeadsWatch {
  /** @param proves  it says what is there now, not what was there once */
  saw(statement: TimeStatement, proves: boolean): void;
  /** A look ended. */
  looked(end: CycleEnd): void;
  /** The newest that is proven to be the head; null: nothing is. */
  proven(): Point | null;
  /** What is wrong with what the sources show; null: nothing. */
  alarm(): Alarm | null;
  /** A reset of the time: nothing is proven any more. */
  forget(): void;
}

export interface Alarm {
  readonly fault: Fault;
  readonly attack: boolean;
  readonly head: TimeHead;
}

export interface HeadsWatchInput {
  readonly clock: Pick<Clock, 'monotonicMs' | 'after'>;
  readonly channel: string;
  /** the highest accepted */
  floor(): StatusPoint | null;
  /** the highest verified one that a source showed, acceptable or not */
  shown(): Point | null;
  wake(): void;
  /** News: the status, and durably an event. */
  tell(alarm: Alarm): void;
  /** The status has news, but nothing to record. */
  changed(): void;
}

interface Named {
  readonly head: TimeHead;
  /** Unix ms of the statement */
  readonly at: number;
}

interface Watch {
  newest: Named | null;
  proven: Point | null;
  /** the head that no source shows, and monotonic ms since which; null: none */
  missing: (Named & { readonly since: number }) | null;
  alarm: Alarm | null;
  cancel: () => void;
  /** monotonic ms of what was told */
  told: readonly number[];
}

export function headsWatch(input: HeadsWatchInput): HeadsWatch {
  const watch: Watch = {
    newest: null,
    proven: null,
    missing: null,
    alarm: null,
    cancel: () => {},
    told: [],
  };
  return {
    saw: (statement, proves) => saw(input, watch, statement, proves),
    looked: (end) => looked(input, watch, end),
    proven: () => watch.proven,
    alarm: () => watch.alarm,
    forget() {
      end(watch);
      Object.assign(watch, { newest: null, proven: null });
      setAlarm(input, watch, null);
    },
  };
}

function saw(
  input: HeadsWatchInput,
  watch: Watch,
  { heads, at }: TimeStatement,
  proves: boolean,
): void {
  const head = heads.find(({ channel }) => channel === input.channel);
  if (!head) return;
  if (proves) watch.proven = head;
  // An old broadcast that comes again says nothing against a newer one.
  if (watch.newest && at < watch.newest.at) return;
  watch.newest = { head, at };
  const before = watch.missing;
  if (!review(input, watch) && watch.missing !== before) input.wake();
}

/** True: nothing is missing. What was missing and has come makes room for what is missing now. */
function review(input: HeadsWatchInput, watch: Watch): boolean {
  const { newest } = watch;
  if (!newest) return true;
  const twice = signedTwice(input, newest.head);
  if (twice || isReached(input, newest.head)) {
    end(watch);
    setAlarm(input, watch, twice);
    return true;
  }
  if (watch.missing && !isReached(input, watch.missing.head)) return false;
  end(watch);
  setAlarm(input, watch, null);
  watch.missing = { ...newest, since: input.clock.monotonicMs() };
  watch.cancel = input.clock.after(FREEZE_LASTS_MS, () => input.wake());
  return false;
}

/** Check 13, with what the time authority saw for the other statement. */
function signedTwice(input: HeadsWatchInput, head: TimeHead): Alarm | null {
  const floor = input.floor();
  const same = floor !== null && comparePoints(head, floor) === 0;
  if (!same || head.digest === floor.stateDigest) return null;
  const [offered, accepted] = [head.digest, floor.stateDigest];
  const why = fault('trust.equivocation', { point: pointText(head), offered, accepted });
  return { fault: why, attack: true, head };
}

/** Accepted, or seen and waiting, refused, not for this device: told where it was judged. */
function isReached(input: HeadsWatchInput, head: TimeHead): boolean {
  const floor = input.floor();
  const shown = input.shown();
  const accepted = floor !== null && comparePoints(floor, head) >= 0;
  return accepted || (shown !== null && comparePoints(shown, head) >= 0);
}

function end(watch: Watch): void {
  watch.cancel();
  watch.missing = null;
}

function looked(input: HeadsWatchInput, watch: Watch, ended: CycleEnd): void {
  if (review(input, watch) || ended.kind === 'unreachable') return;
  const { missing } = watch;
  if (!missing) return;
  const { head, at, since } = missing;
  const floor = input.floor();
  const held = floor ? pointText(floor) : 'nothing';
  const why = fault('trust.freeze', { head: pointText(head), at: instantText(at), held });
  const attack = input.clock.monotonicMs() - since >= FREEZE_LASTS_MS;
  setAlarm(input, watch, { fault: why, attack, head });
}

function setAlarm(input: HeadsWatchInput, watch: Watch, alarm: Alarm | null): void {
  const before = watch.alarm;
  watch.alarm = alarm;
  if (!alarm) {
    if (before) input.changed();
    return;
  }
  if (before && before.attack === alarm.attack && isSame(before.head, alarm.head)) return;
  const now = input.clock.monotonicMs();
  watch.told = watch.told.filter((at) => now - at < 3_600_000);
  if (watch.told.length >= EVENTS_PER_HOUR) {
    input.changed();
    return;
  }
  watch.told = [...watch.told, now];
  input.tell(alarm);
}

function isSame(a: TimeHead, b: TimeHead): boolean {
  return a.digest === b.digest && comparePoints(a, b) === 0;
}
