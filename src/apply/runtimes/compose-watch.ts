/**
 * What is known of the containers of each deployment between two looks: status and health read it. A look
 * that is old is followed by another, and so is the engine's word that a container ended
 * (compose-events.ts). A look that began before a change has ended says nothing: it saw what is half made.
 */
import type { Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import type { ComposeEnv } from './compose-env.ts';
import { engineEvents } from './compose-events.ts';
import type { Condition } from './runtime.ts';

export interface ComposeWatch {
  /** What the last look saw; none yet: it is starting. */
  condition(current: Generation): Condition;
  /** It is being changed: what looks see counts for nothing until the change has ended. */
  begin(id: string): void;
  /** @param found  what is there now, and how it is; null: it is gone, or that is not known */
  end(id: string, found: { readonly of: Generation; readonly condition: Condition } | null): void;
  /** Reads what is there, unless a change came between. */
  seeing<T extends { readonly condition: Condition }>(
    of: Generation,
    look: () => Promise<Result<T>>,
  ): Promise<Result<T>>;
}

export interface ComposeWatchInput {
  readonly env: Pick<ComposeEnv, 'clock' | 'engine' | 'onChange' | 'storeId'>;
  /** whether the engine is listened to: somebody is told of changes */
  readonly listens: boolean;
  /** looks at it by `seeing` */
  look(of: Generation): Promise<Result<unknown>>;
}

/** ms after which what status reads is looked at again */
const FRESH_MS = 2_000;
const UNKNOWN: Condition = {
  running: 'starting',
  upMs: 0,
  restarts: 0,
  message: 'not looked at yet',
};

interface Known {
  /** how many changes have begun or ended: odd while one is under way */
  turns: number;
  of: Generation | null;
  /** never older than the last change made here; null: nothing was seen since */
  seen: {
    readonly digest: Digest;
    readonly condition: Condition;
    readonly atMs: number;
  } | null;
  looking: boolean;
}

export function composeWatch(input: ComposeWatchInput): ComposeWatch {
  const { env } = input;
  const all = new Map<string, Known>();
  const events = engineEvents({
    ...{ clock: env.clock, storeId: env.storeId, engine: env.engine },
    look(id) {
      const known = all.get(id);
      if (known?.of) lookAgain(known, known.of);
    },
  });
  const knownOf = (id: string): Known => {
    const known = all.get(id) ?? { turns: 0, of: null, seen: null, looking: false };
    all.set(id, known);
    return known;
  };
  const note = (known: Known, of: Generation, condition: Condition): void => {
    known.of = of;
    known.seen = { digest: of.digest, condition, atMs: env.clock.monotonicMs() };
    if (input.listens) events.watch(of.id);
  };

  function lookAgain(known: Known, of: Generation): void {
    if (known.looking || known.turns % 2 === 1) return;
    known.looking = true;
    const { seen: before, turns } = known;
    void input
      .look(of)
      .then((looked) => {
        if (known.turns !== turns) return;
        if (!looked.ok)
          note(known, of, { ...UNKNOWN, running: 'no', message: looked.fault.message });
        const was = before?.digest === of.digest ? before.condition.running : null;
        if (was !== null && known.seen && known.seen.condition.running !== was) env.onChange(of.id);
      })
      .finally(() => {
        known.looking = false;
      });
  }

  return {
    condition(current) {
      const known = knownOf(current.id);
      const seen = known.seen?.digest === current.digest ? known.seen : null;
      if (!seen || env.clock.monotonicMs() - seen.atMs > FRESH_MS) lookAgain(known, current);
      return seen?.condition ?? UNKNOWN;
    },
    begin(id) {
      const known = knownOf(id);
      if (known.turns % 2 === 0) known.turns += 1;
      known.seen = null;
    },
    end(id, found) {
      const known = knownOf(id);
      known.turns += 1;
      if (found) {
        note(known, found.of, found.condition);
        return;
      }
      known.of = null;
      events.forget(id);
    },
    async seeing(of, look) {
      const known = knownOf(of.id);
      const { turns } = known;
      const looked = await look();
      if (looked.ok && known.turns === turns && turns % 2 === 0) {
        note(known, of, looked.value.condition);
      }
      return looked;
    },
  };
}
