/** Times of a root as people write them: a date, an instant in UTC, a number of days from now, never. */

const DAY_MS = 24 * 3_600_000;
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

export const NEVER = 'never';
export const EXPECTED_TIME =
  '"never", a date (2027-11-23), an instant (2027-11-23T06:00:00Z) or days ("365d")';

/** Unix ms, 0 for never; null: none of these. A date is its first second in UTC. */
export function parseInstant(text: string, nowMs: number): number | null {
  if (text === NEVER) return 0;
  const days = /^([1-9]\d{0,4})d$/.exec(text)?.[1];
  if (days !== undefined) return nowMs + Number(days) * DAY_MS;
  if (!DATE.test(text) && !INSTANT.test(text)) return null;
  const ms = Date.parse(DATE.test(text) ? `${text}T00:00:00Z` : text);
  const real = Number.isSafeInteger(ms) && ms > 0;
  // 2027-02-30 is read as a day in March by Date
  return real && new Date(ms).toISOString().startsWith(text.slice(0, 10)) ? ms : null;
}

export function instantOrNever(ms: number): string {
  return ms === 0 ? NEVER : new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}
