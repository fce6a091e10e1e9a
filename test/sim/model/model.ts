/**
 * What must hold on a device whatever happens to it: I1 to I9 of the design, section 9, written from
 * there. The model is told what was published and asked for, and what the device says; it sees for
 * itself what is in force (seen.ts). It shares no code with the agent but types.
 */
import type { Status } from '#state/status.ts';
import { disagreement } from './matches.ts';
import { type PartsModel, partsModel } from './parts.ts';
import type { Seen } from './seen.ts';
import { NOTHING_WANTED, nameOf, type Statement, type Wanted } from './wanted.ts';

export interface Told {
  readonly floor: Numbered | null;
  readonly applied: Numbered | null;
  readonly phase: string;
  /** code of what it says that it waits for */
  readonly waitingFor: string | null;
  readonly held: boolean;
  readonly paused: boolean;
  readonly rootVersion: bigint;
  /** the number of this start */
  readonly boot: bigint;
}

export interface Numbered {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly digest: string;
}

export interface Violation {
  readonly invariant: string;
  readonly says: string;
}

export interface Model {
  readonly violations: Violation[];
  published(statement: Statement): void;
  /** the operator asked to go back: what was proven before may return */
  askedBack(): void;
  /**
   * The operator lets the device go on: what it accepted and never judged may be tried as often again.
   * @param digest  of that state
   */
  letGoOn(digest: string): void;
  /** The device says that it has rejected this state, for good. */
  rejected(digest: string): void;
  /** The disk refuses, or everything is being stopped: a try that ends so is not one. */
  excused(): void;
  /** Every fault is over: what is published from now on is not excused. */
  well(): void;
  /** somebody changed what is in force, by hand */
  meddled(): void;
  /** The agent says that recovery is over. @param sound  no trouble of the disk meanwhile */
  ready(seen: Seen, told: Told, sound: boolean): void;
  /** Nothing is under way. */
  calm(seen: Seen, told: Told): void;
  failedToStart(code: string, sound: boolean): void;
  broke(what: string): void;
  /** a target got the content of this text */
  switched(text: string): void;
  started(version: string): void;
  /** a status that the broker has; in the order in which it came */
  reported(status: Status): void;
  /** All faults are over and the device had its time. */
  end(seen: Seen, told: Told, head: Statement | null): void;
  /** One that knows the same, and has seen no violation. */
  copy(): Model;
}

interface Facts {
  readonly violations: Violation[];
  readonly statements: Statement[];
  floor: Numbered | null;
  /** the highest that was told as applied */
  applied: Numbered | null;
  rootVersion: bigint;
  wentBack: boolean;
  isMeddled: boolean;
  report: { boot: bigint; report: bigint; text: string } | null;
  lastEvent: bigint;
  readonly switches: Map<string, number>;
  readonly parts: PartsModel;
  /** starts that found a state whose proof was cut, by its digest */
  readonly takenUp: Map<string, number>;
  readonly rejections: Set<string>;
  isExcused: boolean;
  /** so many of the statements were published before all was well */
  excusedUpTo: number;
}

const NO_FACTS: Omit<
  Facts,
  'violations' | 'statements' | 'switches' | 'parts' | 'takenUp' | 'rejections'
> = {
  ...{ floor: null, applied: null, rootVersion: 0n, wentBack: false, isMeddled: false },
  ...{ report: null, lastEvent: 0n, isExcused: false, excusedUpTo: 0 },
};

/** @param known  goes on from there */
export function model(known?: Facts): Model {
  const violations: Violation[] = [];
  const facts: Facts = {
    ...(known ?? NO_FACTS),
    violations,
    parts: known?.parts.copy(violations) ?? partsModel(violations),
    statements: [...(known?.statements ?? [])],
    switches: new Map(known?.switches),
    takenUp: new Map(known?.takenUp),
    rejections: new Set(known?.rejections),
  };
  return {
    violations: facts.violations,
    published: (statement) => void facts.statements.push(statement),
    askedBack() {
      facts.wentBack = true;
    },
    letGoOn: (digest) => letGoOn(facts, digest),
    rejected: (digest) => void facts.rejections.add(digest),
    excused() {
      facts.isExcused = true;
    },
    well() {
      if (facts.isExcused) facts.excusedUpTo = facts.statements.length;
      facts.isExcused = false;
    },
    meddled() {
      facts.isMeddled = true;
    },
    ready(seen, told, sound) {
      checkTold(facts, told);
      checkStart(facts, seen, told);
      checkVerified(facts, seen);
      if (sound) checkWhole(facts, seen, told);
    },
    calm(seen, told) {
      checkTold(facts, told);
      checkVerified(facts, seen);
    },
    failedToStart(code, sound) {
      if (sound) fail(facts, 'I4', `the agent could not start: ${code}`);
    },
    broke: (what) => fail(facts, 'I4', `the agent broke: ${what}`),
    switched(text) {
      checkTries(facts, text);
    },
    started(version) {
      const known = facts.statements.some(
        ({ valid, wanted }) =>
          valid && wanted.programs.some((each) => each === version || each === `~${version}`),
      );
      if (!known) fail(facts, 'I3', `${version} was executed, and nobody who may signed it`);
    },
    reported: (status) => checkReport(facts, status),
    end: (seen, told, head) => checkEnd(facts, { seen, told, head }),
    copy: () => model(facts),
  };
}

function fail(facts: Facts, invariant: string, says: string): void {
  facts.violations.push({ invariant, says });
}

export function compare(a: Numbered | null, b: Numbered | null): number {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
  if (a.sequence !== b.sequence) return a.sequence < b.sequence ? -1 : 1;
  return 0;
}

function text(point: Numbered | null): string {
  return point === null ? 'nothing' : `${point.epoch}.${point.sequence}`;
}

/** I2, for the floor, the root and what was told as applied. */
function checkTold(facts: Facts, told: Told): void {
  if (compare(told.floor, facts.floor) < 0) {
    fail(facts, 'I2', `the floor went from ${text(facts.floor)} to ${text(told.floor)}`);
  }
  if (compare(told.floor, facts.floor) === 0 && told.floor?.digest !== facts.floor?.digest) {
    fail(facts, 'I2', `the floor ${text(told.floor)} became another statement`);
  }
  facts.floor = told.floor;
  if (told.rootVersion < facts.rootVersion) {
    fail(facts, 'I2', `the root went from ${facts.rootVersion} to ${told.rootVersion}`);
  }
  facts.rootVersion = told.rootVersion;
  if (compare(told.applied, facts.applied) < 0 && !facts.wentBack) {
    const went = `from ${text(facts.applied)} back to ${text(told.applied)}`;
    fail(facts, 'I2', `the applied state went ${went}, and nobody asked for it`);
  }
  if (compare(told.applied, facts.applied) > 0) facts.applied = told.applied;
  if (compare(told.applied, told.floor) > 0) {
    fail(facts, 'I2', `${text(told.applied)} is applied above the floor ${text(told.floor)}`);
  }
  const applied = told.applied && statementOf(facts, told.applied);
  if (applied?.bad) fail(facts, 'I6', `${nameOf(applied)} is applied, and is not healthy`);
  for (const point of [told.applied, told.floor]) {
    const statement = point && statementOf(facts, point);
    if (point && !statement?.valid) {
      fail(facts, 'I3', `${text(point)} was accepted, and nobody who may signed it`);
    }
  }
}

function statementOf({ statements }: Facts, point: Numbered): Statement | null {
  return statements.find(({ digest }) => digest === point.digest) ?? null;
}

/** I3: nothing that stands at a target or runs is of a state that nobody who may signed. */
function checkVerified(facts: Facts, seen: Seen): void {
  if (facts.isMeddled) return;
  const valid = facts.statements.filter((statement) => statement.valid);
  for (const [path, content] of seen.files) {
    if (valid.some(({ wanted }) => wanted.files[path] === content)) continue;
    fail(facts, 'I3', `${path} holds ${JSON.stringify(content.slice(0, 30))}, which nobody signed`);
  }
}

/** I1 and I5: recovery is over, the network was not asked, and a whole state is in force. */
function checkWhole(facts: Facts, seen: Seen, told: Told): void {
  if (facts.isMeddled || told.phase === 'stuck') return;
  const applied = told.applied ? statementOf(facts, told.applied) : null;
  const wanted: Wanted = applied?.wanted ?? NOTHING_WANTED;
  const why = disagreement(seen, wanted);
  if (why === null) return;
  if (facts.parts.mayBeMixed(facts.statements, told)) {
    facts.parts.seen({ seen, told, ...facts });
    return;
  }
  const floor = told.floor && statementOf(facts, told.floor);
  const proving = told.phase === 'proving' && floor !== null;
  if (proving && disagreement(seen, floor.wanted) === null) return;
  // A rollback that is being proven goes to a state below the floor.
  const back = told.phase === 'proving' && facts.wentBack;
  if (back && facts.statements.some((other) => disagreement(seen, other.wanted) === null)) return;
  const name = applied ? nameOf(applied) : 'nothing';
  const other = facts.statements.find(({ wanted: one }) => disagreement(seen, one) === null);
  const instead = other ? `, but ${nameOf(other)} whole` : '';
  fail(facts, 'I1', `phase ${told.phase}, applied ${name}: ${why}${instead}`);
}

/** I6: a state that does not prove itself is activated at most as often as it allows. */
function checkTries(facts: Facts, content: string): void {
  const statement = facts.statements.find(
    ({ bad, badIds, inParts, wanted }) =>
      (inParts ? badIds.includes('conf') : bad) && Object.values(wanted.files).includes(content),
  );
  if (!statement) return;
  if (facts.rejections.has(statement.digest)) {
    fail(facts, 'I6', `${nameOf(statement)} was rejected, and activated again`);
  }
  const times = (facts.switches.get(content) ?? 0) + 1;
  facts.switches.set(content, times);
  if (times === statement.attemptsMax + 1) {
    fail(facts, 'I6', `${nameOf(statement)} was activated ${times} times`);
  }
}

function letGoOn({ statements, switches, takenUp }: Facts, digest: string): void {
  const statement = statements.find((one) => one.digest === digest);
  for (const content of Object.values(statement?.wanted.files ?? {})) {
    const times = switches.get(content) ?? 0;
    if (statement && times >= statement.attemptsMax) switches.delete(content);
  }
  takenUp.delete(digest);
}

/** I8: a number of a start is used once. I6: a state whose proof is cut each time comes to its end. */
function checkStart(facts: Facts, seen: Seen, told: Told): void {
  if (facts.report && told.boot <= facts.report.boot) {
    fail(facts, 'I8', `start ${told.boot} came after reports of start ${facts.report.boot}`);
  }
  const statement = told.floor && statementOf(facts, told.floor);
  if (!statement || told.phase !== 'proving' || facts.isExcused) return;
  if (facts.statements.indexOf(statement) < facts.excusedUpTo) return;
  if (disagreement(seen, statement.wanted) !== null) return;
  const times = (facts.takenUp.get(statement.digest) ?? 0) + 1;
  facts.takenUp.set(statement.digest, times);
  if (times >= statement.attemptsMax) {
    fail(facts, 'I6', `${nameOf(statement)} was taken up by ${times} starts`);
  }
}

/** I8, and what was acknowledged: reports only grow, and no event is lost. */
function checkReport(facts: Facts, status: Status): void {
  const { boot, report } = status;
  const before = facts.report;
  if (before && (boot < before.boot || (boot === before.boot && report < before.report))) {
    fail(facts, 'I8', `report ${boot}.${report} came after ${before.boot}.${before.report}`);
  }
  const text = Bun.inspect(status, { depth: 9 });
  if (before && boot === before.boot && report === before.report && text !== before.text) {
    fail(facts, 'I8', `two reports have the number ${boot}.${report}`);
  }
  facts.report = { boot, report, text };
  let next = facts.lastEvent + 1n + status.eventsDropped;
  for (const { number } of status.events) {
    if (number > next && status.eventsDropped === 0n) {
      fail(facts, 'I8', `event ${next} was never delivered; ${number} came`);
    }
    if (number >= next) next = number + 1n;
  }
  const last = status.events.at(-1)?.number ?? 0n;
  if (last > facts.lastEvent) facts.lastEvent = last;
  const [channel] = status.channels;
  const desired = channel?.desired ?? null;
  if (desired && compare({ ...desired, digest: desired.stateDigest }, facts.floor) > 0) {
    facts.floor = { ...desired, digest: desired.stateDigest };
  }
}

/** A stick or a mirror may show for good what is for another device, or for a root that nobody makes. */
const FOR_OTHERS: ReadonlySet<string | null> = new Set([
  'trust.not-addressed',
  'trust.root-missing',
]);

function waitsForOthers({ phase, waitingFor, applied, floor }: Told): boolean {
  return phase === 'waiting' && FOR_OTHERS.has(waitingFor) && applied?.digest === floor?.digest;
}

interface End {
  readonly seen: Seen;
  readonly told: Told;
  readonly head: Statement | null;
}

/** I9: the newest acceptable state is in force, whole, and told. */
function checkEnd(facts: Facts, { seen, told, head }: End): void {
  checkTold(facts, told);
  facts.isMeddled = false;
  checkVerified(facts, seen);
  const applied = told.applied ? statementOf(facts, told.applied) : null;
  if (head && !head.bad && applied !== head) {
    const name = applied ? nameOf(applied) : 'nothing';
    fail(facts, 'I9', `${nameOf(head)} is the newest, ${name} is applied (${told.phase})`);
  }
  if (told.phase !== 'idle' && !waitsForOthers(told)) {
    const { phase, waitingFor } = told;
    fail(facts, 'I9', `the phase is ${phase} for good (${waitingFor ?? 'nothing waits'})`);
  }
  const why = disagreement(seen, applied?.wanted ?? NOTHING_WANTED);
  if (head?.inParts && head.bad && told.floor?.digest === head.digest && !told.held) {
    facts.parts.seen({ seen, told, ...facts });
    facts.parts.ended({ seen, told, ...facts }, head);
    return;
  }
  if (why !== null && facts.parts.mayBeMixed(facts.statements, told)) {
    facts.parts.seen({ seen, told, ...facts });
    return;
  }
  if (why !== null) fail(facts, 'I9', `applied ${applied ? nameOf(applied) : 'nothing'}: ${why}`);
}
