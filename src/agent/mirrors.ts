/**
 * What this run knows of its registries, for all channels together: which of them answer, when one
 * that did not is worth asking again, and what each one's tag showed last. A mirror is never trusted
 * and never blamed for being slow: it is asked later, told about, and another one is asked instead.
 *
 * Invariants: in memory alone, so an unchanged poll and a mirror that comes and goes commit nothing;
 * bounded by the configuration (registries × channels). A source that is the only one always rests
 * last: it is asked whatever is said here.
 *
 * A tag that was read before something newer was accepted says nothing of its mirror any more: a
 * nudge is answered by digest, and no tag is read again until the schedule asks.
 */
import type { Fault } from '#errors/fault.ts';
import { backoff } from '#link/backoff.ts';
import type { Clock } from '#platform/clock.ts';
import type { Random } from '#platform/random.ts';
import type { Source } from '#sources/source.ts';
import { comparePoints, type Point } from '#state/point.ts';

/** ms: a mirror that failed is left alone at least this long, while others are there to be asked */
const REST_BASE_MS = 60_000;
const REST_CAP_MS = 3_600_000;
/** ms between two looks at which every mirror is asked although the first one answers */
export const ROUND_MS = 3_600_000;

/** ms: replication takes its time; a mirror that lags longer is told to the fleet's operator */
const LAG_LASTS_MS = 15 * 60_000;
const LAG_NEWS_PER_HOUR = 4;

export interface Mirrors {
  /** In order: those to be asked now, and those that rest after a failure. */
  due(sources: readonly Source[]): {
    readonly due: readonly Source[];
    readonly resting: readonly Source[];
  };
  /** Those that rest last: for contents, which any of them may have. */
  inOrder(sources: readonly Source[]): readonly Source[];
  /** It answered, whatever it said. */
  answered(name: string): void;
  failed(name: string, why: Fault): void;
  /** A signed point behind its tag of the channel. */
  showed(name: string, channel: string, point: Point, asking: Asking): void;
  /** Every mirror is to be asked: nobody has for an hour, or ever. */
  roundDue(channel: string): boolean;
  roundDone(channel: string): void;
  /** Those that have lagged for LAG_LASTS_MS and were not told yet; at most LAG_NEWS_PER_HOUR. */
  lagNews(channel: string, accepted: SignedPoint | null): readonly LongLag[];
  /** @param known  the highest that was accepted of a channel; null: nothing was */
  list(known: (channel: string) => SignedPoint | null): readonly MirrorState[];
}

/** The look in which a tag was read. */
export interface Asking {
  /** monotonic ms */
  readonly startedAt: number;
  /** the highest that was accepted then */
  readonly accepted: SignedPoint | null;
}

export interface LongLag extends MirrorChannel {
  readonly name: string;
}

export type SignedPoint = Pick<Point, 'epoch' | 'sequence'>;

export interface MirrorState {
  /** host and repository */
  readonly name: string;
  readonly state: 'not-asked' | 'answers' | 'fails';
  /** why it was given up last; null: it answers */
  readonly fault: Fault | null;
  /** Unix ms; null: never */
  readonly askedAt: number | null;
  /** ms until it is asked before others again; 0: it is */
  readonly restsForMs: number;
  readonly channels: readonly MirrorChannel[];
}

export interface MirrorChannel {
  readonly channel: string;
  readonly shows: SignedPoint;
  /** the highest signed point that this device has seen anywhere */
  readonly known: SignedPoint;
  readonly lags: boolean;
}

interface Shown {
  readonly point: Point;
  /** monotonic ms: the start of the look in which it was read */
  readonly at: number;
}

/** The highest point that is known of a channel, and monotonic ms since when. */
interface Newest {
  readonly point: SignedPoint;
  readonly since: number;
}

interface Held {
  readonly name: string;
  readonly rests: ReturnType<typeof backoff>;
  fault: Fault | null;
  askedAt: number | null;
  /** monotonic ms */
  restsUntil: number;
  readonly shown: Map<string, Shown>;
  /** by channel: monotonic ms of the first look at which it lagged, and whether that was told */
  readonly lagging: Map<string, { readonly since: number; told: boolean }>;
}

export interface MirrorsInput {
  readonly clock: Pick<Clock, 'monotonicMs' | 'wallMs'>;
  readonly random: Pick<Random, 'unit'>;
  /** as sources are named, in the order of the configuration */
  readonly names: readonly string[];
}

export function mirrors({ clock, random, names }: MirrorsInput): Mirrors {
  const held = new Map(names.map((name) => [name, emptyHeld(name, random)]));
  const rounds = new Map<string, number>();
  const rests = ({ name }: Source) => (held.get(name)?.restsUntil ?? 0) > clock.monotonicMs();
  const split = (sources: readonly Source[]) => ({
    due: sources.filter((source) => !rests(source)),
    resting: sources.filter(rests),
  });
  function list(accepted: (channel: string) => SignedPoint | null): readonly MirrorState[] {
    const now = clock.monotonicMs();
    const known = (channel: string) => learn(channel, accepted(channel), now);
    return [...held.values()].map((mirror) => viewOf(mirror, now, known));
  }
  const newest = new Map<string, Newest>();
  function learn(channel: string, point: SignedPoint | null, since: number): Newest | null {
    const known = newest.get(channel) ?? null;
    if (point === null || (known && comparePoints(point, known.point) <= 0)) return known;
    const learnt = { point, since };
    newest.set(channel, learnt);
    return learnt;
  }
  let told: readonly number[] = [];
  function lagNews(channel: string, accepted: SignedPoint | null): readonly LongLag[] {
    const now = clock.monotonicMs();
    told = told.filter((at) => now - at < 3_600_000);
    const news: LongLag[] = [];
    for (const { name, channels } of list(() => accepted)) {
      const shown = channels.find((one) => one.channel === channel);
      const lagging = held.get(name)?.lagging;
      if (!shown?.lags) lagging?.delete(channel);
      if (!shown?.lags || !lagging) continue;
      const lag = lagging.get(channel) ?? { since: now, told: false };
      lagging.set(channel, lag);
      if (lag.told || now - lag.since < LAG_LASTS_MS || told.length >= LAG_NEWS_PER_HOUR) continue;
      lag.told = true;
      told = [...told, now];
      news.push({ name, ...shown });
    }
    return news;
  }
  return {
    due: split,
    inOrder(sources) {
      const { due, resting } = split(sources);
      return [...due, ...resting];
    },
    answered(name) {
      const mirror = held.get(name);
      if (!mirror) return;
      mirror.rests.reset();
      Object.assign(mirror, { fault: null, restsUntil: 0, askedAt: clock.wallMs() });
    },
    failed(name, why) {
      const mirror = held.get(name);
      if (!mirror) return;
      const restsUntil = clock.monotonicMs() + mirror.rests.next(why.retryAfterMs);
      Object.assign(mirror, { fault: why, restsUntil, askedAt: clock.wallMs() });
    },
    showed(name, channel, point, { startedAt, accepted }) {
      learn(channel, accepted, startedAt);
      learn(channel, point, startedAt);
      held.get(name)?.shown.set(channel, { point, at: startedAt });
    },
    roundDue(channel) {
      const last = rounds.get(channel);
      return last === undefined || clock.monotonicMs() - last >= ROUND_MS;
    },
    roundDone: (channel) => void rounds.set(channel, clock.monotonicMs()),
    lagNews: (channel, accepted) => lagNews(channel, accepted),
    list,
  };
}

function emptyHeld(name: string, random: Pick<Random, 'unit'>): Held {
  const rests = backoff({ baseMs: REST_BASE_MS, capMs: REST_CAP_MS, random });
  return {
    name,
    rests,
    fault: null,
    askedAt: null,
    restsUntil: 0,
    shown: new Map(),
    lagging: new Map(),
  };
}

function viewOf(
  mirror: Held,
  nowMs: number,
  knownOf: (channel: string) => Newest | null,
): MirrorState {
  const { name, fault, askedAt } = mirror;
  const channels: MirrorChannel[] = [];
  for (const [channel, { point: shows, at }] of mirror.shown) {
    const { point: known, since } = knownOf(channel) ?? { point: shows, since: at };
    const lags = comparePoints(shows, known) < 0;
    // Read before anybody knew better: it may have caught up long since.
    if (!lags || at >= since) channels.push({ channel, shows, known, lags });
  }
  const restsForMs = Math.max(0, mirror.restsUntil - nowMs);
  const state = askedAt === null ? 'not-asked' : fault ? 'fails' : 'answers';
  return { name, state, fault, askedAt, restsForMs, channels };
}

/** "1 behind", or the epochs where those differ. */
export function lagText({ shows, known }: Pick<MirrorChannel, 'shows' | 'known'>): string {
  if (shows.epoch !== known.epoch) return `in epoch ${shows.epoch} of ${known.epoch}`;
  return `${known.sequence - shows.sequence} behind`;
}
