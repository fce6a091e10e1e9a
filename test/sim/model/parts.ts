/**
 * What must hold where statements come into force deployment by deployment: each deployment is whole, as
 * one statement wants it that its channel signed, and never older than it was unless somebody asked for
 * that. In the end all that can come into force of the newest has come. Written from docs/publish.md.
 */
import { disagreement } from './matches.ts';
import type { Numbered, Violation } from './model.ts';
import type { Seen } from './seen.ts';
import { NOTHING_WANTED, nameOf, type Statement, type Wanted } from './wanted.ts';

export interface PartsModel {
  /** Whether deployments of several statements may be in force beside each other. */
  mayBeMixed(statements: readonly Statement[], told: Standing): boolean;
  seen(what: Looked): void;
  /** @param head  the newest; not all of it is in force, and nothing is under way */
  ended(what: Looked, head: Statement): void;
  copy(violations: Violation[]): PartsModel;
}

export interface Standing {
  readonly floor: Numbered | null;
  readonly applied: Numbered | null;
  readonly phase: string;
}

export interface Looked {
  readonly seen: Seen;
  readonly told: Standing;
  readonly statements: readonly Statement[];
  /** an operator asked to go back: what is older may return */
  readonly wentBack: boolean;
}

interface Place {
  readonly id: string;
  readonly folder: string | null;
}

const PLACES: readonly Place[] = [
  { id: 'conf', folder: '/opt/conf/' },
  { id: 'web', folder: '/opt/web/' },
  { id: 'plc', folder: null },
];

type Low = readonly [epoch: bigint, sequence: bigint];

export function partsModel(
  violations: Violation[],
  known: ReadonlyMap<string, Low> = new Map(),
): PartsModel {
  /** the oldest statement that each deployment can be of */
  const low = new Map(known);
  const fail = (says: string): void => void violations.push({ invariant: 'I1', says });
  return {
    mayBeMixed: (statements, { floor, applied }) =>
      floor !== null &&
      floor.digest !== applied?.digest &&
      upTo(statements, floor).some(({ inParts }) => inParts),
    seen(what) {
      for (const place of PLACES) {
        const found = matching(what, place);
        if (found.length === 0) fail(`${place.id} is as no statement wants it`);
        const from = what.wentBack
          ? ([0n, 0n] as const)
          : (low.get(place.id) ?? ([0n, 0n] as const));
        const since = found.filter((each) => order(each, from) >= 0);
        if (found.length > 0 && since.length === 0) {
          fail(
            `${place.id} is older than it was (${found.at(-1)?.join('.')} after ${from.join('.')})`,
          );
        }
        const [oldest] = since;
        // What is being proven may be undone.
        if (oldest && what.told.phase !== 'proving') low.set(place.id, oldest);
      }
    },
    ended(what, head) {
      const late = new Set(head.badIds);
      for (const [id, needs] of Object.entries(head.needs)) {
        if (needs.some((need) => late.has(need))) late.add(id);
      }
      for (const place of PLACES) {
        const wanted = ofPlace(head.wanted, place);
        const why = disagreement(restricted(what.seen, place), wanted);
        // What is to go waits for what still needs it, and that may have failed.
        const isGone = isEmpty(wanted) && late.size > 0;
        // Who went back from a state that was told as rejected is at the one before until a newer comes.
        const isBack = what.wentBack && late.size > 0;
        if (!late.has(place.id) && !isGone && !isBack && why !== null) {
          fail(`${nameOf(head)}: ${place.id} could be in force, and is not: ${why}`);
        }
        if (late.has(place.id) && why === null && !isKept(what, place, head)) {
          fail(`${nameOf(head)}: ${place.id} is in force, and should wait or be undone`);
        }
      }
    },
    copy: (others) => partsModel(others, low),
  };
}

/** Statements that a deployment can be of, oldest first; before all of them nothing is there. */
function matching({ seen, told, statements }: Looked, place: Place): readonly Low[] {
  const here = restricted(seen, place);
  const nothing = disagreement(here, NOTHING_WANTED) === null ? [[0n, 0n] as const] : [];
  const found = upTo(statements, told.floor)
    .filter(({ badIds }) => told.phase === 'proving' || !badIds.includes(place.id))
    .filter(({ wanted }) => disagreement(here, ofPlace(wanted, place)) === null)
    .map(({ epoch, sequence }) => [epoch, sequence] as const);
  return [...nothing, ...found].sort(order);
}

/** It stood there like this before. */
function isKept({ seen, statements }: Looked, place: Place, head: Statement): boolean {
  const here = restricted(seen, place);
  if (disagreement(here, NOTHING_WANTED) === null) return true;
  return statements.some(
    (other) => other !== head && disagreement(here, ofPlace(other.wanted, place)) === null,
  );
}

function upTo(statements: readonly Statement[], floor: Numbered | null): readonly Statement[] {
  if (!floor) return [];
  const limit = [floor.epoch, floor.sequence] as const;
  return statements.filter(
    ({ valid, epoch, sequence }) => valid && order([epoch, sequence], limit) <= 0,
  );
}

function order(a: Low, b: Low): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] === b[1] ? 0 : a[1] < b[1] ? -1 : 1;
}

function restricted(seen: Seen, { folder }: Place): Seen {
  const files = [...seen.files].filter(([path]) => folder !== null && path.startsWith(folder));
  return { files: new Map(files), programs: folder === null ? seen.programs : [] };
}

function ofPlace(wanted: Wanted, { folder }: Place): Wanted {
  const files = Object.entries(wanted.files).filter(
    ([path]) => folder !== null && path.startsWith(folder),
  );
  return { files: Object.fromEntries(files), programs: folder === null ? wanted.programs : [] };
}

function isEmpty({ files, programs }: Wanted): boolean {
  return Object.keys(files).length === 0 && programs.length === 0;
}
