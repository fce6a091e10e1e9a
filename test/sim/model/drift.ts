/**
 * Files that people change by hand, below /srv: `kept.conf` is put back (what was found is kept first,
 * and after three times in ten minutes it is left, and told), `told.conf` is told and never touched,
 * `own.conf` is the device's own once it is there. Written from the promises of docs/publish.md.
 */
import type { Told, Violation } from './model.ts';

export type Kind = 'kept' | 'told' | 'own';

export interface Looked {
  readonly kind: Kind;
  /** what was put there by hand */
  readonly text: string;
  /** what stands there now; undefined: nothing */
  readonly stands: string | undefined;
  /** what was found and kept beside it */
  readonly copies: readonly string[];
  readonly degraded: boolean;
  /** another file differs, and is only told */
  readonly alsoTold: boolean;
  /** ms of the edit */
  readonly at: number;
}

export interface Drifting {
  /** Somebody put this there. */
  edited(kind: Kind, text: string, told: Told): void;
  /** The device had more than a minute with it, in peace, and no other state came. */
  hadTime(looked: Looked): void;
  /** Repairs of the last ten minutes do not count any more (another start, `resume`); what was left is the next. */
  forgiven(at: number): void;
  /** Something came in between: how many repairs count is not known for a while. */
  unsure(at: number): void;
  /** A change began that may have passed unseen: its undo puts every file of it back. */
  changed(): void;
  /** @param files  absolute path → text, below /srv */
  seen(files: ReadonlyMap<string, string>, told: Told): void;
  copy(violations: Violation[]): Drifting;
}

interface Facts {
  /** by hand, of `own`: it stays for good */
  own: string | null;
  /** by hand, of `told`: it stays while no other state comes */
  told: { readonly text: string; readonly at: string } | null;
  /** ms of the edits that were repaired */
  repairs: readonly number[];
  /** repairs have stopped until somebody settles it; null: it cannot be known */
  stopped: boolean | null;
  /** what was put there stands, and is not repaired; null: maybe, until it is looked at again */
  left: boolean | null;
  /** ms until which nothing is known of repairs */
  unsureUntil: number;
  /** the states that the last edit met: another change puts the file back, and repairs count anew */
  met: string | null;
  isNews: boolean;
}

const REPAIRS_MAX = 3;
const WITHIN_MS = 600_000;
/** ms from an edit to its repair, at most */
const LATE_MS = 65_000;
const SIGNED = /^(?:kept|told|own)=\d+\n$/;
const BY_HAND = /^by hand \d+\n$/;

export const pathOf = (kind: Kind): string => `/srv/${kind}.conf`;
/** What a state puts there. */
export const contentOf = (kind: Kind, number: number): string => `${kind}=${number}\n`;

export function drifting(violations: Violation[], known?: Facts): Drifting {
  const facts: Facts = {
    ...{ own: null, told: null, repairs: [], stopped: false },
    ...{ left: false, unsureUntil: 0, met: null, isNews: false },
    ...known,
  };
  const fail = (says: string): void => void violations.push({ invariant: 'drift', says });
  return {
    edited(kind, text, told) {
      if (kind === 'own') facts.own = text;
      if (kind === 'told') facts.told = { text, at: placeOf(told) };
      if (kind !== 'kept') return;
      facts.isNews = facts.met !== null && facts.met !== placeOf(told);
      facts.met = placeOf(told);
    },
    hadTime(looked) {
      if (looked.kind === 'kept' && facts.isNews) this.unsure(looked.at);
      else if (looked.kind === 'kept') checkRepair(facts, looked, fail);
      else if (!looked.degraded && looked.kind === 'told') fail('a file that differs is not told');
    },
    forgiven(at) {
      if (facts.stopped === null || facts.left === null)
        facts.unsureUntil = at + WITHIN_MS + LATE_MS;
      Object.assign(facts, { repairs: facts.left ? [at] : [], stopped: false });
      facts.left = facts.left ? null : false;
    },
    unsure(at) {
      Object.assign(facts, { repairs: [], stopped: false, unsureUntil: at + WITHIN_MS + LATE_MS });
    },
    changed() {
      facts.told = null;
    },
    seen(files, told) {
      for (const [path, text] of files) {
        if (SIGNED.test(text) || BY_HAND.test(text)) continue;
        fail(`${path} holds ${JSON.stringify(text.slice(0, 24))}`);
      }
      const own = files.get(pathOf('own'));
      if (facts.own !== null && own !== facts.own) {
        fail(`own.conf was ${JSON.stringify(facts.own)} by hand, and is ${JSON.stringify(own)}`);
      }
      const { told: left } = facts;
      if (left && (told.phase !== 'idle' || placeOf(told) !== left.at)) {
        facts.told = null;
      } else if (left && files.get(pathOf('told')) !== left.text) {
        fail('told.conf was changed by hand, is only to be told, and was put back');
      }
    },
    copy: (others) => drifting(others, facts),
  };
}

function placeOf({ applied, floor }: Told): string {
  return `${applied?.digest} ${floor?.digest}`;
}

function checkRepair(facts: Facts, looked: Looked, fail: (says: string) => void): void {
  const { text, stands, copies, degraded, at } = looked;
  if (at < facts.unsureUntil) return;
  const within = (ms: number): number => facts.repairs.filter((then) => at - then < ms).length;
  if (facts.stopped === false && within(WITHIN_MS - LATE_MS) >= REPAIRS_MAX) facts.stopped = true;
  else if (!facts.stopped && within(WITHIN_MS + LATE_MS) >= REPAIRS_MAX) facts.stopped = null;
  if (facts.stopped === null) return;
  if (facts.stopped) {
    facts.left = true;
    if (stands !== text) fail('kept.conf was repaired a fourth time in ten minutes');
    else if (!degraded) fail('kept.conf is not repaired any more, and nobody is told');
    return;
  }
  facts.left = false;
  facts.repairs = [...facts.repairs, at];
  if (stands === text) fail('kept.conf was changed by hand, and was not repaired');
  else if (!copies.includes(text)) fail(`${JSON.stringify(text)} was repaired, and not kept first`);
  else if (degraded && !looked.alsoTold) fail('all is repaired, and the device says degraded');
}
