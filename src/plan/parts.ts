/**
 * A change as parts that come into force one after the other (`atomicity: deployment`), each with its
 * own steps. A part is one deployment, or those that cannot be told apart: one has what another wants
 * (a target that moves, two that are swapped), or they need each other on the way. After each part,
 * whichever others failed, what is in force has everything that it depends on, in no circle:
 *
 *   what is needed by what is new comes before it, also through what does not change;
 *   a removal comes after all that depended on what is removed.
 *
 * Pure; linear in deployments, edges and paths, without recursion.
 */
import type { Generation } from '#state/generation.ts';
import { overlaps } from './overlap.ts';
import type { Step } from './step.ts';
import { stepsBetween } from './steps.ts';

export interface Part {
  readonly ids: readonly string[];
  readonly steps: readonly Step[];
  /** places in the list, all before this one: not in force, so this one waits */
  readonly needs: readonly number[];
}

/** id → ids that have to be done before it; keys are what changes, in the order of steps.ts */
type Before = ReadonlyMap<string, Set<string>>;

/** @param real  how a path reads with the links of target roots followed */
export function partsBetween(
  current: readonly Generation[],
  desired: readonly Generation[],
  real?: (path: string) => string,
): readonly Part[] {
  const steps = stepsBetween(current, desired);
  const before: Before = new Map(steps.map((step) => [idOf(step), new Set<string>()]));
  needNew(before, desired);
  needGone(before, current, desired);
  const had = current.filter(({ id }) => before.has(id));
  const wanted = desired.filter(({ id }) => before.has(id));
  for (const [one, other] of overlaps(had, wanted, real)) {
    before.get(one)?.add(other);
    before.get(other)?.add(one);
  }
  return inTurn(groups(before), before, steps);
}

function idOf(step: Step): string {
  return step.kind === 'remove' ? step.previous.id : step.next.id;
}

/** What comes into force needs what it depends on as it is to be, however far away that is. */
function needNew(before: Before, desired: readonly Generation[]): void {
  // Dependency order: what an unchanged one leads to is known before it is asked for.
  const leadsTo = new Map<string, ReadonlySet<string>>();
  for (const { id, deployment } of desired) {
    const needs = new Set<string>();
    for (const need of deployment.dependsOn) {
      if (before.has(need)) needs.add(need);
      else for (const further of leadsTo.get(need) ?? []) needs.add(further);
    }
    leadsTo.set(id, needs);
    const own = before.get(id);
    if (own) for (const need of needs) own.add(need);
  }
}

/** What is to go waits for all that has depended on it. */
function needGone(
  before: Before,
  current: readonly Generation[],
  desired: readonly Generation[],
): void {
  const stays = new Set(desired.map(({ id }) => id));
  for (const { id, deployment } of current) {
    for (const need of deployment.dependsOn) {
      if (!stays.has(need) && before.has(id)) before.get(need)?.add(id);
    }
  }
}

interface Visit {
  readonly id: string;
  readonly next: Iterator<string>;
}

/** id → the group that it is of: what waits for each other in a circle is one (Tarjan). */
function groups(before: Before): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const numbers = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  let count = 0;
  const path: Visit[] = [];
  function enter(id: string): void {
    numbers.set(id, numbers.size);
    lowest.set(id, numbers.size - 1);
    open.push(id);
    path.push({ id, next: (before.get(id) ?? new Set<string>()).values() });
  }
  function lower(id: string, to: number | undefined): void {
    lowest.set(id, Math.min(lowest.get(id) ?? 0, to ?? 0));
  }
  function leave(id: string): void {
    path.pop();
    const above = path.at(-1);
    if (above) lower(above.id, lowest.get(id));
    if (lowest.get(id) !== numbers.get(id)) return;
    for (let member = open.pop(); member !== undefined; member = open.pop()) {
      found.set(member, count);
      if (member === id) break;
    }
    count += 1;
  }
  for (const start of before.keys()) {
    if (!numbers.has(start)) enter(start);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const { value: need, done } = top.next.next();
      if (done) leave(top.id);
      else if (!numbers.has(need)) enter(need);
      else if (!found.has(need)) lower(top.id, numbers.get(need));
    }
  }
  return found;
}

/** What is needed first; else in the order of the steps. */
function inTurn(
  group: ReadonlyMap<string, number>,
  before: Before,
  steps: readonly Step[],
): readonly Part[] {
  const members = new Map<number, Step[]>();
  for (const step of steps) {
    const of = group.get(idOf(step)) ?? 0;
    members.set(of, [...(members.get(of) ?? []), step]);
  }
  const needs = new Map<number, ReadonlySet<number>>();
  for (const [of, own] of members) {
    const others = own.flatMap((step) => [...(before.get(idOf(step)) ?? [])]);
    needs.set(of, new Set(others.map((id) => group.get(id) ?? 0).filter((each) => each !== of)));
  }
  const place = new Map<number, number>();
  const parts: Part[] = [];
  const path: number[] = [];
  for (const start of members.keys()) {
    path.push(start);
    for (let of = path.at(-1); of !== undefined; of = path.at(-1)) {
      const missing = [...(needs.get(of) ?? [])].filter((need) => !place.has(need));
      if (missing.length > 0 && !place.has(of)) {
        path.push(...missing.toReversed());
        continue;
      }
      path.pop();
      if (place.has(of)) continue;
      place.set(of, parts.length);
      const own = members.get(of) ?? [];
      const after = [...(needs.get(of) ?? [])].map((need) => place.get(need) ?? 0);
      parts.push({ ids: own.map(idOf), steps: own, needs: after.sort((a, b) => a - b) });
    }
  }
  return parts;
}
