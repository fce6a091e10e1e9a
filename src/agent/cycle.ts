/**
 * One change as six calls: wake → head → verify → plan → apply → report. It ends applied, refused
 * (code) or waiting (reason), and says which. Reporting only queues; delivery is its own task.
 */

import type { Change, Outcome } from '#apply/transaction.ts';
import type { Fault, Result } from '#errors/fault.ts';
import { comparePoints, type Point, pointText } from '#state/point.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { Deferral } from './deferral.ts';
import type { Finder } from './find.ts';
import type { Follower } from './follow.ts';
import type { Candidate, Found } from './found.ts';
import type { Runner } from './runner.ts';

export type CycleEnd =
  | { readonly kind: 'applied'; readonly point: Point; readonly tookMs: number }
  /** the head is applied already; nothing was written */
  | { readonly kind: 'unchanged'; readonly source: string }
  | { readonly kind: 'nothing'; readonly source: string }
  | { readonly kind: 'refused'; readonly fault: Fault; readonly offered: string }
  | { readonly kind: 'waiting'; readonly fault: Fault; readonly offered: string }
  | { readonly kind: 'superseded'; readonly offered: string }
  | { readonly kind: 'unreachable'; readonly fault: Fault };

export interface CycleParts {
  readonly follower: Follower;
  readonly finder: Finder;
  readonly runner: Runner;
  /** spread and windows */
  readonly deferral: Pick<Deferral, 'barred'>;
  /** documents, plan, room, blobs */
  makeChange(candidate: Candidate, signal: AbortSignal): Promise<Result<Change>>;
  /** The status has something new to tell. */
  changed(): void;
  monotonicMs(): number;
}

export interface Cycle {
  /** head and verify are done: another wake may be looked at */
  readonly found: Promise<Found>;
  readonly ended: Promise<CycleEnd>;
}

export function startCycle(parts: CycleParts, wake: Wake, signal: AbortSignal): Cycle {
  const found = parts.finder.find(wake, signal); // head, verify
  return {
    found,
    ended: found.then((what) => follow(parts, wantedNow(what, wake))),
  };
}

/** `apply --now`: whoever stands before the machine has decided. */
function wantedNow(found: Found, wake: Wake): Found {
  if (found.kind !== 'candidate' || !('now' in wake) || !wake.now) return found;
  return { ...found, candidate: { ...found.candidate, now: true } };
}

/** A statement that is on disk already: after a cut, after a hold, for another try. */
export function resumeFrom(parts: CycleParts, candidate: Found): Promise<CycleEnd> {
  return follow(parts, candidate);
}

async function follow(parts: CycleParts, found: Found): Promise<CycleEnd> {
  if (found.kind !== 'candidate') return ended(parts, found);
  const { candidate } = found;
  if (isOvertaken(parts, candidate)) return { kind: 'superseded', offered: textOf(candidate) };
  const barred = parts.follower.barred(candidate) ?? parts.deferral.barred(candidate);
  if (barred) return notMade(parts, candidate, barred);
  const end = await parts.runner.run({
    point: candidate.state.point,
    manifestDigest: candidate.manifestDigest,
    make: (signal) => parts.makeChange(candidate, signal), // plan
  }); // apply
  if (end.kind === 'superseded') return { kind: 'superseded', offered: textOf(candidate) };
  // Overtaken while it waited: no refusal, whatever it would be judged now.
  const overtaken = end.kind === 'not-made' && end.fault.code === 'apply.superseded';
  if (overtaken) return { kind: 'superseded', offered: textOf(candidate) };
  if (end.kind === 'not-made') return notMade(parts, candidate, end.fault);
  return report(parts, candidate, end.outcome);
}

/**
 * Something newer was accepted while it was looked for: it waits for nothing, and nobody is told that it
 * does. Everything else is overtaken.ts, when its turn comes.
 */
function isOvertaken({ follower }: CycleParts, { state }: Candidate): boolean {
  const { floor } = follower.row();
  return floor !== null && comparePoints(state.point, floor) < 0;
}

function ended(parts: CycleParts, found: Exclude<Found, { kind: 'candidate' }>): CycleEnd {
  if (parts.follower.note(found)) parts.changed();
  switch (found.kind) {
    case 'current':
      return { kind: 'unchanged', source: found.source };
    case 'nothing':
      return { kind: 'nothing', source: found.source };
    case 'unreachable':
      return { kind: 'unreachable', fault: found.fault };
    case 'refused':
    case 'waiting': {
      const offered = found.offered ? pointText(found.offered) : 'unread';
      return { kind: found.kind, fault: found.fault, offered };
    }
  }
}

function notMade(parts: CycleParts, candidate: Candidate, fault: Fault): CycleEnd {
  parts.follower.noteFault(fault, candidate.state.point, candidate.via);
  parts.changed();
  const refused = fault.retry === 'never';
  if (refused) parts.finder.refuse(candidate, fault);
  return { kind: refused ? 'refused' : 'waiting', fault, offered: textOf(candidate) };
}

function report(parts: CycleParts, candidate: Candidate, outcome: Outcome): CycleEnd {
  const offered = textOf(candidate);
  parts.changed();
  switch (outcome.kind) {
    case 'applied': {
      if (candidate.manifestDigest) parts.finder.settle(candidate.manifestDigest);
      const tookMs = Math.round(parts.monotonicMs() - candidate.startedAt);
      return { kind: 'applied', point: candidate.state.point, tookMs };
    }
    case 'superseded':
      return { kind: 'superseded', offered };
    case 'rejected':
      // Whoever has to act: this state does not come again.
      parts.finder.refuse(candidate, outcome.fault);
      parts.follower.noteRefusal(outcome.fault, candidate.state.point, candidate.via);
      return { kind: 'refused', fault: outcome.fault, offered };
    case 'waiting':
    case 'stuck':
      parts.follower.noteFault(outcome.fault, candidate.state.point, candidate.via);
      return { kind: 'waiting', fault: outcome.fault, offered };
  }
}

function textOf({ state }: Candidate): string {
  return pointText(state.point);
}
