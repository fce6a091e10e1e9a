/**
 * The removal guard: a state that leaves nothing, or takes away more than half of what is applied, is
 * brought into force only where its publisher signed that it may, for devices as far behind as this
 * one. Judged from what the device says that it applied, in order; written from the promise.
 */
import type { Violation } from './model.ts';

export interface Removing {
  readonly epoch: bigint;
  readonly sequence: bigint;
  /** ids of its deployments */
  readonly ids: readonly string[];
  /** devices below this sequence may lose them; 0: none */
  readonly allowRemoval: bigint;
}

export interface Applied {
  /** of the device's history: grows */
  readonly number: bigint;
  /** `1.57` */
  readonly point: string;
  /** an operator asked to go back to it */
  readonly back: boolean;
}

export interface Removals {
  published(what: Removing): void;
  /** What the device says that it applied, newest first. */
  seen(history: readonly Applied[]): void;
  copy(violations: Violation[]): Removals;
}

interface Facts {
  readonly published: Map<string, Removing>;
  last: bigint;
  applied: Removing | null;
}

export function removals(violations: Violation[], known?: Facts): Removals {
  const facts: Facts = {
    last: known?.last ?? 0n,
    applied: known?.applied ?? null,
    published: new Map(known?.published),
  };
  return {
    published: (what) => void facts.published.set(`${what.epoch}.${what.sequence}`, what),
    seen(history) {
      for (const { number, point, back } of history.toReversed()) {
        if (number <= facts.last) continue;
        facts.last = number;
        const next = facts.published.get(point) ?? null;
        const why = back ? null : removes(facts.applied, next);
        if (why !== null) violations.push({ invariant: 'removal', says: why });
        facts.applied = next;
      }
    },
    copy: (others) => removals(others, facts),
  };
}

/** Null: it may. */
function removes(from: Removing | null, to: Removing | null): string | null {
  if (!from || !to || from.ids.length === 0) return null;
  const gone = from.ids.filter((id) => !to.ids.includes(id));
  if (to.ids.length > 0 && gone.length * 2 <= from.ids.length) return null;
  const below =
    from.epoch < to.epoch || (from.epoch === to.epoch && from.sequence < to.allowRemoval);
  if (to.allowRemoval > 0n && below) return null;
  return `${to.epoch}.${to.sequence} was applied: it takes away ${gone.length} of ${from.ids.length}, and nobody allowed it`;
}
