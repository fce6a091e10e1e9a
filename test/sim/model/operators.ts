/**
 * What an operator asked for, and was told is done, holds until the operator takes it back: over
 * restarts, power cuts and whatever is published meanwhile. While changes are barred nothing new is
 * accepted, and what runs is not stopped. Written from the promises of docs/operate.md; a request whose
 * answer never came may hold or not, and is known when the device next says.
 */
import { compare, type Numbered, type Told, type Violation } from './model.ts';

export type Request = 'pause' | 'resume' | 'rollback';

export interface Operators {
  /** Before the answer: from now on it may be in force. */
  asked(what: Request): void;
  /** @param steady  processes that do not end by themselves, when nothing was under way */
  answered(what: Request, done: boolean, told: Told, steady: readonly number[]): void;
  /** The agent says this now. @param living  every process of the device */
  seen(told: Told, living: ReadonlySet<number>): void;
  /** A target got other content. */
  switched(text: string): void;
  /** Processes may be missing from here on for another reason than the agent. */
  disturbed(): void;
  /** `stop` was asked for: from here on programs end. */
  stopping(): void;
  /** Another start of the agent: nothing that was asked is under way any more. */
  started(): void;
  /** Everything was stopped, and the agent has ended. @param living  what still runs */
  stopped(living: readonly string[]): void;
  /** One that knows the same, and tells other violations. */
  copy(violations: Violation[]): Operators;
}

type Known<T> = T | 'open';

interface Facts {
  readonly fail: (says: string) => void;
  paused: Known<boolean>;
  /** digest of the state that is held */
  held: Known<string | null>;
  floor: Numbered | null;
  steady: readonly number[];
  /** the pause began in calm: nothing is switched until it ends */
  calm: boolean;
  rollingBack: boolean;
  stopping: boolean;
}

/** @param known  goes on from there */
export function operators(violations: Violation[], known?: Facts): Operators {
  const facts: Facts = {
    ...{ paused: false, held: null, floor: null, steady: [], calm: false, rollingBack: false },
    stopping: false,
    ...known,
    fail: (says) => void violations.push({ invariant: 'operator', says }),
  };
  return {
    asked: (what) => asked(facts, what),
    answered: (what, done, told, steady) => answered(facts, { what, done, told, steady }),
    seen: (told, living) => seen(facts, told, living),
    switched(text) {
      if (facts.paused !== true || !facts.calm) return;
      facts.fail(`paused, and ${JSON.stringify(text.slice(0, 20))} was brought into force`);
    },
    disturbed() {
      facts.steady = [];
    },
    stopping() {
      facts.stopping = true;
      facts.steady = [];
    },
    started() {
      facts.stopping = false;
      facts.rollingBack = false;
    },
    stopped(living) {
      if (living.length > 0) facts.fail(`everything was stopped, and ${living.join(', ')} runs`);
    },
    copy: (others) => operators(others, facts),
  };
}

function asked(facts: Facts, what: Request): void {
  if (what !== 'rollback') facts.paused = 'open';
  if (what !== 'pause') facts.held = 'open';
  if (what === 'pause') return;
  facts.steady = [];
  facts.calm = false;
  if (what === 'rollback') facts.rollingBack = true;
}

interface Answer {
  readonly what: Request;
  readonly done: boolean;
  readonly told: Told;
  readonly steady: readonly number[];
}

function answered(facts: Facts, { what, done, told, steady }: Answer): void {
  if (what === 'rollback') facts.rollingBack = false;
  if (!done) return;
  facts.floor = told.floor;
  if (what === 'rollback') {
    facts.held = told.applied?.digest ?? null;
    return;
  }
  facts.paused = what === 'pause';
  // A rollback that is under way holds when it ends.
  if (what === 'resume') facts.held = told.phase === 'idle' && !facts.rollingBack ? null : 'open';
  const calm = what === 'pause' && told.phase === 'idle' && !facts.rollingBack;
  facts.calm = calm;
  facts.steady = calm && !facts.stopping ? steady : [];
}

function seen(facts: Facts, told: Told, living: ReadonlySet<number>): void {
  if (facts.paused === 'open') {
    facts.paused = told.paused;
    facts.floor = told.floor;
  }
  if (facts.paused !== told.paused) {
    facts.fail(told.paused ? 'paused, and nobody asked for it' : 'a pause ended by itself');
  }
  seenHold(facts, told);
  const barred = facts.paused === true || typeof facts.held === 'string';
  if (!barred || facts.held === 'open') facts.floor = told.floor;
  if (compare(told.floor, facts.floor) > 0) {
    const why = facts.paused === true ? 'paused' : 'held';
    facts.fail(`${why}, and ${told.floor?.epoch}.${told.floor?.sequence} was accepted`);
  }
  const gone = facts.steady.filter((pid) => !living.has(pid));
  if (gone.length > 0) facts.fail(`paused, and process ${gone.join(', ')} was stopped`);
}

function seenHold(facts: Facts, told: Told): void {
  if (told.phase !== 'idle' || facts.rollingBack) return;
  const digest = told.applied?.digest ?? null;
  if (facts.held === 'open') facts.held = told.held ? digest : null;
  if ((facts.held !== null) !== told.held) {
    facts.fail(told.held ? 'held, and nobody asked for it' : 'a hold ended by itself');
  } else if (facts.held !== null && facts.held !== digest) {
    facts.fail(`held at ${facts.held.slice(7, 13)}, and ${digest?.slice(7, 13)} is applied`);
  }
}
