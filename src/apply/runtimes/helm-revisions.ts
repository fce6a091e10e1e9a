/**
 * What a release is now, from its revisions: in force with a mark, nothing, or left pending by a helm that
 * was cut. A rollback copies a revision and says only which, so its mark is that of the one it names. Pure.
 */
import type { Revision } from './helm-program.ts';

export interface InForce {
  readonly kind: 'none' | 'deployed' | 'broken';
  /** null: none, or nobody's of ours */
  readonly mark: string | null;
  /** The newest revision with this mark that was whole once; null: there is none. */
  back(mark: string): number | null;
  /** For people; null: as it should be. */
  differs(mark: string): string | null;
}

export type Current =
  | InForce
  | {
      readonly kind: 'pending';
      readonly status: string;
      /** the last revision that was whole; null: there was none */
      readonly whole: number | null;
      differs(mark: string): string | null;
    };

const ROLLBACK = /^Rollback to (\d{1,9})$/;
const HOPS_MAX = 16;

/** @param revisions  newest last */
export function currentOf(revisions: readonly Revision[]): Current {
  const last = revisions.at(-1);
  const whole = revisions.filter(({ status }) => status === 'deployed' || status === 'superseded');
  const back = (mark: string): number | null =>
    whole.findLast((one) => markIn(revisions, one) === mark)?.number ?? null;
  if (!last || last.status === 'uninstalled') {
    const differs = (): string => 'no release';
    return { kind: 'none', mark: null, back: () => null, differs };
  }
  const { status } = last;
  if (status.startsWith('pending-') || status === 'uninstalling') {
    const before = status === 'uninstalling' ? null : (whole.at(-1)?.number ?? null);
    return { kind: 'pending', status, whole: before, differs: () => status };
  }
  if (status !== 'deployed') {
    return { kind: 'broken', mark: null, back, differs: () => `its release is ${status}` };
  }
  const mark = markIn(revisions, last);
  const differs = (wanted: string): string | null =>
    mark === wanted ? null : 'another revision of its release is in force';
  return { kind: 'deployed', mark, back, differs };
}

function markIn(revisions: readonly Revision[], { number, description }: Revision): string | null {
  let at = { number, text: description };
  for (let hops = 0; hops < HOPS_MAX; hops += 1) {
    const target = ROLLBACK.exec(at.text)?.[1];
    if (target === undefined) return at.text.startsWith('holdfast ') ? at.text : null;
    const { number: below } = at;
    const named = revisions.find((one) => one.number === Number(target) && one.number < below);
    if (!named) return null;
    at = { number: named.number, text: named.description };
  }
  return null;
}
