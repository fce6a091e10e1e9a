/**
 * When a state may begin to be in force: inside its maintenance windows, not before its place in the
 * spread, and if it is only to stay with its control plane in reach, not without. From docs/operate.md
 * (Waiting for its hour) and decision 0022; bounds are lower ones where the device may be earlier.
 */
import type { Digest } from '#state/digest.ts';
import { type FieldStatement, fieldNameOf, isOpen, placeOf } from './field-wanted.ts';

/** Who looks at the clock of a device. */
export interface Now {
  /** ms of the run */
  readonly at: number;
  /** ms; what the device's wall clock says */
  readonly wallMs: number;
  /** the clock may be right */
  readonly plausible: boolean;
}

export interface Timing {
  /** the clocks, always before anything that depends on them */
  clock(now: Now): void;
  published(statement: FieldStatement): void;
  /** Somebody stands before the machine: nothing of these waits any more. */
  letPass(digests: Iterable<Digest>): void;
  /** A person brought it to this one machine: windows hold for it, its place in the spread does not. */
  unspread(digest: Digest): void;
  powerCut(): void;
  /** the control plane is in reach, and nothing troubles the way there */
  reach(up: boolean, clean: boolean): void;
  /** Content that only these have, which look the same, is asked for. */
  fetched(named: readonly FieldStatement[]): void;
  /** One of these came into force: they look the same. */
  switched(named: readonly FieldStatement[]): void;
  applied(statement: FieldStatement): void;
  copy(fail: (invariant: string, says: string) => void): Timing;
}

export const FLEET_OF_FIELD = '00112233445566778899aabbccddeeff';
export const DEVICE_OF_FIELD = 'press-7';

/** ms that the first step of a change may come after its window was looked at */
const LATE_MS = 30_000;
/** ms by which timers may differ */
const SLACK_MS = 1_000;
/** a boot takes at least so much of a spread off (decision 0022) */
const OF_A_BOOT = 1 / 16;

interface Facts {
  now: Now;
  up: boolean;
  clean: boolean;
  /** ms of the run at which the control plane was last in reach */
  lastUp: number;
  /** ms of the run before which a state that is spread may not begin */
  readonly due: Map<Digest, { readonly statement: FieldStatement; at: number }>;
  readonly pass: Set<Digest>;
  readonly unspread: Set<Digest>;
  readonly applied: Set<Digest>;
  /** severing states in force: since when, and whether there was a way to lose */
  readonly severing: Map<Digest, { readonly at: number; readonly guarded: boolean }>;
}

const NOTHING = (): Facts => ({
  ...{ now: { at: 0, wallMs: 0, plausible: true }, up: true, clean: true, lastUp: 0 },
  ...{
    due: new Map(),
    pass: new Set(),
    unspread: new Set(),
    applied: new Set(),
    severing: new Map(),
  },
});

export function timing(fail: (invariant: string, says: string) => void, known?: Facts): Timing {
  const facts: Facts = known
    ? {
        ...known,
        due: new Map([...known.due].map(([digest, one]) => [digest, { ...one }])),
        pass: new Set(known.pass),
        unspread: new Set(known.unspread),
        applied: new Set(known.applied),
        severing: new Map(known.severing),
      }
    : NOTHING();
  return {
    clock(now) {
      facts.now = now;
      if (facts.up) facts.lastUp = now.at;
    },
    published: (statement) => publish(facts, statement),
    letPass(digests) {
      for (const digest of digests) facts.pass.add(digest);
    },
    unspread: (digest) => void facts.unspread.add(digest),
    powerCut() {
      for (const one of facts.due.values()) one.at -= one.statement.spreadMs * OF_A_BOOT;
    },
    reach(up, clean) {
      if (up || facts.up) facts.lastUp = facts.now.at;
      facts.up = up;
      facts.clean = clean;
    },
    fetched(named) {
      const early = named.map((statement) => tooEarly(facts, statement));
      if (early.includes(null)) return;
      fail('spread', `${early[0]}, and its content is fetched`);
    },
    switched(named) {
      if (named.some(({ digest }) => facts.applied.has(digest))) return;
      const why = named.map((statement) => barred(facts, statement));
      if (why.every((each) => each !== null)) fail(...(why[0] ?? ['', '']));
      for (const { digest, severs } of named) {
        if (!severs) continue;
        facts.severing.set(digest, { at: facts.now.at, guarded: facts.up && facts.clean });
      }
    },
    applied(statement) {
      if (facts.applied.has(statement.digest)) return;
      facts.applied.add(statement.digest);
      const since = facts.severing.get(statement.digest);
      if (!since?.guarded || facts.lastUp > since.at || facts.up) return;
      fail('reachable', `${fieldNameOf(statement)} is applied, and nothing has answered since`);
    },
    copy: (other) => timing(other, facts),
  };
}

/**
 * A newer state never waits longer than the one before it would have: after one that waits for its
 * window alone, whose turn has come, there is no place in a spread.
 */
function publish({ due, now, applied }: Facts, statement: FieldStatement): void {
  const { spreadMs, urgent, windows } = statement;
  if (urgent || (spreadMs === 0 && windows.length === 0)) return;
  const place = spreadMs === 0 ? 0 : placeOf(statement, FLEET_OF_FIELD, DEVICE_OF_FIELD);
  const before = [...due.values()]
    .filter((one) => one.statement.channel === statement.channel)
    .filter((one) => !applied.has(one.statement.digest))
    .map(({ at }) => at);
  due.set(statement.digest, { statement, at: Math.min(now.at + place, ...before) });
}

function tooEarly(facts: Facts, { digest }: FieldStatement): string | null {
  const { due, pass, unspread, applied, now } = facts;
  const one = due.get(digest);
  if (!one || pass.has(digest) || unspread.has(digest) || applied.has(digest)) return null;
  const left = one.at - now.at;
  if (left <= SLACK_MS) return null;
  return `${fieldNameOf(one.statement)} has its place in ${Math.round(left / 1_000)} s`;
}

function barred(facts: Facts, statement: FieldStatement): [string, string] | null {
  const { now, pass } = facts;
  const { urgent, windows, digest } = statement;
  if (urgent || pass.has(digest)) return null;
  const early = tooEarly(facts, statement);
  if (early !== null) return ['spread', `${early}, and it comes into force`];
  if (windows.length === 0) return null;
  if (now.plausible && isOpen(windows, now.wallMs, LATE_MS)) return null;
  const at = now.plausible ? new Date(now.wallMs).toISOString() : 'a dead clock';
  return ['window', `${fieldNameOf(statement)} comes into force at ${at}, outside its windows`];
}
