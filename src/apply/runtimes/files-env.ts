/** What the parts of the files runtime share: one target of one generation, resolved and open. */
import { ownership } from '#apply/accounts.ts';
import { folderOf, shortHash } from '#apply/folder-name.ts';
import { openOrMake, type ShelfTools } from '#apply/generations.ts';
import type { Ownership } from '#apply/stage.ts';
import { HIDDEN, openTarget, type TargetRules } from '#apply/targets.ts';
import { isGone } from '#apply/tree-differs.ts';
import { assert, ok, type Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory } from '#platform/files.ts';
import type { Log } from '#platform/log.ts';
import type { Processes } from '#platform/processes.ts';
import type { FilesComponent } from '#state/deployment.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import type { Generation, GenerationBlob } from '#state/generation.ts';

export interface FilesEnv {
  readonly rules: TargetRules;
  readonly tools: ShelfTools;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  /** target → the stat of a file that was hashed and found as wanted */
  readonly hashed: Map<string, { readonly want: string; readonly stat: string }>;
  /** `deployment\0target` whose origin is known to be recorded */
  readonly recorded: Set<string>;
}

/** One component of one generation at its place. */
export interface FilesTarget {
  readonly id: string;
  readonly generation: Digest;
  readonly component: FilesComponent;
  readonly blob: GenerationBlob;
  readonly owner: Ownership | null;
  readonly target: string;
  readonly parent: Directory;
  readonly name: string;
}

/**
 * Opens the target's place, runs `work`, closes it. Null instead of a target: its parent does not
 * exist, and `create` is false.
 */
export async function atTarget<T>(
  env: FilesEnv,
  generation: Generation,
  component: FilesComponent,
  { create, work }: { create: boolean; work: (at: FilesTarget | null) => Promise<Result<T>> },
): Promise<Result<T>> {
  const blob = generation.blobs.get(component.blob);
  assert(blob, `${generation.id}: blob ${component.blob} is not resolved`);
  const owner = ownership(env.processes, component.owner);
  if (!owner.ok) return owner;
  const spot = openTarget(env.rules, generation.id, component.target, create);
  if (!spot.ok) return spot;
  if (!spot.value) return work(null);
  const { id, digest } = generation;
  try {
    const resolved = { id, generation: digest, component, blob, owner: owner.value };
    return await work({ ...resolved, ...spot.value });
  } finally {
    spot.value.parent.close();
  }
}

/** Hidden, beside the target, one per generation and target: swept by its prefix. */
export function siblingName({ id, generation, name }: FilesTarget): string {
  return `${siblingPrefix(id)}${hexOf(generation).slice(0, 16)}-${shortHash(name).slice(0, 16)}.tmp`;
}

export function siblingPrefix(id: string): string {
  return `${HIDDEN}-${shortHash(id).slice(0, 16)}-`;
}

/** `.holdfast/<deployment>` beside the target, made when missing and remembered before. */
export function openShelf(env: FilesEnv, id: string, parent: Directory): Result<Directory> {
  const noted = env.rules.places.add(id, 'shelf', parent.path);
  if (!noted.ok) return noted;
  const hidden = openOrMake(parent, HIDDEN, 0o755);
  if (!hidden.ok) return hidden;
  const shelf = openOrMake(hidden.value, folderOf(id), 0o755);
  hidden.value.close();
  return shelf;
}

/** Null when there is none. */
export function findShelf(id: string, parent: Directory): Result<Directory | null> {
  const hidden = parent.directory(HIDDEN);
  if (!hidden.ok) return isGone(hidden) ? ok(null) : hidden;
  const shelf = hidden.value.directory(folderOf(id));
  hidden.value.close();
  return !shelf.ok && isGone(shelf) ? ok(null) : shelf;
}

/** `.holdfast/<deployment>/<slot>/<component>` as a link of ours says it; null for any other. */
export function ownLink(
  id: string,
  pointsTo: string,
): { readonly slot: string; readonly component: string } | null {
  const [hidden, folder, slot, component, ...rest] = pointsTo.split('/');
  if (hidden !== HIDDEN || folder !== folderOf(id) || rest.length > 0) return null;
  return slot && component ? { slot, component } : null;
}

export function linkText(id: string, slot: string, component: string): string {
  return `${HIDDEN}/${folderOf(id)}/${slot}/${folderOf(component)}`;
}

/** unlink, where nothing there is fine */
export function clear(directory: Directory, name: string): Result<void> {
  const removed = directory.unlink(name);
  return !removed.ok && removed.fault.code === 'platform.missing' ? ok(undefined) : removed;
}
