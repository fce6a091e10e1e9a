/**
 * What must hold on a device that follows several channels, whatever happens to it: for each channel
 * its whole old or new state, its floor, and nothing beyond what its owner and its signed policy let it
 * do; between channels, that none touches what another one has. Written from FORMATS (Words) and
 * docs/operate.md; it shares no code with the agent but types. When what begins: field-timing.ts;
 * what is paused: field-pauses.ts.
 */
import type { Digest } from '#state/digest.ts';
import { type Pauses, pauses } from './field-pauses.ts';
import { type Timing, timing } from './field-timing.ts';
import type { FieldTold } from './field-told.ts';
import { type FieldStatement, fieldNameOf } from './field-wanted.ts';
import { disagreement } from './matches.ts';
import { compare, type Numbered, type Violation } from './model.ts';
import type { Seen } from './seen.ts';
import type { Wanted } from './wanted.ts';

/** One line of the device's history, oldest first. */
export interface Applied {
  readonly number: bigint;
  readonly channel: string;
  /** `1.57` */
  readonly point: string;
  /** `applied`, `rolled-back`: in force from here on; anything else: no longer */
  readonly inForce: boolean;
}

export interface FieldSeen extends Seen {
  /** what programs were told as serial number */
  readonly serials: readonly string[];
  readonly told: readonly FieldTold[];
  readonly history: readonly Applied[];
  readonly rootVersion: bigint;
  /** ms of the run */
  readonly now: number;
}

export interface FieldModel {
  readonly violations: Violation[];
  readonly timing: Timing;
  readonly pauses: Pauses;
  published(statement: FieldStatement): void;
  valuesPublished(serial: string): void;
  /** only on a stick, and nobody has said yes */
  asksFor(digest: Digest): void;
  consented(digest: Digest): void;
  askedBack(channel: string): void;
  forgetting(channel: string, what: 'asked' | 'done' | 'refused'): void;
  /** Somebody else ended a program: until the next start it may be away for a while. */
  disturbed(): void;
  /** Recovery is over. @param followed  by agent.yaml  @param sound  no trouble of the disk meanwhile */
  ready(seen: FieldSeen, followed: readonly string[], sound: boolean): void;
  /** @param still  nothing is under way */
  looked(seen: FieldSeen, still: boolean): void;
  failedToStart(code: string, sound: boolean): void;
  broke(what: string): void;
  /** A living agent put this text at a target. */
  switched(text: string): void;
  /** All faults are over and the device had its time. */
  end(seen: FieldSeen, heads: ReadonlyMap<string, FieldStatement>): void;
  copy(): FieldModel;
}

interface OfChannel {
  floor: Numbered | null;
  wentBack: boolean;
  /** of the last line of history that brought something into force */
  inForce: { readonly number: bigint; readonly statement: FieldStatement } | null;
  /** it was not followed for a while since then */
  wasLeft: boolean;
}

interface Facts {
  readonly violations: Violation[];
  readonly statements: FieldStatement[];
  readonly channels: Map<string, OfChannel>;
  /** ids that states of others have taken since something of a channel came into force */
  readonly taken: Map<string, Set<string>>;
  readonly serials: string[];
  readonly unsaid: Set<Digest>;
  readonly forgetting: Set<string>;
  followed: readonly string[];
  disturbed: boolean;
  rootVersion: bigint;
  history: bigint;
}

export function fieldModel(
  known?: Facts,
  parts?: Pick<FieldModel, 'timing' | 'pauses'>,
): FieldModel {
  const facts = known ? copied(known) : NOTHING();
  const fail = (invariant: string, says: string): void => {
    facts.violations.push({ invariant, says });
  };
  const when = parts?.timing.copy(fail) ?? timing(fail);
  const paused = parts?.pauses.copy(fail) ?? pauses(fail);
  const self: FieldModel = {
    violations: facts.violations,
    timing: when,
    pauses: paused,
    published(statement) {
      facts.statements.push(statement);
      when.published(statement);
    },
    valuesPublished: (serial) => void facts.serials.push(serial),
    asksFor: (digest) => void facts.unsaid.add(digest),
    consented: (digest) => void facts.unsaid.delete(digest),
    askedBack(channel) {
      of(facts, channel).wentBack = true;
      paused.askedBack(channel);
    },
    forgetting(channel, what) {
      if (what === 'asked') facts.forgetting.add(channel);
      if (what === 'refused') facts.forgetting.delete(channel);
      if (what !== 'done') return;
      forgotten(facts, channel);
      paused.forgotten(channel);
    },
    disturbed() {
      facts.disturbed = true;
    },
    ready(seen, followed, sound) {
      facts.disturbed = false;
      follow(facts, followed);
      look(facts, self, seen);
      checkLeft(facts, seen);
      if (sound) checkWhole(facts, seen, 'I1');
    },
    looked(seen, still) {
      look(facts, self, seen);
      if (still) checkWhole(facts, seen, 'I1');
    },
    failedToStart(code, sound) {
      if (sound) fail('I4', `the agent could not start: ${code}`);
    },
    broke: (what) => fail('I4', `the agent broke: ${what}`),
    switched: (text) => switched(facts, self, text),
    end: (seen, heads) => checkEnd(facts, self, { seen, heads }),
    copy: () => fieldModel(facts, self),
  };
  return self;
}

const NOTHING = (): Facts => ({
  ...{ violations: [], statements: [], channels: new Map(), taken: new Map(), serials: [] },
  ...{ unsaid: new Set(), forgetting: new Set(), followed: [], disturbed: false },
  ...{ rootVersion: 0n, history: 0n },
});

function copied(known: Facts): Facts {
  return {
    ...known,
    violations: [],
    statements: [...known.statements],
    channels: new Map([...known.channels].map(([name, facts]) => [name, { ...facts }])),
    taken: new Map([...known.taken].map(([name, ids]) => [name, new Set(ids)])),
    serials: [...known.serials],
    unsaid: new Set(known.unsaid),
    forgetting: new Set(known.forgetting),
  };
}

function of({ channels }: Facts, channel: string): OfChannel {
  const found = channels.get(channel) ?? {
    ...{ floor: null, wentBack: false, inForce: null, wasLeft: false },
  };
  channels.set(channel, found);
  return found;
}

function forgotten(facts: Facts, channel: string): void {
  facts.forgetting.delete(channel);
  facts.channels.delete(channel);
  facts.taken.delete(channel);
}

function follow(facts: Facts, followed: readonly string[]): void {
  facts.followed = followed;
  for (const [name, channel] of facts.channels) {
    if (!followed.includes(name)) channel.wasLeft = true;
  }
}

/** What a channel left here is told until somebody decides. */
function checkLeft(facts: Facts, { told }: FieldSeen): void {
  for (const [channel, { inForce }] of facts.channels) {
    if (facts.followed.includes(channel) || facts.forgetting.has(channel) || !inForce) continue;
    const taken = facts.taken.get(channel);
    const left = Object.keys(inForce.statement.pieces).filter((id) => !taken?.has(id));
    if (left.length === 0 || told.some((one) => one.orphaned && one.channel === channel)) continue;
    facts.violations.push({ invariant: 'I8', says: `${channel} left ${left.join(', ')}, untold` });
  }
}

function statementOf({ statements }: Facts, { digest }: Numbered): FieldStatement | null {
  return statements.find((statement) => statement.digest === digest) ?? null;
}

function text(point: Numbered | null): string {
  return point === null ? 'nothing' : `${point.epoch}.${point.sequence}`;
}

/** What the device says, against what it said before and what it may accept. */
function look(
  facts: Facts,
  { violations, timing: when, pauses: paused }: FieldModel,
  seen: FieldSeen,
) {
  learn(facts, seen.history);
  if (seen.rootVersion < facts.rootVersion) {
    const says = `the root went from ${facts.rootVersion} to ${seen.rootVersion}`;
    violations.push({ invariant: 'I2', says });
  }
  facts.rootVersion = seen.rootVersion;
  const left = seen.told.filter(({ orphaned }) => orphaned).map(({ channel }) => channel);
  for (const channel of [...facts.forgetting]) {
    if (left.includes(channel)) continue;
    facts.forgetting.delete(channel);
    // Followed again before it was done: it has what it had.
    if (seen.told.some((told) => told.channel === channel && told.applied !== null)) continue;
    forgotten(facts, channel);
    paused.forgotten(channel);
  }
  for (const told of seen.told) {
    if (told.orphaned || !facts.followed.includes(told.channel)) continue;
    checkTold(facts, told);
    paused.seen(told);
    const applied = told.applied && statementOf(facts, told.applied);
    if (applied) when.applied(applied);
  }
}

/** Who has what in force, from the lines that are new. */
function learn(facts: Facts, history: readonly Applied[]): void {
  for (const { number, channel, point, inForce } of history) {
    if (number <= facts.history) continue;
    facts.history = number;
    if (!inForce) continue;
    const statement = facts.statements.find(
      (one) => one.channel === channel && one.valid && `${one.epoch}.${one.sequence}` === point,
    );
    if (!statement) continue;
    Object.assign(of(facts, channel), { inForce: { number, statement }, wasLeft: false });
    facts.taken.set(channel, new Set());
    for (const [other, ids] of facts.taken) {
      if (other === channel) continue;
      for (const id of Object.keys(statement.pieces)) ids.add(id);
    }
  }
}

function checkTold(facts: Facts, told: FieldTold): void {
  const { channel, floor, applied, phase } = told;
  const known = of(facts, channel);
  const fail = (invariant: string, says: string): void => {
    facts.violations.push({ invariant, says: `${channel}: ${says}` });
  };
  if (compare(floor, known.floor) < 0) {
    fail('I2', `the floor went from ${text(known.floor)} to ${text(floor)}`);
  }
  if (compare(floor, known.floor) === 0 && floor?.digest !== known.floor?.digest) {
    fail('I2', `the floor ${text(floor)} became another statement`);
  }
  known.floor = floor;
  if (compare(applied, floor) > 0) fail('I2', `${text(applied)} is applied above ${text(floor)}`);
  for (const point of [floor, applied]) {
    const statement = point && statementOf(facts, point);
    if (!point) continue;
    if (!statement?.valid || statement.channel !== channel) {
      fail('I3', `${text(point)} was accepted, and nobody who may signed it`);
      continue;
    }
    const name = fieldNameOf(statement);
    if (statement.outside) fail('bounds', `${name} was accepted, and reaches beyond its bounds`);
    if (facts.unsaid.has(point.digest as Digest)) fail('consent', `${name} was accepted unasked`);
    if (statement.valued && facts.serials.length === 0) {
      fail('values', `${name} was accepted before the values that it names`);
    }
  }
  const inForce = applied && statementOf(facts, applied);
  if (inForce?.bad) fail('I6', `${fieldNameOf(inForce)} is applied, and is not healthy (${phase})`);
}

/** A target got this text, by the agent. */
function switched(facts: Facts, { timing: when, pauses: paused }: FieldModel, text: string): void {
  const named = facts.statements.filter(({ mark }) => mark === text);
  if (named.length === 0) return;
  const may = named.filter(({ valid, outside }) => valid && !outside);
  if (may.length === 0) {
    const says = `${JSON.stringify(text)} was brought into force, and nobody may have that`;
    facts.violations.push({ invariant: 'I3', says });
    return;
  }
  when.switched(may);
  paused.switched(may, facts.followed);
}

/** One way in which the device may be right: a state for each channel. */
type Way = ReadonlyMap<string, FieldStatement | null>;

/** I1 and I5: for each channel a whole state, what was left stays, and nothing is there beside them. */
function checkWhole(facts: Facts, seen: FieldSeen, invariant: string): void {
  const told = seen.told.filter(({ channel }) => facts.followed.includes(channel));
  if (told.some(({ phase }) => phase === 'stuck')) return;
  const ways = waysOf(facts, told);
  const first = ways[0];
  const why = first ? misses(facts, first, seen) : null;
  if (why === null || ways.some((way) => misses(facts, way, seen) === null)) return;
  const of = told.map(({ channel, phase, applied }) => `${channel} ${phase} ${text(applied)}`);
  facts.violations.push({ invariant, says: `${of.join(', ')}: ${why}` });
}

function waysOf(facts: Facts, told: readonly FieldTold[]): readonly Way[] {
  let ways: readonly Way[] = [new Map()];
  for (const { channel, phase, applied, floor } of told) {
    const options = [applied && statementOf(facts, applied)];
    if (phase === 'proving') {
      options.push(floor && statementOf(facts, floor));
      // A rollback that is being proven goes to a state below the floor.
      const back = facts.channels.get(channel)?.wentBack === true;
      if (back) options.push(...facts.statements.filter((one) => one.channel === channel));
    }
    ways = ways.flatMap((way) => options.map((option) => new Map([...way, [channel, option]])));
  }
  return ways;
}

function misses(facts: Facts, way: Way, seen: FieldSeen): string | null {
  const wanted: { files: Record<string, string>; programs: string[] } = { files: {}, programs: [] };
  const add = (piece: Wanted): void => {
    Object.assign(wanted.files, piece.files);
    // `~`: it may be away.
    const away = facts.disturbed ? '~' : '';
    wanted.programs.push(...piece.programs.map((version) => `${away}${version}`));
  };
  const named = new Set<string>();
  let free: readonly Wanted[] = [];
  for (const [channel, statement] of way) {
    const own = facts.channels.get(channel);
    // What others took is missing of what it had, not of what it gets.
    const rejoined = own?.wasLeft === true && own.inForce?.statement === statement;
    const gone = rejoined ? facts.taken.get(channel) : undefined;
    for (const [id, piece] of Object.entries(statement?.pieces ?? {})) {
      if (gone?.has(id)) continue;
      if (named.has(id)) return `two channels have ${id} in force`;
      named.add(id);
      add(piece);
    }
  }
  for (const [channel, { inForce }] of facts.channels) {
    if (way.has(channel) || !inForce) continue;
    const pieces = Object.entries(inForce.statement.pieces).filter(
      ([id]) => !named.has(id) && !facts.taken.get(channel)?.has(id),
    );
    if (facts.forgetting.has(channel)) free = [...free, ...pieces.map(([, piece]) => piece)];
    else for (const [, piece] of pieces) add(piece);
  }
  return disagreement(without(seen, free), wanted);
}

/** What is just being taken away may be there or not. */
function without(seen: FieldSeen, free: readonly Wanted[]): Seen {
  const paths = new Set(free.flatMap(({ files }) => Object.keys(files)));
  const versions = new Set(free.flatMap(({ programs }) => programs));
  return {
    files: new Map([...seen.files].filter(([path]) => !paths.has(path))),
    programs: seen.programs.filter(({ version }) => !versions.has(version)),
  };
}

interface End {
  readonly seen: FieldSeen;
  readonly heads: ReadonlyMap<string, FieldStatement>;
}

/** I9: the newest acceptable state of every channel is in force, whole, and told. */
function checkEnd(facts: Facts, model: FieldModel, { seen, heads }: End): void {
  facts.disturbed = false;
  look(facts, model, seen);
  const fail = (says: string): void => {
    facts.violations.push({ invariant: 'I9', says });
  };
  for (const channel of facts.followed) {
    const told = seen.told.find((one) => one.channel === channel);
    const head = heads.get(channel);
    if (head && told?.applied?.digest !== head.digest) {
      const now = `${text(told?.applied ?? null)} is applied (${told?.phase})`;
      fail(`${fieldNameOf(head)} is the newest, ${now}`);
    }
    if (told && told.phase !== 'idle') fail(`${channel}: the phase is ${told.phase} for good`);
  }
  const newest = facts.serials.at(-1);
  const old = seen.serials.find((serial) => serial !== newest);
  if (old !== undefined) fail(`a program was told ${old}, and the value is ${newest}`);
  checkWhole(facts, seen, 'I9');
}
