/**
 * `policy.windows` of a channel in fleet.yaml: when devices may bring a change into force. Days and
 * zones are checked here, so that nobody signs a window that no device can open.
 */
import * as v from 'valibot';
import { isTimeZone } from '#plan/window.ts';
import { LIMITS } from '#state/limits.ts';
import { duration } from '#wire/yaml.ts';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const days = 'days: mon, tue, wed, thu, fri, sat, sun';

export const maintenanceWindows = v.pipe(
  v.array(
    v.pipe(
      v.strictObject({
        days: v.optional(v.array(v.picklist(DAYS, days)), []),
        start: v.pipe(v.string(), v.regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'a time such as "02:30"')),
        duration: v.pipe(
          duration(),
          v.check((ms) => ms >= 60_000, 'at least 1m'),
        ),
        timeZone: v.pipe(
          v.string(),
          v.check(isTimeZone, 'an IANA time zone, such as Europe/Berlin or UTC'),
        ),
      }),
      v.transform(({ days: named, start, duration: durationMs, timeZone }) => ({
        weekdays: [...new Set(named)].map((day) => DAYS.indexOf(day) + 1).sort(),
        start,
        durationMs,
        timeZone,
      })),
    ),
  ),
  v.maxLength(LIMITS.windowsMax, `at most ${LIMITS.windowsMax} windows`),
);
