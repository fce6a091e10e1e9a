/**
 * Which deployments of a change want a place that another one of it has now: a target, a path inside
 * one or around it. The rule is the one between channels (conflict.ts): data directories may be shared,
 * unless one of the two would purge it. Pure, and linear in paths and their depth.
 */
import type { Generation } from '#state/generation.ts';

type Use = 'target' | 'data' | 'purged data';

interface Place {
  readonly path: string;
  readonly use: Use;
}

/** Pairs of ids: it has the place, the other wants it. */
export function overlaps(
  having: readonly Generation[],
  wanting: readonly Generation[],
  real: (path: string) => string = (path) => path,
): readonly (readonly [string, string])[] {
  const pairs: (readonly [string, string])[] = [];
  const owners = ownersOf(having, real);
  for (const generation of wanting) {
    for (const { id } of touched(owners, placesOf(generation, real))) {
      if (id !== generation.id) pairs.push([id, generation.id]);
    }
  }
  const wanted = ownersOf(wanting, real);
  for (const generation of having) {
    for (const { id } of touched(wanted, placesOf(generation, real))) {
      if (id !== generation.id) pairs.push([generation.id, id]);
    }
  }
  return pairs;
}

type Owners = ReadonlyMap<string, readonly { readonly id: string; readonly use: Use }[]>;

function ownersOf(generations: readonly Generation[], real: (path: string) => string): Owners {
  const owners = new Map<string, { id: string; use: Use }[]>();
  for (const generation of generations) {
    const { id } = generation;
    for (const { path, use } of placesOf(generation, real)) {
      owners.set(path, [...(owners.get(path) ?? []), { id, use }]);
    }
  }
  return owners;
}

/** Who owns one of these places, or one around it. */
function touched(owners: Owners, places: readonly Place[]) {
  return places.flatMap(({ path, use }) =>
    pathsUp(path).flatMap((above) =>
      (owners.get(above) ?? []).filter((other) => use !== 'data' || other.use !== 'data'),
    ),
  );
}

function pathsUp(path: string): readonly string[] {
  const found: string[] = [];
  for (let end = path.length; end > 0; end = path.lastIndexOf('/', end - 1)) {
    found.push(path.slice(0, end));
  }
  return found;
}

function placesOf(
  { deployment: { data, profile } }: Generation,
  real: (path: string) => string,
): readonly Place[] {
  const directories = data.map(
    ({ path, onRemove }): Place => ({
      path: real(path),
      use: onRemove === 'purge' ? 'purged data' : 'data',
    }),
  );
  if (profile.kind !== 'files') return directories;
  const targets = profile.components.map(
    ({ target }): Place => ({ path: real(target), use: 'target' }),
  );
  return [...directories, ...targets];
}
