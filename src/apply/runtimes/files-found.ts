/**
 * What drift had put at a target, kept before a repair takes it away: at most 3 copies a deployment
 * and directory, of at most 1 MiB each, in `.holdfast/<deployment>/found/`. A directory that stands
 * where the link was is moved there as it is, and only with `adopt`.
 */
import { openOrMake } from '#apply/generations.ts';
import { isGone } from '#apply/tree-differs.ts';
import { ok, type Result } from '#errors/fault.ts';
import type { Directory, Entry } from '#platform/files.ts';
import { type FilesEnv, type FilesTarget, openShelf } from './files-env.ts';
import { copyFile } from './files-origin.ts';

const FOLDER = 'found';
const KEPT_MAX = 3;
const BYTES_MAX = 1024 * 1024;
const NAME_MAX = 200;
const FORM = /^(\d{6})-/;

/** @param path  below the target; empty: the target itself. Path of the copy; null: none is kept. */
export async function keepCopy(
  env: FilesEnv,
  at: FilesTarget,
  path: readonly string[],
): Promise<Result<string | null>> {
  const opened = path.length === 0 ? ok(at.parent) : insideTree(at, path);
  if (!opened.ok) return isGone(opened) ? ok(null) : opened;
  const name = path.at(-1) ?? at.name;
  const entry = opened.value.stat(name);
  const kept = entry.ok
    ? await keepEntry(env, at, { from: opened.value, name, entry: entry.value })
    : entry;
  if (opened.value !== at.parent) opened.value.close();
  return kept;
}

async function keepEntry(
  env: FilesEnv,
  at: FilesTarget,
  { from, name, entry }: { from: Directory; name: string; entry: Entry | null },
): Promise<Result<string | null>> {
  if (entry?.kind === 'file') {
    return inFound(env, at, name, (into, to) => {
      const place = { into, as: `${FOLDER}.part`, to, cap: BYTES_MAX };
      return copyFile({ from, name, entry }, place);
    });
  }
  const atTarget = from === at.parent && at.blob.tree && at.component.adopt;
  if (entry?.kind !== 'directory' || !atTarget) return ok(null);
  return inFound(env, at, name, async (into, to) => {
    const moved = from.rename(name, to, into);
    if (!moved.ok) return moved;
    const synced = into.sync();
    return synced.ok ? from.sync() : synced;
  });
}

/** The directory that holds `path` in the tree that the target's link points to. */
function insideTree(at: FilesTarget, path: readonly string[]): Result<Directory> {
  const text = at.parent.readLink(at.name);
  if (!text.ok) return text;
  const [first = '', ...rest] = [...text.value.split('/'), ...path.slice(0, -1)];
  let directory = at.parent.directory(first);
  for (const name of rest) {
    if (!directory.ok) return directory;
    const next = directory.value.directory(name);
    directory.value.close();
    directory = next;
  }
  return directory;
}

/** @param put  puts it into the folder under the name given */
async function inFound(
  env: FilesEnv,
  at: FilesTarget,
  name: string,
  put: (into: Directory, to: string) => Promise<Result<void>>,
): Promise<Result<string | null>> {
  const shelf = openShelf(env, at.id, at.parent);
  if (!shelf.ok) return shelf;
  const found = openOrMake(shelf.value, FOLDER, 0o700);
  shelf.value.close();
  if (!found.ok) return found;
  const number = makeRoom(found.value);
  if (!number.ok) {
    found.value.close();
    return number;
  }
  const to = `${String(number.value).padStart(6, '0')}-${name.slice(0, NAME_MAX)}`;
  const done = await put(found.value, to);
  const path = `${found.value.path}/${to}`;
  found.value.close();
  return done.ok ? ok(path) : done;
}

/** Removes the oldest beyond what may stay beside a new one; the new one's number. */
function makeRoom(found: Directory): Result<number> {
  const names = found.list();
  if (!names.ok) return names;
  const kept = names.value.filter((name) => FORM.test(name)).sort();
  for (const name of kept.slice(0, Math.max(0, kept.length - KEPT_MAX + 1))) {
    const removed = found.removeTree(name);
    if (!removed.ok) return removed;
  }
  return ok((Number(FORM.exec(kept.at(-1) ?? '')?.[1] ?? 0) + 1) % 1_000_000);
}
