/**
 * Where a run is cut. Every call that changes the world outside the agent's memory is a step with a
 * number; a cut is planned for one of them and strikes before it is done. From then on this life of
 * the agent is dead: each of its calls throws `Cut`, none of its timers fires, nothing that was under
 * way comes back to it.
 */

export type CutKind = 'power' | 'kill';

/** Unwinds the dead agent; nothing in the product catches it for good. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/** One process of the agent, from its start to its end. */
export interface Life {
  readonly pid: number;
  dead: boolean;
}

/** What a step may meet instead of being done. */
export type Trouble = 'EIO' | 'ENOSPC' | 'EROFS';

export interface Steps {
  /** steps since the run began */
  readonly count: number;
  /** the agent that acts now; null: an actor outside of it, whose steps are not counted */
  life: Life | null;
  /** Cuts before step number `at`. */
  cutAt(at: number, kind: CutKind): void;
  cancelCut(): void;
  /** the cut that has struck and was not dealt with yet */
  struck: CutKind | null;
  /** called before each step is done; throws `Cut` when it is struck. @returns an errno to fail with */
  take(what: string, path: string): Trouble | null;
  /** the same for what no disk can refuse: processes */
  mark(what: string, path: string): void;
  /** throws in a dead life */
  alive(): void;
  /** steps that were refused */
  troubles: number;
  /** decides whether a step fails */
  trouble: (what: string, path: string) => Trouble | null;
  /** is told of each step */
  trace: (what: string, path: string) => void;
  /** is told of each step of a living agent before it is done, and may look at the world */
  watch: ((count: number, what: string, path: string) => void) | null;
}

export const NO_TROUBLE: Steps['trouble'] = () => null;

export function steps(): Steps {
  let count = 0;
  let planned: { readonly at: number; readonly kind: CutKind } | null = null;
  const made: Steps = {
    get count() {
      return count;
    },
    life: null,
    struck: null,
    troubles: 0,
    cutAt(at, kind) {
      planned = { at, kind };
    },
    cancelCut() {
      planned = null;
    },
    alive() {
      if (made.life?.dead) throw new Cut('dead');
    },
    take(what, path) {
      made.mark(what, path);
      const errno = made.life === null ? null : made.trouble(what, path);
      if (errno !== null) {
        made.troubles += 1;
        made.trace(`${errno} at ${what}`, path);
      }
      return errno;
    },
    mark(what, path) {
      const { life } = made;
      if (life === null) return;
      if (life.dead) throw new Cut('dead');
      count += 1;
      made.watch?.(count, what, path);
      if (planned !== null && count >= planned.at) {
        made.struck = planned.kind;
        made.trace(`CUT by ${planned.kind} before ${what}`, path);
        planned = null;
        life.dead = true;
        throw new Cut(what);
      }
      made.trace(what, path);
    },
    trouble: NO_TROUBLE,
    trace: () => {},
    watch: null,
  };
  return made;
}
