/**
 * The registries are asked for a channel's head. Which, and when:
 *
 * - a nudge that names a manifest: by its digest, in order, up to the first that has it;
 * - else, and when none has it, the channel's tag, in order, up to the first whose head counts and is
 *   not below what a nudge or a time authority named: an unchanged poll is one HEAD to one registry;
 * - at a start, at `holdfast apply` and once an hour the tag on all of them: the highest counts;
 * - when the tags stay below what was named: the lasting tag of that number, on each.
 *
 * One that does not answer in PATIENCE_MS is left for the next, and rests (mirrors.ts); only when
 * none answers are those asked again that rest, without haste: a slow link is a link. What a mirror
 * says ends its own turn alone: one that lags, lies or is down keeps nobody from the others.
 */
import { type Fault, fault } from '#errors/fault.ts';
import type { Source, Wanted } from '#sources/source.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Looking } from './find-pushed.ts';
import { type Found, isAttack, type Look } from './found.ts';
import {
  again,
  type Judging,
  judgeHead,
  keyOf,
  lookAt,
  type Memory,
  noted,
  type Question,
  settleFound,
  walkBeside,
} from './judge-head.ts';
import type { LongLag, Mirrors, SignedPoint } from './mirrors.ts';

export interface FetchJudging extends Judging {
  readonly sources: readonly Source[];
  /** default: nothing is known of them, and each is asked without haste */
  readonly mirrors?: Mirrors;
  /** A mirror has lagged for long: told once, until it has caught up. */
  lagging?(lag: LongLag): void;
}

/** ms for one mirror while there are others */
export const PATIENCE_MS = 30_000;
/** ms for one that is asked although another has answered: what was found waits no longer */
const ROUND_PATIENCE_MS = 10_000;
/** ms for one that is the last hope: a manifest and an envelope at the speed of a modem */
const HEAD_MAX_MS = 15 * 60_000;

/** What the mirror holds is not what is wanted; another one may have it. All else each of them has. */
const OF_THE_MIRROR: ReadonlySet<string> = new Set([
  'source.stale',
  'trust.rollback',
  'trust.equivocation',
  'trust.epoch',
  'trust.expired',
  'trust.root-missing',
  'trust.wrong-channel',
  'trust.wrong-fleet',
]);

interface Search {
  readonly input: FetchJudging;
  readonly memory: Memory;
  readonly looking: Looking;
  /** what a nudge or a time authority says is there; null: nothing above what was accepted */
  readonly named: SignedPoint | null;
  /** all of them are asked by the tag */
  readonly round: boolean;
  /** given up after PATIENCE_MS */
  readonly slow: Set<Source>;
  best: { readonly found: Found; readonly look: Look | null } | null;
}

export async function findFetched(
  input: FetchJudging,
  memory: Memory,
  looking: Looking,
): Promise<Found> {
  const { sources, mirrors, clock } = input;
  const { wake } = looking;
  const channel = input.trusted().channel;
  const asked = wake.kind === 'start' || wake.kind === 'command';
  const round = sources.length > 1 && (asked || mirrors?.roundDue(channel) === true);
  const named = namedBy(input, looking);
  const search: Search = { input, memory, looking, named, round, slow: new Set(), best: null };
  const split = mirrors?.due(sources) ?? { due: sources, resting: [] };
  // An operator who asks means now.
  const due = wake.kind === 'command' ? sources : split.due;
  const alone = sources.length === 1;
  await askAll(search, alone ? sources : due, alone ? HEAD_MAX_MS : PATIENCE_MS);
  if (!alone) await askTheRest(search, due);
  if (round) mirrors?.roundDone(channel);
  tellLagging(search, channel);
  const { best } = search;
  if (!best) return noSource(search);
  memory.last = best.look ?? lookAt(clock, wake, '', best.found);
  return best.found;
}

/** Nobody had an answer: those that rest, then those that were too slow, as long as they take. */
async function askTheRest(search: Search, asked: readonly Source[]): Promise<void> {
  const { sources } = search.input;
  const resting = sources.filter((source) => !asked.includes(source));
  if (!isAnswered(search)) await askAll(search, resting, PATIENCE_MS);
  const slow = sources.filter((source) => search.slow.has(source));
  if (!isAnswered(search)) await askAll(search, slow, HEAD_MAX_MS);
}

function isAnswered({ best }: Search): boolean {
  return best !== null && answers(best.found);
}

function noSource({ input, memory, looking }: Search): Found {
  const none = fault('agent.no-source', {});
  const found: Found = { kind: 'unreachable', fault: none, source: '' };
  memory.last = lookAt(input.clock, looking.wake, '', found);
  return found;
}

/** Unsigned or of another signer: it only says what is worth asking for. */
function namedBy(input: FetchJudging, { wake }: Looking): SignedPoint | null {
  const { floor, attestation = null } = input.trusted();
  const above = [wake.kind === 'nudge' ? wake : null, attestation?.head ?? null].filter(
    (point) => point !== null && (floor === null || comparePoints(point, floor) > 0),
  );
  return above.reduce<SignedPoint | null>(
    (best, next) => (best && next && comparePoints(best, next) >= 0 ? best : next),
    null,
  );
}

/** By the nudge's digest on every mirror first, then by the tag, then by the number. */
async function askAll(
  search: Search,
  sources: readonly Source[],
  patienceMs: number,
): Promise<void> {
  const { looking, named, round } = search;
  const { wake, signal } = looking;
  const digest = wake.kind === 'nudge' ? wake.manifestDigest : null;
  const ways: readonly Wanted[] = [digest, null, named].filter(
    (way, index) => index === 1 || way !== null,
  );
  for (const wanted of ways) {
    const byTag = wanted === null;
    // What the tags said was not enough, or this is not asked at all.
    if (wanted !== null && typeof wanted === 'object' && reaches(search)) return;
    for (const source of sources) {
      if (signal.aborted) return;
      const mostMs = byTag && reaches(search) ? ROUND_PATIENCE_MS : patienceMs;
      const found = await askPatiently(search, source, wanted, mostMs);
      tellMirror(search, source, found, byTag);
      take(search, found);
      const enough = answers(found) && (!byTag || reaches(search));
      if (enough && !(byTag && round)) return;
    }
  }
}

/** The best so far counts, and nothing higher was named. */
function reaches({ best, named, input }: Search): boolean {
  if (!best || !answers(best.found)) return false;
  const point = pointOf(best.found, input);
  return named === null || (point !== null && comparePoints(point, named) >= 0);
}

function pointOf(found: Found, input: FetchJudging): SignedPoint | null {
  if (found.kind === 'candidate') return found.candidate.state.point;
  if (found.kind === 'current') return input.trusted().floor;
  return 'offered' in found ? found.offered : null;
}

/** What one mirror said is an answer of the channel: authentic, and others have it as well. */
function answers(found: Found): boolean {
  switch (found.kind) {
    case 'candidate':
    case 'current':
      return true;
    case 'nothing':
    case 'unreachable':
      return false;
    case 'waiting':
      return !OF_THE_MIRROR.has(found.fault.code);
    case 'refused':
      return found.offered !== null && !OF_THE_MIRROR.has(found.fault.code);
  }
}

/** The better one stays; an attack or a lie of the other is told beside it. */
function take(search: Search, found: Found): void {
  const { input, memory, best } = search;
  const better = !best || rankOf(found) > rankOf(best.found) || isHigher(found, best.found);
  const other = better ? best?.found : found;
  if (better) search.best = { found, look: memory.last };
  if (other?.kind === 'refused' && other.fault.code !== 'source.stale') input.alsoFound(other);
}

function isHigher(found: Found, than: Found): boolean {
  if (found.kind !== 'candidate' || than.kind !== 'candidate') return false;
  return comparePoints(found.candidate.state.point, than.candidate.state.point) > 0;
}

/** What is wrong with one mirror says less than what another one has; an attack, more than a lie. */
function rankOf(found: Found): number {
  switch (found.kind) {
    case 'candidate':
      return 8;
    case 'waiting':
      return answers(found) ? 7 : 5;
    case 'current':
      return 6;
    case 'refused':
      if (answers(found)) return 7;
      if (isAttack(found)) return 4;
      return found.fault.code === 'source.stale' ? 1 : 3;
    case 'unreachable':
      return 2;
    case 'nothing':
      return 0;
  }
}

function tellMirror(
  { input, looking }: Search,
  { name }: Source,
  found: Found,
  byTag: boolean,
): void {
  const { mirrors } = input;
  if (!mirrors) return;
  if (found.kind === 'unreachable') mirrors.failed(name, found.fault);
  // Unread, or signed by nobody who counts: honest ones go first from now on.
  else if (found.kind === 'refused' && found.offered === null) mirrors.failed(name, found.fault);
  else mirrors.answered(name);
  if (!byTag) return;
  const { channel, floor } = input.trusted();
  const point = found.kind === 'current' ? floor && pointFrom(floor) : signedPoint(found);
  if (point) {
    mirrors.showed(name, channel, point, { startedAt: looking.startedAt, accepted: floor });
  }
}

function signedPoint(found: Found): Point | null {
  if (found.kind === 'candidate') return found.candidate.state.point;
  return 'offered' in found ? found.offered : null;
}

function pointFrom({
  epoch,
  sequence,
  stateDigest,
}: NonNullable<ReturnType<Judging['trusted']>['floor']>): Point {
  return { epoch, sequence, digest: stateDigest };
}

function tellLagging({ input }: Search, channel: string): void {
  const { floor } = input.trusted();
  for (const lag of input.mirrors?.lagNews(channel, floor) ?? []) input.lagging?.(lag);
}

/** One question to one mirror, ended when it takes too long. */
async function askPatiently(
  { input, memory, looking, slow }: Search,
  source: Source,
  wanted: Wanted,
  patienceMs: number,
): Promise<Found> {
  const late = new AbortController();
  const cancel = input.clock.after(patienceMs, () => late.abort());
  const signal = AbortSignal.any([looking.signal, late.signal]);
  const question: Question = { input, memory, source, wanted, ...looking, signal };
  const found = await ask(question);
  cancel();
  const gave = late.signal.aborted && found.kind === 'unreachable' && !looking.signal.aborted;
  if (!gave) return found;
  const why = fault('source.slow', { source: source.name, ms: patienceMs });
  slow.add(source);
  return noted(question, unreachable(source, why));
}

/** By the digest that a nudge named, by a number, or by the tag. */
async function ask(question: Question): Promise<Found> {
  const { input, memory, source, wanted, signal } = question;
  if (wanted === null && memory.settled.size > 0) {
    const peeked = await source.peek(signal);
    if (!peeked.ok) return noted(question, unreachable(source, peeked.fault));
    const known = peeked.value && memory.settled.get(peeked.value);
    if (known && known.key === keyOf(input.trusted())) return again(question, known);
  }
  const head = await source.head(wanted, signal);
  if (!head.ok) return noted(question, failedHead(source, head.fault));
  if (!head.value) return noted(question, { kind: 'nothing', source: source.name });
  const walk = walkBeside(question, head.value.roots);
  const found = judgeHead(question, head.value, { walk });
  settleFound(question, head.value.manifestDigest, { found, walk });
  return found;
}

/** A head that could not be read: whether that is a refusal or a link that may come back. */
export function failedHead(source: Source, why: Fault): Found {
  if (why.code.startsWith('link.') || why.retry === 'later') return unreachable(source, why);
  const { name, via } = source;
  const none = { offered: null, attack: false, again: false };
  return { kind: 'refused', fault: why, via, source: name, ...none };
}

function unreachable({ name }: Source, why: Fault): Found {
  return { kind: 'unreachable', fault: why, source: name };
}
