/**
 * From a wake to a verdict: what the broker brought whole (find-pushed.ts), else the registries are
 * asked for the channel's head (find-fetched.ts); each head is judged in judge-head.ts.
 */
import type { Fault } from '#errors/fault.ts';
import type { PushSource } from '#sources/mqtt-push.ts';
import type { LayoutSource } from '#sources/oci-layout.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { comparePoints, type Point } from '#state/point.ts';
import type { Via } from '#state/status.ts';
import type { Wake } from '#triggers/trigger.ts';
import { verifyStatement } from '#trust/verify.ts';
import { type FetchJudging, failedHead, findFetched } from './find-fetched.ts';
import { findPushed, isHigher, nothingPushed } from './find-pushed.ts';
import { type Candidate, type Found, isAttack, type Look } from './found.ts';
import {
  foundOf,
  judgeHead,
  keyOf,
  type Memory,
  noted,
  remember,
  seenIn,
  walkBeside,
} from './judge-head.ts';

export interface Finder {
  find(wake: Wake, signal: AbortSignal): Promise<Found>;
  /** The state behind this manifest is applied: its digest alone needs no second look. */
  settle(manifestDigest: Digest): void;
  /** A candidate that this device cannot apply: the same bytes are not tried again, nor do they hide others. */
  refuse(candidate: Candidate, why: Fault): void;
  /** Judges a statement that is on disk already (a state to resume). */
  judge(envelope: Envelope, via: Via, startedAt: number): Found;
  forget(): void;
  lastLook(): Look | null;
  /** The highest verified point that any source showed, acceptable or not. */
  highest(): Point | null;
}

export interface FinderInput extends FetchJudging {
  /** what the broker brought whole; null: there is no broker */
  readonly pushes: PushSource | null;
  /** opens a bundle named by `holdfast apply` */
  bundle(path: string): LayoutSource;
  /** a time statement that a bundle brought */
  timed?(statement: Uint8Array): void;
}

export function finder(input: FinderInput): Finder {
  const memory: Memory = {
    settled: new Map(),
    highest: new Map(),
    pushesSeen: new WeakSet(),
    last: null,
  };
  return {
    find: (wake, signal) => find(input, memory, wake, signal),
    settle(manifestDigest) {
      const entry = {
        key: keyOf(input.trusted()),
        found: { kind: 'current', source: '' },
        seen: seenIn(memory),
      } as const;
      remember(memory, manifestDigest, entry);
    },
    refuse({ manifestDigest, via, source, state }, why) {
      if (!manifestDigest) return;
      const told = { offered: state.point, attack: false, again: false };
      const found = {
        kind: 'refused',
        fault: why,
        via,
        source: source?.name ?? '',
        ...told,
      } as const;
      const key = keyOf(input.trusted());
      remember(memory, manifestDigest, { key, found, seen: seenIn(memory) });
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
    highest: () =>
      [...memory.highest.values()].reduce<Point | null>(
        (best, next) => (best && comparePoints(best, next) >= 0 ? best : next),
        null,
      ),
  };
}

async function find(
  input: FinderInput,
  memory: Memory,
  wake: Wake,
  signal: AbortSignal,
): Promise<Found> {
  const startedAt = input.clock.monotonicMs();
  if (wake.kind === 'bundle') return findInBundle(input, memory, wake, signal);
  const { pushes } = input;
  const looking = { wake, startedAt, signal };
  const pushed = pushes ? findPushed({ ...input, pushes }, memory, looking) : null;
  if (pushed && (pushed.suffices || input.sources.length === 0)) return pushed.found;
  if (pushes && input.sources.length === 0)
    return nothingPushed({ ...input, pushes }, memory, wake);
  const fetched = await findFetched(input, memory, looking);
  if (!pushed) return fetched;
  const pushedWins = winsOver(pushed.found, fetched);
  const [found, other] = pushedWins ? [pushed.found, fetched] : [fetched, pushed.found];
  if (other.kind !== 'candidate') input.alsoFound(other);
  return found;
}

/** The one that loses is told first, so what wins is what stays told. */
function winsOver(pushed: Found, fetched: Found): boolean {
  const counts = pushed.kind === 'candidate' || (isAttack(pushed) && fetched.kind === 'refused');
  return counts && !isHigher(fetched, pushed);
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
  // First: what it says may be what a state beside it waits for.
  for await (const statement of source.times(signal)) input.timed?.(statement);
  for await (const head of source.heads(signal)) {
    const next = head.ok
      ? judgeHead(question, head.value, { walk: walkBeside(question, head.value.roots) })
      : noted(question, failedHead(source, head.fault));
    if (next.kind === 'candidate' || next.kind === 'current') return next;
    const foreign = 'fault' in next && next.fault.code === 'trust.wrong-channel';
    if (found.kind === 'nothing' || !(foreign || isAttack(found))) found = next;
  }
  return found;
}
