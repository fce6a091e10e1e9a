/** Order by `dependsOn`: what is needed comes first; ties keep the statement's order. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Generation } from '#state/generation.ts';

/**
 * `plan.unknown-dependency` for a name that is not in the statement, `plan.dependency-cycle` for a
 * circle, which it names. Linear in deployments and edges, without recursion: 2,000 in a chain are fine.
 */
export function inOrder(generations: readonly Generation[]): Result<readonly Generation[]> {
  const byId = new Map(generations.map((generation) => [generation.id, generation]));
  for (const { id, deployment } of generations) {
    const unknown = deployment.dependsOn.find((name) => !byId.has(name));
    if (unknown !== undefined) {
      return refuse('plan.unknown-dependency', { deployment: id, needs: unknown });
    }
  }
  const ordered: Generation[] = [];
  const done = new Set<string>();
  for (const generation of generations) {
    const cycle = visit(generation, byId, done, ordered);
    if (cycle) return refuse('plan.dependency-cycle', { circle: cycle.join(' → ') });
  }
  return ok(ordered);
}

/** Depth first with an explicit stack; returns the circle when there is one. */
function visit(
  start: Generation,
  byId: ReadonlyMap<string, Generation>,
  done: Set<string>,
  ordered: Generation[],
): readonly string[] | null {
  const path: { readonly generation: Generation; next: number }[] = [];
  const onPath = new Set<string>();
  if (!done.has(start.id)) push(start);
  while (path.length > 0) {
    const top = path.at(-1);
    if (!top) break;
    const need = top.generation.deployment.dependsOn[top.next++];
    if (need === undefined) {
      path.pop();
      onPath.delete(top.generation.id);
      done.add(top.generation.id);
      ordered.push(top.generation);
      continue;
    }
    if (onPath.has(need)) return [...path.map(({ generation }) => generation.id), need];
    const needed = byId.get(need);
    if (needed && !done.has(need)) push(needed);
  }
  return null;

  function push(generation: Generation): void {
    path.push({ generation, next: 0 });
    onPath.add(generation.id);
  }
}
