/**
 * From a wake to a verdict: asks the sources in order for the channel's head and lets trust judge
 * it. Remembers what was settled, so that an unchanged head costs one HEAD and no write; nothing
 * counts as settled before its state is applied, or refused for good (DESIGN section 2).
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { LayoutSource } from '#sources/oci-layout.ts';
import type { Head, Source } from '#sources/source.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Freshness, Via } from '#state/status.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { CheckTrace } from '#trust/outcome.ts';
import { type Trusted, type Verdict, verifyStatement } from '#trust/verify.ts';

/** An acceptable statement, not yet accepted. */
export interface Candidate {
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly freshness: Freshness;
  readonly via: Via;
  readonly manifestDigest: Digest | null;
  /** contents that came with it, by digest */
  readonly inline: ReadonlyMap<Digest, Uint8Array>;
  /** the source it came from, asked first for its blobs; null: from this device's disk */
  readonly source: Source | null;
  /** monotonic ms of the wake */
  readonly startedAt: number;
  /** ms until its head was here; 0: it came from this device's disk */
  readonly headMs: number;
}

export type Found =
  | { readonly kind: 'candidate'; readonly candidate: Candidate }
  /** the head is what was settled before, or is applied */
  | { readonly kind: 'current'; readonly source: string }
  | { readonly kind: 'nothing'; readonly source: string }
  | {
      readonly kind: 'refused' | 'waiting';
      readonly fault: Fault;
      readonly offered: Point | null;
      readonly via: Via;
      readonly attack: boolean;
      readonly source: string;
      /** seen before: no second report */
      readonly again: boolean;
    }
  | { readonly kind: 'unreachable'; readonly fault: Fault; readonly source: string };

/** What `explain` shows of the last look. */
export interface Look {
  /** Unix ms by the wall clock */
  readonly at: number;
  readonly wake: Wake['kind'];
  readonly source: string;
  readonly result: Found['kind'];
  readonly fault: Fault | null;
  readonly checks: readonly CheckTrace[];
  readonly point: Point | null;
}

export interface Finder {
  find(wake: Wake, signal: AbortSignal): Promise<Found>;
  /** The state behind this manifest is applied: its digest alone needs no second look. */
  settle(manifestDigest: Digest): void;
  /** Judges a statement that is on disk already (a state to resume). */
  judge(envelope: Envelope, via: Via, startedAt: number): Found;
  forget(): void;
  lastLook(): Look | null;
}

export interface FinderInput {
  readonly clock: Clock;
  readonly sources: readonly Source[];
  /** opens a bundle named by `holdfast apply` */
  bundle(path: string): LayoutSource;
  /** read anew for every statement */
  trusted(): Trusted;
}

export function finder(input: FinderInput): Finder {
  const memory: Memory = { settled: new Map(), highest: new Map(), last: null };
  return {
    find: (wake, signal) => find(input, memory, wake, signal),
    settle(manifestDigest) {
      const found: Settled['found'] = { kind: 'current', source: '' };
      remember(memory, manifestDigest, { key: keyOf(input.trusted()), found });
    },
    judge(envelope, via, startedAt) {
      const offer = { envelope, roots: [], via, sourceHighest: null };
      const verdict = verifyStatement(offer, input.trusted());
      const from = { source: null, manifestDigest: null, inline: new Map(), startedAt, headMs: 0 };
      return foundOf(verdict, { name: 'this device', via }, from);
    },
    forget() {
      memory.settled.clear();
    },
    lastLook: () => memory.last,
  };
}

/** What is known of earlier looks; lost at a restart, which costs one GET. */
interface Memory {
  /** manifest digest → what trust depended on and found */
  readonly settled: Map<Digest, Settled>;
  /** by source: the highest verified point it showed */
  readonly highest: Map<string, Point>;
  last: Look | null;
}

/** One question to one source. */
interface Question {
  readonly input: FinderInput;
  readonly memory: Memory;
  readonly source: Source;
  readonly wake: Wake;
  readonly wanted: Digest | null;
  readonly startedAt: number;
  readonly signal: AbortSignal;
}

async function find(
  input: FinderInput,
  memory: Memory,
  wake: Wake,
  signal: AbortSignal,
): Promise<Found> {
  const startedAt = input.clock.monotonicMs();
  if (wake.kind === 'bundle') return findInBundle(input, memory, wake, signal);
  const { sources } = input;
  // By the nudge's digest on every mirror first, then by the tag.
  const named = wake.kind === 'nudge' && wake.manifestDigest ? [wake.manifestDigest, null] : [null];
  let found: Found | null = null;
  for (const wanted of named) {
    for (const source of sources) {
      found = await ask({ input, memory, source, wake, wanted, startedAt, signal });
      if (answers(found)) return found;
    }
  }
  if (found) return found;
  const none = fault('agent.no-source', {});
  memory.last = lookAt(input.clock, wake, '', { kind: 'unreachable', fault: none, source: '' });
  return { kind: 'unreachable', fault: none, source: '' };
}

/** A bundle may hold several channels; the statement names its channel, so each is judged. */
async function findInBundle(
  input: FinderInput,
  memory: Memory,
  wake: Extract<Wake, { kind: 'bundle' }>,
  signal: AbortSignal,
): Promise<Found> {
  const source = input.bundle(wake.path);
  const startedAt = input.clock.monotonicMs();
  const question = { input, memory, source, wake, wanted: null, startedAt, signal };
  let found: Found = noted(question, { kind: 'nothing', source: source.name });
  for await (const head of source.heads(signal)) {
    const next = head.ok
      ? judgeHead(question, head.value, input.trusted())
      : noted(question, failedHead(source, head.fault));
    if (next.kind === 'candidate' || next.kind === 'current') return next;
    const foreign = 'fault' in next && next.fault.code === 'trust.wrong-channel';
    if (found.kind === 'nothing' || !foreign) found = next;
  }
  return found;
}

async function ask(question: Question): Promise<Found> {
  const { input, memory, source, wanted, signal } = question;
  const trusted = input.trusted();
  if (wanted === null && memory.settled.size > 0) {
    const peeked = await source.peek(signal);
    if (!peeked.ok) return noted(question, unreachable(source, peeked.fault));
    const known = peeked.value && memory.settled.get(peeked.value);
    if (known && known.key === keyOf(trusted)) return again(question, known);
  }
  const head = await source.head(wanted, signal);
  if (!head.ok) return noted(question, failedHead(source, head.fault));
  if (!head.value) return noted(question, { kind: 'nothing', source: source.name });
  const found = judgeHead(question, head.value, trusted);
  if (found.kind !== 'candidate' && found.kind !== 'unreachable') {
    remember(memory, head.value.manifestDigest, { key: keyOf(trusted), found });
  }
  return found;
}

function judgeHead(question: Question, head: Head, trusted: Trusted): Found {
  const { input, memory, source, startedAt } = question;
  const headMs = input.clock.monotonicMs() - startedAt;
  const { via, name } = source;
  const sourceHighest = memory.highest.get(name) ?? null;
  const { envelope, roots, manifestDigest, inline } = head;
  const verdict = verifyStatement({ envelope, roots, via, sourceHighest }, trusted);
  const found = foundOf(verdict, source, { source, manifestDigest, inline, startedAt, headMs });
  // Only signed points count: an unsigned one could make honest ones look old.
  const point = 'state' in verdict ? verdict.state.point : verdict.offered;
  if (point && (!sourceHighest || comparePoints(point, sourceHighest) > 0)) {
    memory.highest.set(name, point);
  }
  return noted(question, found, { checks: verdict.checks, point });
}

function failedHead(source: Source, why: Fault): Found {
  if (why.code.startsWith('link.') || why.retry === 'later') return unreachable(source, why);
  const { name, via } = source;
  const none = { offered: null, attack: false, again: false };
  return { kind: 'refused', fault: why, via, source: name, ...none };
}

function unreachable({ name }: Source, why: Fault): Found {
  return { kind: 'unreachable', fault: why, source: name };
}

function again(question: Question, { found }: Settled): Found {
  const { checks = [], point = null } = question.memory.last ?? {};
  const name = question.source.name;
  const repeated = 'again' in found ? { ...found, again: true } : { ...found, source: name };
  return noted(question, repeated, { checks, point });
}

/** Kept for `explain`. */
function noted(
  { input, memory, source, wake }: Question,
  found: Found,
  seen: Partial<Look> = {},
): Found {
  memory.last = { ...lookAt(input.clock, wake, source.name, found), ...seen };
  return found;
}

function lookAt(clock: Clock, wake: Wake, source: string, found: Found): Look {
  const why = 'fault' in found ? found.fault : null;
  const at = clock.wallMs();
  const nothing = { checks: [], point: null };
  return { at, wake: wake.kind, source, result: found.kind, fault: why, ...nothing };
}

function remember({ settled }: Memory, digest: Digest, entry: Settled): void {
  settled.delete(digest);
  settled.set(digest, entry);
  const oldest = settled.keys().next().value;
  if (settled.size > LIMITS.refusedRemembered && oldest) settled.delete(oldest);
}

interface Settled {
  /** what trust looked at beside the bytes: another key means a new look */
  readonly key: string;
  readonly found: Exclude<Found, { kind: 'candidate' | 'unreachable' }>;
}

/** DESIGN section 5: refusals are keyed with root version, epoch and time grade; ours also with what the owner set. */
function keyOf({ root, channel, time, clock, device, floor }: Trusted): string {
  const epoch = root.channels.find(({ name }) => name === channel)?.epoch ?? 0n;
  const labels = Object.entries(device.labels)
    .sort()
    .map(([key, value]) => `${key}=${value}`);
  return JSON.stringify([
    `${root.version}`,
    `${epoch}`,
    time.grade,
    clock,
    device.id,
    labels,
    floor?.stateDigest ?? '',
  ]);
}

/** A later mirror is asked only where this one had nothing to say or lags. */
function answers(found: Found): boolean {
  if (found.kind === 'nothing' || found.kind === 'unreachable') return false;
  return !(found.kind === 'refused' && found.fault.code === 'source.stale');
}

function foundOf(
  verdict: Verdict,
  { name, via }: Pick<Source, 'name' | 'via'>,
  from: Pick<Candidate, 'source' | 'manifestDigest' | 'inline' | 'startedAt' | 'headMs'>,
): Found {
  switch (verdict.kind) {
    case 'current':
      return { kind: 'current', source: name };
    case 'accept':
    case 'resume': {
      const { state, envelope, freshness } = verdict;
      return { kind: 'candidate', candidate: { state, envelope, freshness, via, ...from } };
    }
    case 'waiting':
    case 'refused': {
      const { kind, fault, offered } = verdict;
      const attack = verdict.kind === 'refused' && verdict.attack;
      return { kind, fault, offered, via, attack, source: name, again: false };
    }
  }
}
