/**
 * What runs against what was signed, every 30 s and after each wake: by stat, hashed only where
 * stat changed. `drift: repair` puts it back (what was found is kept first), `report` only tells.
 * No repair during a pause, a rollback hold or an apply. After three repairs of one thing in ten
 * minutes somebody else owns it: repairs stop and the channel is degraded (DESIGN section 6).
 */

import type { Deviation, Runtime } from '#apply/runtimes/runtime.ts';
import { type Fault, fault, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Generation } from '#state/generation.ts';

const REPAIRS_MAX = 3;
const REPAIRS_WITHIN_MS = 10 * 60_000;

export type DriftEvent =
  | { readonly kind: 'found'; readonly deployment: string; readonly deviation: Deviation }
  | { readonly kind: 'repaired'; readonly deployment: string; readonly what: string }
  | { readonly kind: 'failed'; readonly deployment: string; readonly fault: Fault }
  | {
      readonly kind: 'flapping';
      readonly deployment: string;
      readonly what: string;
      readonly fault: Fault;
    };

export interface DriftInput {
  readonly clock: Clock;
  runtimeOf(generation: Generation): Runtime | null;
  /** a last look before each repair: pause, hold, an apply that began meanwhile */
  mayRepair(): boolean;
  tell(event: DriftEvent): void;
}

export interface Drift {
  /** One pass; ends early when repairs are no longer allowed. */
  pass(generations: readonly Generation[], depth: 'stat' | 'hash'): Promise<void>;
  /** deviations of the last pass by deployment, for status */
  found(): ReadonlyMap<string, readonly Deviation[]>;
  /** The operator has settled who owns what. */
  reset(): void;
}

export function drift(input: DriftInput): Drift {
  const { clock } = input;
  const repairs = new Map<string, number[]>();
  const flapping = new Set<string>();
  /** told once until it is gone */
  const told = new Set<string>();
  let found = new Map<string, readonly Deviation[]>();

  async function pass(generations: readonly Generation[], depth: 'stat' | 'hash'): Promise<void> {
    const now = new Map<string, readonly Deviation[]>();
    for (const generation of generations) {
      const runtime = input.runtimeOf(generation);
      const seen = runtime ? await runtime.inspect(generation, depth) : null;
      if (!runtime || !seen?.ok || seen.value.length === 0) continue;
      now.set(generation.id, seen.value);
      const repaired = await judge(generation, runtime, seen.value);
      if (repaired) now.delete(generation.id);
    }
    for (const key of told) if (!now.has(key)) told.delete(key);
    found = now;
  }

  async function judge(
    generation: Generation,
    runtime: Runtime,
    deviations: readonly Deviation[],
  ): Promise<boolean> {
    const { id, deployment } = generation;
    if (!told.has(id)) {
      told.add(id);
      for (const deviation of deviations) input.tell({ kind: 'found', deployment: id, deviation });
    }
    if (deployment.drift === 'report' || !input.mayRepair()) return false;
    if (deviations.some(({ what }) => flapping.has(`${id} ${what}`))) return false;
    for (const { what } of deviations) if (!count(id, what)) return false;
    const done = await repair(runtime, generation);
    if (!done.ok) {
      input.tell({ kind: 'failed', deployment: id, fault: done.fault });
      return false;
    }
    told.delete(id);
    for (const { what } of deviations) input.tell({ kind: 'repaired', deployment: id, what });
    return true;
  }

  /** False: this one has been repaired often enough. */
  function count(id: string, what: string): boolean {
    const key = `${id} ${what}`;
    const now = clock.monotonicMs();
    const recent = (repairs.get(key) ?? []).filter((at) => now - at < REPAIRS_WITHIN_MS);
    if (recent.length >= REPAIRS_MAX) {
      flapping.add(key);
      const why = fault('drift.flapping', { path: what, repairs: recent.length });
      input.tell({ kind: 'flapping', deployment: id, what, fault: why });
      return false;
    }
    repairs.set(key, [...recent, now]);
    return true;
  }

  return {
    pass,
    found: () => found,
    reset() {
      repairs.clear();
      flapping.clear();
      told.clear();
    },
  };
}

/** What somebody put there may be worth something: kept first, not repaired when it cannot be. */
async function repair(runtime: Runtime, generation: Generation): Promise<Result<void>> {
  const kept = await runtime.keepFound(generation);
  return kept.ok ? runtime.activate(generation, generation) : kept;
}
