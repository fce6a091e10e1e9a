/**
 * Maintenance windows of a policy: whether one is open, and when the next one opens. A window starts
 * at a time of day in a time zone and lasts a number of real milliseconds, so the night of a clock
 * change is as long as its author said. A start that the change of clocks leaves out is where the
 * clock goes on; one that comes twice is the first. Pure: the time is given.
 */
import type { Window } from '#state/policy.ts';

const DAY_MS = 86_400_000;
/** days ahead: every weekday comes within a week, its start a day later at most */
const AHEAD_DAYS = 9;
const ZONES_MAX = 64;

export type WindowState =
  | { readonly kind: 'open'; readonly untilMs: number }
  | { readonly kind: 'closed'; readonly opensMs: number }
  /** this program has no such time zone */
  | { readonly kind: 'unknown-zone'; readonly timeZone: string };

/** @param windows  none: always open, without an end */
export function windowAt(windows: readonly Window[], nowMs: number): WindowState {
  if (windows.length === 0) return { kind: 'open', untilMs: Number.POSITIVE_INFINITY };
  let untilMs = 0;
  let opensMs = Number.POSITIVE_INFINITY;
  for (const window of windows) {
    const zone = formatOf(window.timeZone);
    if (!zone) return { kind: 'unknown-zone', timeZone: window.timeZone };
    for (const startMs of startsAround(window, zone, nowMs)) {
      const endMs = startMs + window.durationMs;
      if (startMs <= nowMs && nowMs < endMs) untilMs = Math.max(untilMs, endMs);
      if (startMs > nowMs) opensMs = Math.min(opensMs, startMs);
    }
  }
  return untilMs > 0 ? { kind: 'open', untilMs } : { kind: 'closed', opensMs };
}

export function isTimeZone(name: string): boolean {
  return formatOf(name) !== null;
}

/** Starts from those that may still last to the first of each weekday to come. */
function startsAround(
  { weekdays, start, durationMs }: Window,
  zone: Intl.DateTimeFormat,
  nowMs: number,
): readonly number[] {
  const [hours = 0, minutes = 0] = start.split(':').map(Number);
  const ofDayMs = (hours * 60 + minutes) * 60_000;
  const today = Math.floor(localMs(zone, nowMs) / DAY_MS);
  const starts: number[] = [];
  const back = Math.ceil(durationMs / DAY_MS) + 1;
  for (let day = today - back; day <= today + AHEAD_DAYS; day += 1) {
    if (weekdays.length > 0 && !weekdays.includes(weekdayOf(day))) continue;
    starts.push(instantOf(zone, day * DAY_MS + ofDayMs));
  }
  return starts;
}

/** 1 = Monday; day 0 is 1970-01-01, a Thursday. */
function weekdayOf(day: number): number {
  return ((((day + 3) % 7) + 7) % 7) + 1;
}

/** What the clock on the wall says then, as if it were UTC. */
function localMs(zone: Intl.DateTimeFormat, ms: number): number {
  const parts = new Map(zone.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const of = (name: Intl.DateTimeFormatPartTypes) => parts.get(name) ?? 0;
  const day = dayOf(of('year'), of('month'), of('day'));
  return day * DAY_MS + ((of('hour') * 60 + of('minute')) * 60 + of('second')) * 1_000;
}

/** The first instant at which the clock on the wall says so, or has gone past it. */
function instantOf(zone: Intl.DateTimeFormat, wantedMs: number): number {
  // The offsets before and after any change nearby; zones change by less than a day.
  const early = localMs(zone, wantedMs - DAY_MS) - (wantedMs - DAY_MS);
  const late = localMs(zone, wantedMs + DAY_MS) - (wantedMs + DAY_MS);
  const found = [wantedMs - early, wantedMs - late].filter((at) => localMs(zone, at) === wantedMs);
  // None: the clocks leave this time out; by the old offset it is as far past the change.
  return found.length > 0 ? Math.min(...found) : wantedMs - early;
}

/**
 * Days since 1970-01-01 of a day of the Gregorian calendar; years run from March.
 * @see https://howardhinnant.github.io/date_algorithms.html days_from_civil
 */
function dayOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const ofEra = y - era * 400;
  const ofYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const days = ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear;
  return era * 146_097 + days - 719_468;
}

/** Made once each: making one costs more than a thousand uses of it. */
const formats = new Map<string, Intl.DateTimeFormat | null>();

function formatOf(timeZone: string): Intl.DateTimeFormat | null {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const made = makeFormat(timeZone);
  // Names come from signed states, so from few; a hostile line of them does not fill memory.
  if (formats.size >= ZONES_MAX) formats.clear();
  formats.set(timeZone, made);
  return made;
}

function makeFormat(timeZone: string): Intl.DateTimeFormat | null {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    return null;
  }
}
