/**
 * What the broker brought whole (sources/mqtt-push.ts): every push that is held is judged at each
 * look. Anybody at the broker can send one, so one that is refused is told and dropped, and hides
 * neither an acceptable one nor what other sources have.
 */
import type { Pushed, PushSource } from '#sources/mqtt-push.ts';
import { comparePoints } from '#state/point.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { Trusted } from '#trust/verify.ts';
import { type Found, isAttack } from './found.ts';
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
import type { Walked } from './root-keeper.ts';

export interface PushJudging extends Judging {
  readonly pushes: PushSource;
}

export type Looking = Pick<Question, 'wake' | 'startedAt' | 'signal'>;

export interface FoundPushed {
  readonly found: Found;
  /** it has just come, or the wake was for nothing else: no source needs to be asked */
  readonly suffices: boolean;
}

/** All pushes that are held; the highest candidate is the answer. Null: none is held. */
export function findPushed(
  input: PushJudging,
  memory: Memory,
  looking: Looking,
): FoundPushed | null {
  const { pushes } = input;
  const question: Question = { input, memory, source: pushes, wanted: null, ...looking };
  // Root first, of every push: what one brings may be what another waits for.
  const walked = pushes.pending().map((pushed) => ({
    pushed,
    fresh: !memory.pushesSeen.has(pushed),
    walk: walkBeside(question, pushed.roots),
  }));
  const judged = walked.map((one) => ({ ...one, found: judgePushed(question, one) }));
  const best = judged.reduce<(typeof judged)[number] | null>(
    (best, next) => (best && !isHigher(next.found, best.found) ? best : next),
    null,
  );
  for (const { pushed, found } of judged) {
    memory.pushesSeen.add(pushed);
    if (pushed === best?.pushed && found.kind === 'candidate') pushes.keep(pushed);
    else if (found.kind !== 'waiting' && !isOwnedElsewhere(found)) pushes.drop(pushed);
    if (pushed !== best?.pushed && found.kind !== 'candidate') input.alsoFound(found);
  }
  if (!best) return null;
  const fresh = best.fresh && best.found.kind === 'candidate';
  const replaced = judged.some(({ walk }) => walk.replaced);
  return {
    found: best.found,
    suffices: fresh || (isOld(looking.wake, input.trusted()) && !replaced),
  };
}

/** Verified, and refused for what another channel has: that may be free later, and nobody sends it again. */
function isOwnedElsewhere(found: Found): boolean {
  return found.kind === 'refused' && found.fault.code === 'plan.conflict';
}

/** A push is judged once, like a head with its digest; roots alone say nothing of the channel. */
function judgePushed(
  question: Question,
  { pushed, walk }: { readonly pushed: Pushed; readonly walk: Walked },
): Found {
  const { memory, source, input } = question;
  const { head, retained } = pushed;
  if (!head) return noted(question, { kind: 'nothing', source: source.name });
  const known = memory.settled.get(head.manifestDigest);
  if (known && known.key === keyOf(input.trusted())) return again(question, known);
  const found = judgeHead(question, head, { walk, retained });
  settleFound(question, head.manifestDigest, { found, walk });
  return found;
}

/** What a candidate is worth against another find: its point; everything else, what it says. */
export function isHigher(found: Found, than: Found): boolean {
  if (found.kind === 'candidate' && than.kind === 'candidate') {
    return comparePoints(found.candidate.state.point, than.candidate.state.point) > 0;
  }
  return rankOf(found) > rankOf(than);
}

function rankOf(found: Found): number {
  return isAttack(found) ? RANK_OF_ATTACK : RANK[found.kind];
}

const RANK_OF_ATTACK = 4;
const RANK: Readonly<Record<Found['kind'], number>> = {
  candidate: 6,
  waiting: 5,
  refused: 3,
  current: 2,
  nothing: 1,
  unreachable: 0,
};

/** A nudge for what was accepted before: it came for what it carries. */
function isOld(wake: Wake, { floor }: Trusted): boolean {
  return wake.kind === 'nudge' && floor !== null && comparePoints(wake, floor) <= 0;
}

/** Only the broker can bring anything here, and it has not. */
export function nothingPushed(input: PushJudging, memory: Memory, wake: Wake): Found {
  const source = input.pushes.name;
  const { floor, appliedDigest } = input.trusted();
  const inForce = floor !== null && floor.stateDigest === appliedDigest;
  const found: Found = { kind: inForce ? 'current' : 'nothing', source };
  const { checks = [], point = null } = memory.last ?? {};
  memory.last = { ...lookAt(input.clock, wake, source, found), checks, point };
  return found;
}
