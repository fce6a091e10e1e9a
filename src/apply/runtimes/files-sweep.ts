/** Removes what the files runtime keeps beside targets and nobody needs any more. */
import { folderOf } from '#apply/folder-name.ts';
import { sweepShelf } from '#apply/generations.ts';
import { HIDDEN } from '#apply/targets.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import { clear, type FilesEnv, findShelf, ownLink, siblingPrefix } from './files-env.ts';

/** With `keep` empty, the shelf itself goes as well, origins and found copies included. */
export function sweepFiles(env: FilesEnv, id: string, keep: ReadonlySet<Digest>): Result<void> {
  const places = env.rules.places.list(id);
  if (!places.ok) return places;
  for (const { kind, path } of places.value) {
    if (kind !== 'shelf') continue;
    const parent = env.rules.files.open(path, { follow: true });
    if (!parent.ok && parent.fault.code !== 'platform.missing') return parent;
    const swept = parent.ok ? sweepPlace(id, parent.value, keep) : ok(undefined);
    if (parent.ok) parent.value.close();
    if (!swept.ok) return swept;
    if (keep.size > 0) continue;
    const forgotten = env.rules.places.drop(id, 'shelf', path);
    if (!forgotten.ok) return forgotten;
  }
  return ok(undefined);
}

function sweepPlace(id: string, parent: Directory, keep: ReadonlySet<Digest>): Result<void> {
  const names = parent.list();
  if (!names.ok) return names;
  const siblings = sweepSiblings(id, parent, names.value, keep);
  if (!siblings.ok) return siblings;
  const used = linkedSlots(id, parent, names.value);
  if (!used.ok) return used;
  // A link still points in: the deployment is in force, whatever `keep` says.
  if (keep.size === 0 && used.value.size === 0) return removeShelf(id, parent);
  const shelf = findShelf(id, parent);
  if (!shelf.ok || !shelf.value) return shelf.ok ? ok(undefined) : shelf;
  const swept = sweepShelf(shelf.value, keep, used.value);
  shelf.value.close();
  return swept;
}

function sweepSiblings(
  id: string,
  parent: Directory,
  names: readonly string[],
  keep: ReadonlySet<Digest>,
): Result<void> {
  const prefix = siblingPrefix(id);
  const kept = [...keep].map((digest) => `${prefix}${hexOf(digest).slice(0, 16)}-`);
  for (const name of names) {
    if (!name.startsWith(prefix) || kept.some((start) => name.startsWith(start))) continue;
    const removed = clear(parent, name);
    if (!removed.ok) return removed;
  }
  return ok(undefined);
}

/** Slots that links in this directory point into. */
function linkedSlots(
  id: string,
  parent: Directory,
  names: readonly string[],
): Result<ReadonlySet<string>> {
  const used = new Set<string>();
  for (const name of names) {
    if (name.startsWith(HIDDEN)) continue;
    const entry = parent.stat(name);
    if (!entry.ok) return entry;
    if (entry.value?.kind !== 'link') continue;
    const text = parent.readLink(name);
    const link = text.ok ? ownLink(id, text.value) : null;
    if (link) used.add(link.slot);
  }
  return ok(used);
}

function removeShelf(id: string, parent: Directory): Result<void> {
  const hidden = parent.directory(HIDDEN);
  if (!hidden.ok) return hidden.fault.code === 'platform.missing' ? ok(undefined) : hidden;
  const removed = hidden.value.removeTree(folderOf(id));
  hidden.value.close();
  if (!removed.ok) return removed;
  // Empty once no other deployment has a shelf here.
  parent.removeDirectory(HIDDEN);
  return parent.sync();
}
