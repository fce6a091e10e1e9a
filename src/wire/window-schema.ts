/**
 * Windows of time as people write them, in fleet.yaml and in agent.yaml: days, a start, a duration and a
 * time zone. What zones there are is told from outside, so that nobody writes a window that never opens.
 */
import * as v from 'valibot';
import { LIMITS } from '#state/limits.ts';
import { duration } from './yaml.ts';

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const days = 'days: mon, tue, wed, thu, fri, sat, sun';

export function windowsSchema(isTimeZone: (name: string) => boolean) {
  return v.pipe(
    v.array(
      v.pipe(
        v.strictObject({
          days: v.optional(v.array(v.picklist(DAYS, days)), []),
          start: v.pipe(
            v.string(),
            v.regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'a time such as "02:30"'),
          ),
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
}
