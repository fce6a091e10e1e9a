/**
 * One page of the fleet: searched, filtered and sorted here, so that neither a browser nor a line to
 * it has to hold the whole. Pure over the rows; the order is made once for each version of them.
 */
import { CONDITIONS, type Condition, type Summary } from './fleet-row.ts';

/** How far what a device said is proven. */
export type Proof =
  /** signed by the key that this hub enrolled for it */
  | 'enrolled'
  /** signed by the key that was first seen under this name: nobody has compared it */
  | 'first-seen'
  /** nothing that this device signed was seen */
  | 'none';

export interface FleetRow {
  /** the status topic: names the row */
  readonly id: string;
  readonly device: string;
  readonly proof: Proof;
  /** why the newest message does not count; empty: it does */
  readonly doubt: string;
  readonly condition: Condition;
  /** what this hub knows of one that has said nothing; empty: it has, or nothing is known */
  readonly note: string;
  /** by its presence, which nobody signs; null: none was seen */
  readonly online: boolean | null;
  /** Unix ms by this hub's clock; 0: not known */
  readonly seenAt: number;
  readonly summary: Summary | null;
  /** lower case */
  readonly search: string;
}

export interface FleetQuery {
  readonly offset: number;
  readonly limit: number;
  /** words that all have to stand somewhere in the row */
  readonly words: readonly string[];
  /** empty: every one */
  readonly conditions: readonly Condition[];
  /** empty: every one */
  readonly channel: string;
  readonly sort: 'condition' | 'device' | 'seen';
}

export interface FleetPage {
  readonly total: number;
  readonly matched: number;
  readonly offset: number;
  readonly counts: Readonly<Record<Condition, number>>;
  readonly channels: readonly string[];
  readonly rows: readonly Omit<FleetRow, 'search'>[];
}

const PAGE_MAX = 200;
const WORDS_MAX = 8;
const QUERY_CHARS = 100;
const CHANNELS_MAX = 64;

export function readQuery(from: URLSearchParams): FleetQuery {
  const number = (name: string, otherwise: number, max: number): number => {
    const text = from.get(name) ?? '';
    return /^\d{1,7}$/.test(text) ? Math.min(Number(text), max) : otherwise;
  };
  const words = (from.get('q') ?? '').slice(0, QUERY_CHARS).toLowerCase().split(/\s+/);
  const wanted = (from.get('condition') ?? '').split(',');
  const sort = from.get('sort');
  return {
    offset: number('offset', 0, 10_000_000),
    limit: Math.max(1, number('limit', 50, PAGE_MAX)),
    words: words.filter((word) => word !== '').slice(0, WORDS_MAX),
    conditions: CONDITIONS.filter((one) => wanted.includes(one)),
    channel: (from.get('channel') ?? '').slice(0, QUERY_CHARS),
    sort: sort === 'device' || sort === 'seen' ? sort : 'condition',
  };
}

export interface Ordered {
  page(query: FleetQuery): FleetPage;
}

/** @param rows  as they are now: what changes later is seen by the next one that is made */
export function ordered(rows: readonly FleetRow[]): Ordered {
  const orders = new Map<FleetQuery['sort'], readonly FleetRow[]>();
  const counts = countsOf(rows);
  const channels = channelsOf(rows);
  return {
    page(query) {
      const order = orders.get(query.sort) ?? rows.toSorted(COMPARE[query.sort]);
      orders.set(query.sort, order);
      const found = order.filter((row) => matches(row, query));
      // A fleet that shrank under a reader who is far down: the last page, not an empty one.
      const last = Math.max(0, Math.ceil(found.length / query.limit) - 1) * query.limit;
      const offset = Math.min(query.offset, last);
      return {
        total: rows.length,
        matched: found.length,
        offset,
        counts,
        channels,
        rows: found.slice(offset, offset + query.limit).map(({ search, ...row }) => row),
      };
    },
  };
}

function matches(row: FleetRow, { words, conditions, channel }: FleetQuery): boolean {
  if (conditions.length > 0 && !conditions.includes(row.condition)) return false;
  if (channel !== '' && !row.summary?.channels.some((one) => one.channel === channel)) return false;
  return words.every((word) => row.search.includes(word));
}

const PLACE = new Map<Condition, number>(CONDITIONS.map((one, at) => [one, at]));

const COMPARE: Record<FleetQuery['sort'], (a: FleetRow, b: FleetRow) => number> = {
  condition: (a, b) => placeOf(a) - placeOf(b) || byName(a, b),
  device: byName,
  seen: (a, b) => b.seenAt - a.seenAt || byName(a, b),
};

function placeOf({ condition }: FleetRow): number {
  return PLACE.get(condition) ?? 0;
}

/** press-9 before press-10. */
const NAMES = new Intl.Collator('en', { numeric: true });

function byName(a: FleetRow, b: FleetRow): number {
  return NAMES.compare(a.device, b.device) || (a.id < b.id ? -1 : 1);
}

function countsOf(rows: readonly FleetRow[]): FleetPage['counts'] {
  const counts = Object.fromEntries(CONDITIONS.map((one) => [one, 0])) as Record<Condition, number>;
  for (const { condition } of rows) counts[condition] += 1;
  return counts;
}

function channelsOf(rows: readonly FleetRow[]): readonly string[] {
  const names = new Set<string>();
  for (const { summary } of rows) {
    for (const { channel } of summary?.channels ?? []) {
      if (names.size < CHANNELS_MAX && !channel.startsWith('device.')) names.add(channel);
    }
  }
  return [...names].sort();
}
