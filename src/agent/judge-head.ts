/**
 * One head of one source: its roots are walked and kept, then its statement is judged by the newest
 * one (check 7), and what came out is remembered, so that an unchanged head costs no second look.
 * Nothing counts as settled before its state is applied, or refused for good (DESIGN section 2).
 */
import type { Fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Pushed } from '#sources/mqtt-push.ts';
import type { Head, Source, Wanted } from '#sources/source.ts';
import type { Digest } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { OfferedRoot } from '#trust/root-chain.ts';
import { type Trusted, type Verdict, verifyStatement } from '#trust/verify.ts';
import type { Candidate, Found, Look } from './found.ts';
import type { RootKeeper, Walked } from './root-keeper.ts';

export interface Judging {
  readonly clock: Clock;
  readonly roots: Pick<RootKeeper, 'walk'>;
  /** read anew for every statement */
  trusted(): Trusted;
  /** A newer root is held: status has news, whatever the statement beside it is. */
  rootReplaced(): void;
  /** The walk took all the steps that one look may (R10): to be looked at again, at once; default: later */
  walkOn?(wake: Wake): void;
  /** What is not the answer of this look, and is told beside it. */
  alsoFound(found: Exclude<Found, { kind: 'candidate' }>): void;
}

/** What is known of earlier looks; lost at a restart, which costs one GET. */
export interface Memory {
  /** manifest digest → what trust depended on and found */
  readonly settled: Map<Digest, Settled>;
  /** by source, and apart from it by what it was asked by name: the highest verified point it showed */
  readonly highest: Map<string, Point>;
  /** that a look has judged before */
  readonly pushesSeen: WeakSet<Pushed>;
  last: Look | null;
}

/** One question to one source. */
export interface Question {
  readonly input: Judging;
  readonly memory: Memory;
  readonly source: Source;
  readonly wake: Wake;
  /** the channel's tag, or what a nudge or a time authority named */
  readonly wanted: Wanted;
  readonly startedAt: number;
  readonly signal: AbortSignal;
}

/** Check 7, before anything is judged: the newest root that the offer leads to is held afterwards. */
export function walkBeside(
  { input, memory, source, wake }: Question,
  roots: readonly OfferedRoot[],
): Walked {
  const walk = input.roots.walk(roots);
  if (walk.replaced) {
    memory.settled.clear();
    input.rootReplaced();
  }
  // Each look is 64 versions that root keys have signed: it ends where the chain does.
  if (walk.more) input.walkOn?.(wake.kind === 'bundle' ? wake : { kind: 'reconnect' });
  if (walk.refused) {
    const { fault, attack } = walk.refused;
    const { via, name } = source;
    const what = { offered: null, via, attack, source: name, again: false };
    input.alsoFound({ kind: 'refused', fault, ...what });
  }
  return walk;
}

/** A chain that goes on, or could not be kept, is worth another look at the same head. */
export function settleFound(
  { input, memory }: Question,
  digest: Digest,
  { found, walk }: { readonly found: Found; readonly walk: Walked },
): void {
  if (found.kind === 'candidate' || found.kind === 'unreachable') return;
  if (walk.replaced || walk.unkept) return;
  remember(memory, digest, { key: keyOf(input.trusted()), found, seen: seenIn(memory) });
}

/** What the last look judged. */
export function seenIn({ last }: Memory): Settled['seen'] {
  return { checks: last?.checks ?? [], point: last?.point ?? null };
}

interface Beside {
  readonly walk: Walked;
  readonly retained?: boolean;
}

export function judgeHead(
  question: Question,
  head: Head,
  { walk, retained = false }: Beside,
): Found {
  const { input, memory, source, startedAt, wanted } = question;
  const headMs = input.clock.monotonicMs() - startedAt;
  const { via, name } = source;
  // Check 13: what was asked for by digest or number says nothing of where the tag stood.
  const shownAs = wanted === null ? name : `${name} as named`;
  const sourceHighest = wanted === null ? (memory.highest.get(name) ?? null) : null;
  const { envelope, manifestDigest, inline } = head;
  const offer = { envelope, roots: [], walked: walk.rows, via, sourceHighest, retained };
  const verdict = verifyStatement(offer, input.trusted());
  const judged = foundOf(verdict, source, { source, manifestDigest, inline, startedAt, headMs });
  const found = walk.unkept ? untilKept(judged, walk.unkept) : judged;
  // Only signed points count: an unsigned one could make honest ones look old.
  const point = 'state' in verdict ? verdict.state.point : verdict.offered;
  const before = memory.highest.get(shownAs) ?? null;
  if (point && (!before || comparePoints(point, before) > 0)) memory.highest.set(shownAs, point);
  return noted(question, found, { checks: verdict.checks, point });
}

/** A verdict by a root that is older than what was offered is not the last word. */
function untilKept(found: Found, fault: Fault): Found {
  if (found.kind !== 'refused' && found.kind !== 'waiting') return found;
  return { ...found, kind: 'waiting', fault, attack: false };
}

export function again(question: Question, { found, seen }: Settled): Found {
  const name = question.source.name;
  const repeated = { ...found, source: name, ...('again' in found ? { again: true } : {}) };
  return noted(question, repeated, seen);
}

/** Kept for `explain`. */
export function noted(
  { input, memory, source, wake }: Question,
  found: Found,
  seen: Partial<Look> = {},
): Found {
  memory.last = { ...lookAt(input.clock, wake, source.name, found), ...seen };
  return found;
}

export function lookAt(clock: Clock, wake: Wake, source: string, found: Found): Look {
  const why = 'fault' in found ? found.fault : null;
  const at = clock.wallMs();
  const nothing = { checks: [], point: null };
  return { at, wake: wake.kind, source, result: found.kind, fault: why, ...nothing };
}

export function remember({ settled }: Memory, digest: Digest, entry: Settled): void {
  settled.delete(digest);
  settled.set(digest, entry);
  const oldest = settled.keys().next().value;
  if (settled.size > LIMITS.refusedRemembered && oldest) settled.delete(oldest);
}

export interface Settled {
  /** what trust looked at beside the bytes: another key means a new look */
  readonly key: string;
  readonly found: Exclude<Found, { kind: 'candidate' | 'unreachable' }>;
  /** for `explain` when it comes again */
  readonly seen: Pick<Look, 'checks' | 'point'>;
}

/** DESIGN section 5: refusals are keyed with root version, epoch and time grade; ours also with what the owner set and what was attested. */
export function keyOf(trusted: Trusted): string {
  const { root, channel, time, clock, device, floor, attestation = null } = trusted;
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
    attestation?.atMs ?? 0,
    attestation?.head?.digest ?? '',
  ]);
}

export function foundOf(
  verdict: Verdict,
  { name, via }: Pick<Source, 'name' | 'via'>,
  from: Pick<Candidate, 'source' | 'manifestDigest' | 'inline' | 'startedAt' | 'headMs'>,
): Found {
  switch (verdict.kind) {
    case 'current':
      return { kind: 'current', source: name };
    case 'accept':
    case 'resume': {
      const { state, envelope, freshness, checks } = verdict;
      const candidate = { state, envelope, freshness, checks, via, ...from };
      return { kind: 'candidate', candidate };
    }
    case 'waiting':
    case 'refused': {
      const { kind, fault, offered } = verdict;
      const attack = verdict.kind === 'refused' && verdict.attack;
      return { kind, fault, offered, via, attack, source: name, again: false };
    }
  }
}
