/** From the difference of two sets of generations to ordered steps. Pure. */
import type { Generation } from '#state/generation.ts';
import type { Step } from './step.ts';

/**
 * Unchanged deployments get no step. Removals come first, dependants before what they need; then
 * activations, what is needed before its dependants. Both lists are in dependency order already
 * (order.ts).
 */
export function stepsBetween(
  current: readonly Generation[],
  desired: readonly Generation[],
): readonly Step[] {
  const running = new Map(current.map((generation) => [generation.id, generation]));
  const wanted = new Set(desired.map(({ id }) => id));
  const removed = current.filter(({ id }) => !wanted.has(id)).toReversed();
  const changed = desired.filter(({ id, digest }) => running.get(id)?.digest !== digest);
  return [
    ...removed.map((previous): Step => ({ kind: 'remove', previous })),
    ...changed.map(
      (next): Step => ({ kind: 'activate', next, previous: running.get(next.id) ?? null }),
    ),
  ];
}

/** From `stuck`: forward from whatever is on disk, every deployment as if it had changed. */
export function everyStep(
  current: readonly Generation[],
  desired: readonly Generation[],
): readonly Step[] {
  const removals = stepsBetween(current, desired).filter(({ kind }) => kind === 'remove');
  const running = new Map(current.map((generation) => [generation.id, generation]));
  return [
    ...removals,
    ...desired.map(
      (next): Step => ({ kind: 'activate', next, previous: running.get(next.id) ?? null }),
    ),
  ];
}

/** What a person calls a step. */
export function stepText(step: Step): string {
  if (step.kind === 'remove') return `remove ${step.previous.id}`;
  return `${step.previous ? 'update' : 'install'} ${step.next.id}`;
}
