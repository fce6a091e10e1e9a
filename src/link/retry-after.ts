/**
 * When a server wants to be asked again.
 * @see RFC 9110 section 10.2.3
 */

/** ms: the most that is believed (C16) */
export const RETRY_AFTER_MAX_MS = 3_600_000;

/**
 * @param value  the header, or undefined
 * @param nowMs  what the server's own Date header says, else this device's wall clock; only used
 *               for the form that names a date
 * @returns ms from now, between 0 and an hour; null when absent or unreadable
 */
export function readRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  const text = value.trim();
  if (/^\d{1,32}$/.test(text)) return Math.min(Number(text) * 1000, RETRY_AFTER_MAX_MS);
  const at = readHttpDate(text);
  return at === null ? null : Math.min(Math.max(0, at - nowMs), RETRY_AFTER_MAX_MS);
}

/** IMF-fixdate alone ("Sun, 06 Nov 1994 08:49:37 GMT"): Date.parse takes far too much. */
export function readHttpDate(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return null;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : at;
}
