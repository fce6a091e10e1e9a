/**
 * When this device talks to its Margo manager, and when it changes for it: the owner's word, in the
 * section `margo` of agent.yaml (MARGO.md, M69). `downtime`: nobody is asked and nothing is told, so
 * nothing fails; `poll.hours`: manifests are looked for then alone; `windows`: changes begin then alone,
 * and are told as pending until then. A clock that is not to be believed closes nothing but `windows`
 * (decision 0022): a device that cannot tell the time has to be reachable.
 */
import * as v from 'valibot';
import { type Fault, fault } from '#errors/fault.ts';
import { isTimeZone, windowAt } from '#plan/window.ts';
import type { Window } from '#state/policy.ts';
import type { Wake } from '#triggers/trigger.ts';
import { instantText, type TimeView } from '#trust/time.ts';
import { windowsSchema } from '#wire/window-schema.ts';
import { duration } from '#wire/yaml.ts';
import { MARGO_CHANNEL } from './margo-state.ts';

const windows = windowsSchema(isTimeZone);
/** ms: a clock may be set meanwhile, so a long downtime is looked at again */
const LOOK_MS = 15 * 60_000;

export interface MargoHours {
  /** changes begin only then; none: at once */
  readonly windows: readonly Window[];
  /** the manager is neither asked nor told anything */
  readonly downtime: readonly Window[];
  readonly poll: MargoPoll;
}

export interface MargoPoll {
  /** manifests are looked for only then; none: at any time */
  readonly hours: readonly Window[];
  /** null: as the section `schedule` says */
  readonly intervalMs: number | null;
  readonly jitter: number | null;
  readonly backoffMaxMs: number | null;
  /** looks that nudges may cause in a minute; null: as the section `nudges` says */
  readonly perMinute: number | null;
}

/** Keys of the section `margo`. */
export const hoursEntries = {
  windows: v.optional(windows, []),
  downtime: v.optional(windows, []),
  poll: v.optional(
    v.strictObject({
      hours: v.optional(windows, []),
      interval: v.optional(duration()),
      jitter: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1, 'from 0 to 1'))),
      backoffMax: v.optional(duration()),
      perMinute: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(600))),
    }),
    {},
  ),
};

export function hoursOf(
  read: v.InferOutput<v.StrictObjectSchema<typeof hoursEntries, undefined>>,
): MargoHours {
  const { hours, interval, jitter, backoffMax, perMinute } = read.poll;
  return {
    windows: read.windows,
    downtime: read.downtime,
    poll: {
      hours,
      intervalMs: interval ?? null,
      jitter: jitter ?? null,
      backoffMaxMs: backoffMax ?? null,
      perMinute: perMinute ?? null,
    },
  };
}

interface Looking {
  readonly schedule: {
    readonly intervalMs: number;
    readonly jitter: number;
    readonly backoffMaxMs: number;
  };
  readonly nudgesPerMinute: number;
  readonly margo: { readonly hours: MargoHours } | null;
}

/** How often a channel is looked at: that of a manager has numbers of its own. */
export function lookingOf(
  { schedule, nudgesPerMinute, margo }: Looking,
  channel: string,
): Looking['schedule'] & { readonly perMinute: number } {
  const own = channel === MARGO_CHANNEL ? margo?.hours.poll : null;
  return {
    intervalMs: own?.intervalMs ?? schedule.intervalMs,
    jitter: own?.jitter ?? schedule.jitter,
    backoffMaxMs: own?.backoffMaxMs ?? schedule.backoffMaxMs,
    perMinute: own?.perMinute ?? nudgesPerMinute,
  };
}

/** Why the manager is not asked now; null: it is. A person who asks decides for himself. */
export function quietNow(
  { downtime, poll }: MargoHours,
  view: TimeView,
  wake: Wake['kind'],
): Fault | null {
  if (wake === 'command' || !isKnown(view)) return null;
  const now = instantText(view.estimateMs);
  const down = downtime.length > 0 ? windowAt(downtime, view.estimateMs) : null;
  if (down?.kind === 'open') {
    return fault('margo.quiet', { why: 'downtime', until: instantText(down.untilMs), now });
  }
  const hours = windowAt(poll.hours, view.estimateMs);
  if (hours.kind !== 'closed') return null;
  return fault('margo.quiet', { why: 'poll.hours', until: instantText(hours.opensMs), now });
}

/** ms for which nothing is told; 0: it may be */
export function downForMs({ downtime }: MargoHours, view: TimeView): number {
  if (downtime.length === 0 || !isKnown(view)) return 0;
  const found = windowAt(downtime, view.estimateMs);
  return found.kind === 'open' ? Math.min(LOOK_MS, found.untilMs - view.estimateMs) : 0;
}

function isKnown({ grade, wallPlausible }: TimeView): boolean {
  return wallPlausible || grade === 'attested';
}
