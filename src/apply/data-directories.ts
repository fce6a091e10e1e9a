/**
 * Data directories: declared by a deployment, never part of a generation, never rolled back. Made
 * when missing, given the declared owner and mode; removed only with `onRemove: purge`, by the sweep
 * after the removal is committed (places.ts remembers them).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Processes } from '#platform/processes.ts';
import type { DataDirectory } from '#state/deployment.ts';
import type { Generation } from '#state/generation.ts';
import { ownership } from './accounts.ts';
import { openTarget, type Spot, type TargetRules } from './targets.ts';

/** Everything declared is there; what an earlier removal had marked for purging is not any more. */
export function ensureData(
  rules: TargetRules,
  processes: Processes,
  { id, deployment }: Generation,
): Result<void> {
  for (const data of deployment.data) {
    const spot = openTarget(rules, id, data.path, true);
    if (!spot.ok) return spot;
    if (!spot.value) continue;
    const done = ensure(processes, id, spot.value, data);
    spot.value.parent.close();
    if (!done.ok) return done;
    const kept = rules.places.drop(id, 'purge', data.path);
    if (!kept.ok) return kept;
  }
  return ok(undefined);
}

function ensure(
  processes: Processes,
  id: string,
  { parent, name, target }: Spot,
  { mode, owner }: DataDirectory,
): Result<void> {
  const account = ownership(processes, owner);
  if (!account.ok) return account;
  const found = parent.stat(name);
  if (!found.ok) return found;
  if (found.value && found.value.kind !== 'directory') {
    return refuse('apply.target-occupied', { deployment: id, target, found: found.value.kind });
  }
  if (!found.value) {
    const made = parent.directory(name, { create: mode });
    if (!made.ok) return made;
    made.value.close();
  }
  const { value } = account;
  const owned = found.value?.uid === value?.uid && found.value?.gid === value?.gid;
  const chowned = value && !owned ? parent.chown(name, value.uid, value.gid) : ok(undefined);
  if (!chowned.ok) return chowned;
  const moded = found.value?.mode === mode ? ok(undefined) : parent.chmod(name, mode);
  if (!moded.ok) return moded;
  // Also of one that is there: its maker may have been killed before this.
  return parent.sync();
}

/** What is declared and not there. */
export function missingData(rules: TargetRules, { id, deployment }: Generation): readonly string[] {
  return deployment.data
    .map(({ path }) => path)
    .filter((path) => {
      const spot = openTarget(rules, id, path, false);
      if (!spot.ok || !spot.value) return true;
      const found = spot.value.parent.stat(spot.value.name);
      spot.value.parent.close();
      return !found.ok || found.value?.kind !== 'directory';
    });
}

/** At a removal: what its sweep may purge. */
export function markPurge({ places }: TargetRules, { id, deployment }: Generation): Result<void> {
  for (const { path, onRemove } of deployment.data) {
    if (onRemove !== 'purge') continue;
    const marked = places.add(id, 'purge', path);
    if (!marked.ok) return marked;
  }
  return ok(undefined);
}

/**
 * The last part of a removal for good: marked data directories, then directories made on the way to
 * targets, deepest first and only while empty.
 */
export function purge(rules: TargetRules, id: string): Result<void> {
  const places = rules.places.list(id);
  if (!places.ok) return places;
  const deepestFirst = [...places.value].sort((a, b) => b.path.length - a.path.length);
  for (const kind of ['purge', 'made'] as const) {
    for (const place of deepestFirst) {
      if (place.kind !== kind) continue;
      const removed =
        kind === 'purge' ? removeData(rules, id, place.path) : unmake(rules, place.path);
      if (!removed.ok) return removed;
      const forgotten = rules.places.drop(id, kind, place.path);
      if (!forgotten.ok) return forgotten;
    }
  }
  return ok(undefined);
}

function removeData(rules: TargetRules, id: string, path: string): Result<void> {
  const spot = openTarget(rules, id, path, false);
  if (!spot.ok) return spot;
  if (!spot.value) return ok(undefined);
  const { parent, name } = spot.value;
  const removed = parent.removeTree(name);
  const synced = removed.ok ? parent.sync() : removed;
  parent.close();
  return synced;
}

/** Somebody else's content in it keeps it. */
function unmake({ files }: TargetRules, path: string): Result<void> {
  const slash = path.lastIndexOf('/');
  const parent = files.open(path.slice(0, slash) || '/', { follow: true });
  if (!parent.ok) return parent.fault.code === 'platform.missing' ? ok(undefined) : parent;
  parent.value.removeDirectory(path.slice(slash + 1));
  parent.value.close();
  return ok(undefined);
}
