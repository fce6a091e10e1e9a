/**
 * Check 0: what time it may be. The floor is a lower bound that only signed values raise; the
 * wall clock is a claim that counts only within [floor, floor + 10 years]. Neither function reads
 * a clock: a device without one gets the floor as its estimate and works.
 *
 * Invariants: the floor never goes down here, and one signed value lifts it by 400 days at most,
 * so that a date in the far future (ATTACKS R22) cannot make every later statement look expired.
 */
import { LIMITS } from '#state/limits.ts';
import type { TimeGrade } from '#state/status.ts';

export interface TimeView {
  /** Unix ms: it is certainly not earlier */
  readonly floorMs: number;
  /** Unix ms: the best guess, never below the floor */
  readonly estimateMs: number;
  readonly grade: TimeGrade;
  /** false: TLS must not judge certificates by the wall clock (link/peer.ts) */
  readonly wallPlausible: boolean;
}

export interface TimeClaims {
  /** max(build time, floor in the store, time statements + CLOCK_BOOTTIME since), Unix ms */
  readonly floorMs: number;
  readonly wallMs: number;
  /** a time service says that it steers the wall clock */
  readonly synchronised?: boolean;
  /** what an answer to a nonce of this device says of now; null: nothing */
  readonly attested?: AttestedNow | null;
}

/** The time lies between the two; each has gone on by CLOCK_BOOTTIME since the answer. */
export interface AttestedNow {
  readonly earliestMs: number;
  readonly latestMs: number;
  /** ms since the answer: what CLOCK_BOOTTIME may have drifted in */
  readonly ageMs: number;
}

/** ms that clocks may be apart and still agree, and what they drift: 1 ms in 2 s, far above a quartz's */
const AGREE_MS = 10 * 60_000;
const DRIFT_PER_MS = 1 / 2_000;

// Check 0
export function viewTime(claims: TimeClaims): TimeView {
  const { floorMs, wallMs, synchronised = false, attested = null } = claims;
  if (attested) return viewAttested(attested, floorMs, wallMs);
  const wallPlausible = wallMs >= floorMs && wallMs <= floorMs + LIMITS.wallAheadMs;
  return {
    floorMs,
    estimateMs: wallPlausible ? wallMs : floorMs,
    grade: wallPlausible && synchronised ? 'synchronised' : 'estimated',
    wallPlausible,
  };
}

/** Attested time wins over a wall clock that says something else (check 0). */
function viewAttested(attested: AttestedNow, floorMs: number, wallMs: number): TimeView {
  const { earliestMs, latestMs, ageMs } = attested;
  const slackMs = AGREE_MS + ageMs * DRIFT_PER_MS;
  const wallPlausible = wallMs >= earliestMs - slackMs && wallMs <= latestMs + slackMs;
  const within = earliestMs + (latestMs - earliestMs) / 2;
  const estimateMs = Math.max(floorMs, Math.trunc(wallPlausible ? wallMs : within));
  return { floorMs, estimateMs, grade: 'attested', wallPlausible };
}

/** The floor after an accepted statement's `issued_at` (0: none), or a time statement. */
export function raiseFloor(floorMs: number, signedMs: number): number {
  return Math.max(floorMs, Math.min(signedMs, floorMs + LIMITS.floorRiseMs));
}

/**
 * A root's time reset, in memory: the floor is what its owners say, be it lower (ATTACKS R22). What
 * was attested before it may be what it is there to undo.
 */
export function resetTime(
  { estimateMs, grade, wallPlausible }: TimeView,
  notBeforeMs: number,
): TimeView {
  const own = grade !== 'attested' && wallPlausible;
  const claimed = own && estimateMs <= notBeforeMs + LIMITS.wallAheadMs;
  return {
    floorMs: notBeforeMs,
    estimateMs: claimed ? Math.max(estimateMs, notBeforeMs) : notBeforeMs,
    grade: grade === 'attested' ? 'estimated' : grade,
    wallPlausible: claimed && estimateMs >= notBeforeMs,
  };
}

/** `2026-11-23T15:39:00Z`, for messages; the core has no Date. */
export function instantText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const day = Math.floor(seconds / 86_400);
  const rest = seconds - day * 86_400;
  const [year, month, date] = civil(day);
  const clock = [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(date)}T${clock.map(two).join(':')}Z`;
}

/**
 * Days since 1970-01-01 to year, month, day of the Gregorian calendar; years run from March.
 * @see https://howardhinnant.github.io/date_algorithms.html civil_from_days
 */
function civil(days: number): readonly [year: number, month: number, day: number] {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const ofEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36_524) - Math.floor(ofEra / 146_096)) /
      365,
  );
  const ofYear =
    ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * ofYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return [year, month, ofYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1];
}
