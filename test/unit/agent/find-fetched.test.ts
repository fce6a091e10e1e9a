/** Several registries for one channel: who is asked when, whose head counts, what is said of the rest. */
import { describe, expect, test } from 'bun:test';
import { type FinderInput, finder } from '#agent/find.ts';
import type { Found } from '#agent/found.ts';
import { type LongLag, mirrors, ROUND_MS } from '#agent/mirrors.ts';
import { type Fault, fault, ok, refused } from '#errors/fault.ts';
import type { Head, Source, Wanted } from '#sources/source.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { pointText } from '#state/point.ts';
import type { StatusPoint } from '#state/status.ts';
import type { Wake } from '#triggers/trigger.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { CANARY_KEY, signedState, trusted } from '../trust/world.ts';

const SCHEDULE: Wake = { kind: 'schedule' };

/** The artifact of a statement with this number; `note` makes other bytes of it. */
function published(sequence: number, by?: Parameters<typeof signedState>[1], note = ''): Head {
  const envelope = signedState(
    { sequence: BigInt(sequence), ...(note ? { minAgentVersion: note } : {}) },
    by,
  );
  const bytes = writeEnvelope(envelope);
  return { manifestDigest: sha256(bytes), envelope: bytes, roots: [], inline: new Map() };
}

const HEADS = new Map([56, 57, 58, 59, 60].map((number) => [number, published(number)]));
const head = (sequence: number): Head => HEADS.get(sequence) ?? published(sequence);

class Mirror {
  tag: Head | null = null;
  readonly numbered = new Map<number, Head>();
  /** null: it answers; 'hangs': not before it is given up */
  trouble: Fault | 'hangs' | null = null;
  asked: string[] = [];
  readonly name: string;
  readonly source: Source;

  constructor(name: string) {
    this.name = name;
    this.source = {
      name,
      via: 'registry',
      peek: (signal) => this.answer('HEAD', signal, () => this.tag?.manifestDigest ?? null),
      head: (wanted, signal) => this.answer(ask(wanted), signal, () => this.find(wanted)),
      blob: () => {
        throw new Error('no contents are asked for here');
      },
    };
  }

  /** It has this statement, its tag names it. */
  shows(sequence: number): this {
    this.holds(sequence);
    this.tag = head(sequence);
    return this;
  }

  holds(sequence: number): this {
    this.numbered.set(sequence, head(sequence));
    return this;
  }

  private find(wanted: Wanted): Head | null {
    if (wanted === null) return this.tag;
    const all = [...this.numbered.values(), ...(this.tag ? [this.tag] : [])];
    if (typeof wanted === 'string') {
      return all.find(({ manifestDigest }) => manifestDigest === wanted) ?? null;
    }
    return this.numbered.get(Number(wanted.sequence)) ?? null;
  }

  private async answer<T>(what: string, signal: AbortSignal, value: () => T) {
    this.asked.push(what);
    if (this.trouble === 'hangs') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      return refused(fault('link.cut', { peer: this.name, reason: 'ended by this side' }));
    }
    return this.trouble ? refused(this.trouble) : ok(value());
  }
}

function ask(wanted: Wanted): string {
  if (wanted === null) return 'tag';
  return typeof wanted === 'string' ? 'digest' : pointText(wanted);
}

const DOWN = fault('link.unreachable', { peer: 'a.example', reason: 'nobody listens there' });

/** A device that has applied 1.57, and these registries in order. */
function plant(...names: readonly string[]) {
  const clock = manualClock();
  const all = names.map((name) => new Mirror(name).shows(57));
  const known = mirrors({ clock, random: { unit: () => 0 }, names });
  const told: Found[] = [];
  const lags: LongLag[] = [];
  let floor = pointOf(57);
  const input: FinderInput = {
    clock,
    sources: all.map(({ source }) => source),
    mirrors: known,
    lagging: (lag) => void lags.push(lag),
    pushes: null,
    bundle: () => {
      throw new Error('no bundle is looked at here');
    },
    roots: {
      walk: () => ({ replaced: false, rows: [], refused: null, unkept: null, more: false }),
    },
    trusted: () =>
      trusted({ floor, appliedDigest: floor.stateDigest, appliedPoint: floor, appliedIds: [] }),
    rootReplaced: () => undefined,
    alsoFound: (found) => void told.push(found),
  };
  const find = finder(input);
  return {
    ...{ clock, all, known, told, lags },
    find,
    accept(sequence: number) {
      floor = pointOf(sequence);
    },
    /** @returns what was found, and what each mirror was asked for it */
    async look(wake: Wake = SCHEDULE): Promise<string> {
      for (const mirror of all) mirror.asked = [];
      const looking = find.find(wake, new AbortController().signal);
      let done = false;
      void looking.then(() => {
        done = true;
      });
      for (let waited = 0; waited < 40 && !done; waited += 1) {
        await clock.settle();
        if (!done) await clock.advance(30_000);
      }
      return textOf(await looking);
    },
    asked: () => all.map((mirror) => mirror.asked.join(' ')),
    /** looks until nothing but the cheap way is left */
    async settle() {
      await this.look({ kind: 'start' });
      await this.look();
    },
  };
}

function pointOf(sequence: number): StatusPoint {
  const { payload } = signedStateOf(sequence);
  return { epoch: 1n, sequence: BigInt(sequence), stateDigest: sha256(payload), at: 0 };
}

function signedStateOf(sequence: number) {
  const read = JSON.parse(Buffer.from(head(sequence).envelope).toString()) as {
    readonly payload: string;
  };
  return { payload: new Uint8Array(Buffer.from(read.payload, 'base64')) };
}

function textOf(found: Found): string {
  switch (found.kind) {
    case 'candidate':
      return `${pointText(found.candidate.state.point)} from ${found.candidate.source?.name}`;
    case 'refused':
    case 'waiting':
      return `${found.kind} ${found.fault.code}${found.attack ? ' attack' : ''}`;
    case 'unreachable':
      return `unreachable ${found.fault.code}`;
    default:
      return `${found.kind} at ${found.source}`;
  }
}

function nudge(sequence: number, manifestDigest: Digest | null): Wake {
  const named = { epoch: 1n, sequence: BigInt(sequence), stateDigest: null, manifestDigest };
  return { kind: 'nudge', channel: 'stable', urgent: false, ...named };
}

const text = (found: readonly Found[]) => found.map(textOf);

describe('who is asked', () => {
  test('an unchanged poll is one HEAD to the first that answers', async () => {
    const here = plant('a', 'b', 'c');
    await here.settle();
    expect(await here.look()).toBe('current at a');
    expect(here.asked()).toEqual(['HEAD', '', '']);
  });
  test('all of them at a start, at an operator’s word and once an hour; the highest counts', async () => {
    const here = plant('a', 'b');
    await here.settle();
    here.all[1]?.shows(58);
    expect(await here.look()).toBe('current at a');
    expect(await here.look({ kind: 'command' })).toBe('1.58 from b');
    expect(await here.look()).toBe('current at a');
    await here.clock.advance(ROUND_MS);
    expect(await here.look()).toBe('1.58 from b');
    expect(here.asked()).toEqual(['HEAD', 'HEAD tag']);
  });
  test('one registry alone is asked once, whatever it did before', async () => {
    const here = plant('a');
    const [only] = here.all;
    if (only) only.trouble = DOWN;
    expect(await here.look()).toBe('unreachable link.unreachable');
    expect(await here.look()).toBe('unreachable link.unreachable');
    expect(here.asked()).toEqual(['tag']);
    if (only) only.trouble = null;
    expect(await here.look()).toBe('current at a');
  });
});

describe('one of them fails', () => {
  test('the next is asked at the same look, and the one that failed is left alone for a minute', async () => {
    const here = plant('a', 'b');
    await here.settle();
    const [first] = here.all;
    if (first) first.trouble = DOWN;
    here.all[1]?.shows(58);
    expect(await here.look()).toBe('1.58 from b');
    expect(here.asked()).toEqual(['HEAD', 'HEAD tag']);
    await here.look();
    expect(here.asked()[0]).toBe('');
    await here.clock.advance(60_000);
    if (first) first.trouble = null;
    first?.shows(58);
    expect(await here.look()).toBe('1.58 from a');
    expect(here.known.list(() => null)[0]?.state).toBe('answers');
  });
  test('one that hangs is given up after half a minute, and what it would have said is not waited for', async () => {
    const here = plant('a', 'b');
    await here.settle();
    const [first] = here.all;
    if (first) first.trouble = 'hangs';
    const before = here.clock.monotonicMs();
    expect(await here.look()).toBe('current at b');
    expect(here.clock.monotonicMs() - before).toBe(30_000);
    expect(here.known.list(() => null)[0]?.fault?.code).toBe('source.slow');
    expect(await here.look()).toBe('current at b');
    expect(here.asked()).toEqual(['', 'HEAD']);
  });
  test('one that hangs behind one that has answered holds what was found up for 10 seconds', async () => {
    const here = plant('a', 'b');
    const [first, second] = here.all;
    first?.shows(58);
    if (second) second.trouble = 'hangs';
    const looking = here.find.find({ kind: 'start' }, new AbortController().signal);
    await here.clock.settle();
    await here.clock.advance(10_000);
    expect(textOf(await looking)).toBe('1.58 from a');
  });
  test('all fail: also those that rest are asked, and a slow one gets its time', async () => {
    const here = plant('a', 'b');
    await here.settle();
    for (const mirror of here.all) mirror.trouble = DOWN;
    expect(await here.look()).toBe('unreachable link.unreachable');
    const [, second] = here.all;
    if (second) second.trouble = 'hangs';
    await here.look();
    expect(here.asked()).toEqual(['HEAD', 'HEAD HEAD']);
  });
  test('nothing there and not reached: the one that may have it is the news', async () => {
    const here = plant('a', 'b');
    const [first, second] = here.all;
    if (first) first.trouble = DOWN;
    if (second) second.tag = null;
    expect(await here.look()).toBe('unreachable link.unreachable');
  });
});

describe('a mirror that lags', () => {
  test('is no attack and keeps nobody from the others', async () => {
    const here = plant('a', 'b');
    here.all[0]?.shows(56);
    expect(await here.look()).toBe('current at b');
    expect(here.told).toEqual([]);
    const [first] = here.known.list(() => pointOf(57));
    expect(first?.channels).toMatchObject([
      { channel: 'stable', lags: true, shows: { sequence: 56n }, known: { sequence: 57n } },
    ]);
  });
  test('is asked with a HEAD alone at the next poll', async () => {
    const here = plant('a', 'b');
    here.all[0]?.shows(56);
    await here.settle();
    expect(await here.look()).toBe('current at b');
    expect(here.asked()).toEqual(['HEAD', 'HEAD']);
  });
  test('is told to the fleet once, when it has lasted; again only after it had caught up', async () => {
    const here = plant('a', 'b');
    here.all[0]?.shows(56);
    await here.look();
    expect(here.lags).toEqual([]);
    await here.clock.advance(15 * 60_000);
    await here.look();
    await here.look();
    expect(here.lags).toMatchObject([{ name: 'a', shows: { sequence: 56n } }]);
    here.all[0]?.shows(57);
    await here.look();
    here.all[0]?.shows(56);
    await here.look();
    expect(here.lags).toHaveLength(1);
    await here.clock.advance(15 * 60_000);
    await here.look();
    expect(here.lags).toHaveLength(2);
  });
  test('is judged by a tag that was read since something newer is known', async () => {
    const here = plant('a', 'b');
    await here.look({ kind: 'command' });
    await here.clock.advance(60_000);
    here.all.map((mirror) => mirror.shows(58));
    await here.look(nudge(58, head(58).manifestDigest));
    here.accept(58);
    const known = () => here.known.list(() => pointOf(58)).map(({ channels }) => channels);
    expect(known()).toEqual([[], []]);
    here.all[0]?.shows(57);
    await here.look();
    expect(known()[0]).toMatchObject([{ shows: { sequence: 57n }, lags: true }]);
  });
  test('whose tag goes back is an attack, beside what the others have', async () => {
    const here = plant('a', 'b');
    await here.settle();
    here.all[0]?.shows(56);
    expect(await here.look()).toBe('current at b');
    expect(text(here.told)).toEqual(['refused trust.rollback attack']);
  });
  test('what was taken from it by digest does not make its old tag an attack', async () => {
    const here = plant('a');
    await here.settle();
    here.all[0]?.holds(58);
    expect(await here.look(nudge(58, head(58).manifestDigest))).toBe('1.58 from a');
    here.accept(58);
    expect(await here.look()).toBe('refused source.stale');
  });
});

describe('a nudge names what the tags do not show yet', () => {
  test('by its digest, from the first that has it', async () => {
    const here = plant('a', 'b', 'c');
    await here.settle();
    here.all[1]?.holds(58);
    expect(await here.look(nudge(58, head(58).manifestDigest))).toBe('1.58 from b');
    expect(here.asked()).toEqual(['digest', 'digest', '']);
  });
  test('by the lasting tag of its number, where no digest is named or none has it', async () => {
    const here = plant('a', 'b');
    await here.settle();
    here.all[1]?.holds(58);
    expect(await here.look(nudge(58, null))).toBe('1.58 from b');
    expect(here.asked()).toEqual(['HEAD 1.58', 'HEAD 1.58']);
  });
  test('one alone as well: a cache whose tag is old', async () => {
    const here = plant('a');
    await here.settle();
    here.all[0]?.holds(58);
    expect(await here.look(nudge(58, null))).toBe('1.58 from a');
  });
  test('a tag that is high enough ends the search', async () => {
    const here = plant('a', 'b');
    await here.settle();
    here.all[0]?.shows(58);
    expect(await here.look(nudge(58, null))).toBe('1.58 from a');
    expect(here.asked()).toEqual(['HEAD tag', '']);
  });
  test('a nudge that lies costs one question more at each, and changes nothing', async () => {
    const here = plant('a', 'b');
    await here.settle();
    expect(await here.look(nudge(9_999, null))).toBe('current at a');
    expect(here.asked()).toEqual(['HEAD 1.9999', 'HEAD 1.9999']);
    expect(await here.look()).toBe('current at a');
    expect(here.asked()).toEqual(['HEAD', '']);
  });
});

describe('a mirror that lies', () => {
  test('is told, left for the next, and asked later', async () => {
    const here = plant('a', 'b');
    const [first, second] = here.all;
    if (first) first.tag = published(60, [CANARY_KEY]);
    second?.shows(58);
    expect(await here.look()).toBe('1.58 from b');
    expect(text(here.told)).toEqual(['refused trust.threshold']);
    here.accept(58);
    expect(await here.look()).toBe('current at b');
    expect(here.asked()).toEqual(['', 'HEAD tag']);
  });
  test('R16: two statements under one number are an attack, and a higher number goes on', async () => {
    const here = plant('a', 'b');
    await here.settle();
    const [first, second] = here.all;
    if (first) first.tag = published(57, undefined, '0.0.1');
    second?.shows(58);
    expect(await here.look()).toBe('1.58 from b');
    expect(text(here.told)).toEqual(['refused trust.equivocation attack']);
  });
  test('alone, its refusal is the answer', async () => {
    const here = plant('a');
    const [only] = here.all;
    if (only) only.tag = published(57, undefined, '0.0.1');
    expect(await here.look()).toBe('refused trust.equivocation attack');
  });
});
