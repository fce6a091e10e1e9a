/**
 * What lies in the watched directories, and what became of it. By policy a bundle that settled there
 * is looked at as `holdfast apply PATH` would; with `consent: ask` it is only inspected, and a person
 * at the device decides. What could not be read whole (still being copied, pulled out, damaged) is
 * read again a few times, less and less often; what waits, as long as it lies there. One at a time,
 * bounded in number; nothing of it is durable: what lies there is looked at again after a start.
 */
import { type BundleView, faultView } from '#control/api.ts';
import { type Fault, fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import { pointText } from '#state/point.ts';
import type { Lying } from '#triggers/bundle-drop.ts';
import type { Inspection } from './bundle-inspection.ts';
import type { CycleEnd } from './cycle.ts';

export interface BundleShelf {
  /** A bundle settled in a watched directory, or is due again. */
  offered(path: string): void;
  lying(now: readonly Lying[]): void;
  again(path: string): boolean;
  /** A person had it applied. */
  ended(path: string, end: CycleEnd): void;
  list(): readonly BundleView[];
  /** Those that wait for a person, inspected anew. */
  inspect(signal: AbortSignal): Promise<void>;
  close(): void;
}

export interface BundleShelfInput {
  readonly clock: Clock;
  readonly log: Log;
  readonly consent: 'policy' | 'ask';
  look(path: string): Promise<CycleEnd>;
  inspect(path: string, signal: AbortSignal): Promise<Inspection>;
  changed(): void;
}

/** ms to the second reading; doubles to the cap */
const AGAIN_BASE_MS = 5_000;
const AGAIN_CAP_MS = 5 * 60_000;
/** readings of one that cannot be read whole, while it stays the same: some five minutes */
const READINGS_MAX = 7;
const QUEUE_MAX = 16;

interface Entry {
  readonly path: string;
  settled: boolean;
  inspection: Inspection | null;
  readings: number;
  /** monotonic ms; null: when it changes */
  dueAt: number | null;
}

interface Shelf {
  readonly input: BundleShelfInput;
  entries: Map<string, Entry>;
  readonly queue: string[];
  running: boolean;
  readonly stopping: AbortController;
}

export function bundleShelf(input: BundleShelfInput): BundleShelf {
  const stopping = new AbortController();
  const shelf: Shelf = { input, entries: new Map(), queue: [], running: false, stopping };
  return {
    offered(path) {
      if (shelf.queue.includes(path) || shelf.queue.length >= QUEUE_MAX) return;
      shelf.queue.push(path);
      void work(shelf);
    },
    lying: (now) => lying(shelf, now),
    again(path) {
      const entry = shelf.entries.get(path);
      if (!entry || shelf.queue.includes(path)) return false;
      // The queue was full when it came.
      if (!entry.inspection) return true;
      return entry.dueAt !== null && entry.dueAt <= input.clock.monotonicMs();
    },
    ended: (path, end) => ended(shelf, path, inspectionOf(end)),
    list: () => [...shelf.entries.values()].map((entry) => viewOf(entry, input.clock)),
    async inspect(signal) {
      for (const entry of shelf.entries.values()) {
        if (entry.inspection?.state !== 'offered') continue;
        entry.inspection = await input.inspect(entry.path, signal);
      }
    },
    close: () => stopping.abort(),
  };
}

async function work(shelf: Shelf): Promise<void> {
  if (shelf.running) return;
  shelf.running = true;
  const { input, queue, stopping } = shelf;
  for (let path = queue[0]; path !== undefined && !stopping.signal.aborted; path = queue[0]) {
    const read =
      input.consent === 'ask'
        ? await input.inspect(path, stopping.signal)
        : inspectionOf(await input.look(path));
    queue.shift();
    ended(shelf, path, read);
  }
  shelf.running = false;
}

function lying(shelf: Shelf, now: readonly Lying[]): void {
  const before = shelf.entries;
  shelf.entries = new Map();
  for (const { path, settled, problem } of now) {
    const known = before.get(path);
    const same = known && known.settled === settled && settled;
    const fresh: Entry = { path, settled, inspection: null, readings: 0, dueAt: null };
    const entry = same ? known : fresh;
    if (problem) entry.inspection = { ...NOTHING, state: 'refused', fault: problem };
    shelf.entries.set(path, entry);
  }
  for (const path of before.keys()) {
    if (!shelf.entries.has(path)) shelf.input.log.write('info', 'bundle.gone', { path });
  }
  shelf.input.changed();
}

function ended(shelf: Shelf, path: string, inspection: Inspection): void {
  const entry = shelf.entries.get(path);
  const { state, fault: why } = inspection;
  const code = why?.code ?? '';
  shelf.input.log.write(why ? 'warn' : 'info', `bundle.${state}`, {
    ...{ path, code, message: why?.message ?? '' },
  });
  if (!entry) return;
  entry.inspection = inspection;
  entry.readings += 1;
  entry.dueAt = dueAt(shelf, entry, inspection);
  shelf.input.changed();
}

/** Damage may be a copy that goes on, a stick with a bad contact, or damage: it is read a few times. */
function dueAt({ input }: Shelf, { readings }: Entry, { state, fault: why }: Inspection) {
  const waits = state === 'waiting' && why !== null && !isDamage(why);
  const damaged = why !== null && isDamage(why) && readings < READINGS_MAX;
  if (!waits && !damaged) return null;
  return input.clock.monotonicMs() + Math.min(AGAIN_CAP_MS, AGAIN_BASE_MS * 2 ** (readings - 1));
}

const DAMAGE =
  /^(?:source\.(?:digest-mismatch|size-mismatch|missing|layout|artifact|range)|format\.|platform\.|link\.)/;

function isDamage({ code }: Fault): boolean {
  return DAMAGE.test(code);
}

const NOTHING: Inspection = {
  ...{ state: 'nothing', channel: '', point: null, plan: null, fault: null },
  more: [],
};

function viewOf({ path, settled, inspection, dueAt }: Entry, clock: Clock): BundleView {
  const state = inspection?.state ?? (settled ? 'reading' : 'copying');
  const { channel = '', point = null, plan = null, more = [] } = inspection ?? {};
  const why = inspection?.fault ?? null;
  const nextReadMs = dueAt === null ? null : Math.max(0, dueAt - clock.monotonicMs());
  return { path, state, channel, point, plan, more, fault: why && faultView(why), nextReadMs };
}

function inspectionOf(end: CycleEnd): Inspection {
  switch (end.kind) {
    case 'applied':
      return { ...NOTHING, state: 'applied', point: pointText(end.point) };
    case 'unchanged':
      return { ...NOTHING, state: 'current' };
    case 'nothing':
      return NOTHING;
    case 'superseded':
      return { ...NOTHING, state: 'waiting', fault: fault('agent.busy', { what: end.offered }) };
    case 'refused':
    case 'waiting':
      return { ...NOTHING, state: end.kind, point: pointOf(end.offered), fault: end.fault };
    case 'unreachable':
      return { ...NOTHING, state: 'waiting', fault: end.fault };
  }
}

/** What could not be read has no number. */
function pointOf(offered: string): string | null {
  return /^\d/.test(offered) ? offered : null;
}
