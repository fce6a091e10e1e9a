/**
 * What stood at a target before this deployment took it: generation `origin`, kept until the
 * deployment gives the target back, on undo of its first activation and on removal.
 *
 *   .holdfast/<deployment>/origin/<name>              a file or link copied, a directory moved
 *   .holdfast/<deployment>/origin/.holdfast-absent-…  there was nothing
 *
 * The record is durable before the target changes, and is taken away only after the target is
 * durably back: a repeated call, after a cut anywhere, ends the same. No record: nothing of this
 * deployment is at the target, so there is nothing to give back.
 */
import { folderOf, shortHash } from '#apply/folder-name.ts';
import { openOrMake } from '#apply/generations.ts';
import { sealed } from '#apply/stage.ts';
import { HIDDEN } from '#apply/targets.ts';
import { isGone } from '#apply/tree-differs.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Entry, FileReader } from '#platform/files.ts';
import {
  clear,
  type FilesEnv,
  type FilesTarget,
  findShelf,
  openShelf,
  ownLink,
  siblingName,
} from './files-env.ts';

const FOLDER = 'origin';
const COPY = `${HIDDEN}-copy`;
const CHUNK = 256 * 1024;

/**
 * Records what stands at the target, once. A directory is moved away, and only with `adopt`.
 * @param ours  the target was this deployment's before: nothing there is of anybody else
 */
export async function keepOrigin(
  env: FilesEnv,
  at: FilesTarget,
  ours: boolean,
): Promise<Result<void>> {
  const key = `${at.id}\0${at.target}`;
  if (env.recorded.has(key)) return ok(undefined);
  const shelf = openShelf(env, at.id, at.parent);
  if (!shelf.ok) return shelf;
  const origin = openOrMake(shelf.value, FOLDER, 0o700);
  shelf.value.close();
  if (!origin.ok) return origin;
  const kept = await keep(at, origin.value, ours);
  origin.value.close();
  if (kept.ok) env.recorded.add(key);
  return kept;
}

async function keep(at: FilesTarget, origin: Directory, ours: boolean): Promise<Result<void>> {
  const recorded = hasRecord(origin, at.name);
  if (!recorded.ok || recorded.value) return recorded.ok ? ok(undefined) : recorded;
  const found = at.parent.stat(at.name);
  if (!found.ok) return found;
  const entry = found.value;
  if (entry?.kind === 'directory') return moveAway(at, origin);
  if (entry === null || ours) return mark(origin, at.name);
  if (entry.kind === 'link') {
    const text = at.parent.readLink(at.name);
    if (!text.ok) return text;
    if (ownLink(at.id, text.value)) return mark(origin, at.name);
    const linked = origin.symlink(at.name, text.value);
    return linked.ok ? origin.sync() : linked;
  }
  if (entry.kind === 'other') return occupied(at, 'a device, socket or pipe');
  return copyFile(
    { from: at.parent, name: at.name, entry },
    { into: origin, as: COPY, to: at.name },
  );
}

export function occupied(at: FilesTarget, found: string): Result<never> {
  return refuse('apply.target-occupied', { deployment: at.id, target: at.target, found });
}

/** Both directories are synced: a rename between two counts in both. */
function moveAway(at: FilesTarget, origin: Directory): Result<void> {
  if (!at.blob.tree || !at.component.adopt) return occupied(at, 'a directory');
  const moved = at.parent.rename(at.name, at.name, origin);
  if (!moved.ok) return moved;
  const synced = origin.sync();
  return synced.ok ? at.parent.sync() : synced;
}

function markName(name: string): string {
  return `${HIDDEN}-absent-${shortHash(name)}`;
}

function mark(origin: Directory, name: string): Result<void> {
  const made = origin.create(markName(name), 0o600);
  if (!made.ok) return made;
  made.value.close();
  return origin.sync();
}

function hasRecord(origin: Directory, name: string): Result<boolean> {
  const absent = origin.stat(markName(name));
  if (!absent.ok || absent.value) return absent.ok ? ok(true) : absent;
  const kept = origin.stat(name);
  return kept.ok ? ok(kept.value !== null) : kept;
}

/** For drift: whether the record is there at all. */
export function originRecorded(env: FilesEnv, at: FilesTarget): Result<boolean> {
  if (env.recorded.has(`${at.id}\0${at.target}`)) return ok(true);
  const origin = openOrigin(at);
  if (!origin.ok || !origin.value) return origin.ok ? ok(false) : origin;
  const recorded = hasRecord(origin.value, at.name);
  origin.value.close();
  return recorded;
}

function openOrigin({ id, parent }: FilesTarget): Result<Directory | null> {
  const shelf = findShelf(id, parent);
  if (!shelf.ok || !shelf.value) return shelf;
  const origin = shelf.value.directory(FOLDER);
  shelf.value.close();
  return !origin.ok && isGone(origin) ? ok(null) : origin;
}

/**
 * Puts back what stood at the target; true when it changed. `keepOwn`: what is there now is the
 * device's own and stays (a file `once` written and edited since).
 */
export async function giveBack(
  env: FilesEnv,
  at: FilesTarget,
  keepOwn: boolean,
): Promise<Result<boolean>> {
  env.recorded.delete(`${at.id}\0${at.target}`);
  env.hashed.delete(at.target);
  const origin = openOrigin(at);
  if (!origin.ok || !origin.value) return origin.ok ? ok(false) : origin;
  try {
    const recorded = hasRecord(origin.value, at.name);
    if (!recorded.ok || !recorded.value) return recorded;
    const heir = handOver(at, origin.value);
    if (!heir.ok) return heir;
    if (heir.value) return ok(false);
    const restored = keepOwn ? ok(undefined) : await restore(env, at, origin.value);
    if (!restored.ok) return restored;
    const synced = at.parent.sync();
    const forgotten = synced.ok ? forget(origin.value, at.name) : synced;
    return forgotten.ok ? ok(true) : forgotten;
  } finally {
    origin.value.close();
  }
}

async function restore(env: FilesEnv, at: FilesTarget, origin: Directory): Promise<Result<void>> {
  const standing = at.parent.stat(at.name);
  if (!standing.ok) return standing;
  const absent = origin.stat(markName(at.name));
  if (!absent.ok) return absent;
  if (absent.value) {
    if (standing.value?.kind !== 'directory') return clear(at.parent, at.name);
    env.log.write('warn', 'origin.directory-left', { deployment: at.id, target: at.target });
    return ok(undefined);
  }
  if (standing.value?.kind === 'directory') return occupied(at, 'a directory');
  const kept = origin.stat(at.name);
  if (!kept.ok) return kept;
  const sibling = `${siblingName(at)}.origin`;
  const cleared = clear(at.parent, sibling);
  if (!cleared.ok) return cleared;
  if (kept.value?.kind === 'directory') {
    // rename(2) does not put a directory over a link.
    const removed = clear(at.parent, at.name);
    return removed.ok ? origin.rename(at.name, at.name, at.parent) : removed;
  }
  if (kept.value?.kind === 'link') {
    const text = origin.readLink(at.name);
    const linked = text.ok ? at.parent.symlink(sibling, text.value) : text;
    return linked.ok ? at.parent.rename(sibling, at.name) : linked;
  }
  if (!kept.value) return ok(undefined);
  return copyFile(
    { from: origin, name: at.name, entry: kept.value },
    { into: at.parent, as: sibling, to: at.name },
  );
}

/**
 * Another deployment has taken the target meanwhile (both are part of one change): what it holds as
 * its origin was ours, so our origin becomes its own, and the target is left to it.
 */
function handOver(at: FilesTarget, origin: Directory): Result<boolean> {
  const hidden = at.parent.directory(HIDDEN);
  if (!hidden.ok) return hidden;
  const folders = hidden.value.list();
  let done: Result<boolean> = folders.ok ? ok(false) : folders;
  for (const folder of folders.ok ? folders.value : []) {
    if (folder === folderOf(at.id) || !done.ok || done.value) continue;
    const shelf = hidden.value.directory(folder);
    const theirs = shelf.ok ? shelf.value.directory(FOLDER) : shelf;
    if (shelf.ok) shelf.value.close();
    if (!theirs.ok) continue;
    const taken = hasRecord(theirs.value, at.name);
    done = taken.ok && taken.value ? moveRecord(origin, theirs.value, at.name) : taken;
    theirs.value.close();
  }
  hidden.value.close();
  return done;
}

/** A mark wins over content (`restore` looks for it first): so it comes first, or goes last. */
function moveRecord(from: Directory, to: Directory, name: string): Result<boolean> {
  const absent = from.stat(markName(name));
  if (!absent.ok) return absent;
  if (absent.value) {
    const moved = from.rename(markName(name), markName(name), to);
    if (!moved.ok) return moved;
  }
  const removed = to.removeTree(name);
  if (!removed.ok) return removed;
  if (!absent.value) {
    const moved = from.rename(name, name, to);
    const cleared = moved.ok ? clear(to, markName(name)) : moved;
    if (!cleared.ok) return cleared;
  }
  const synced = to.sync();
  const done = synced.ok ? from.sync() : synced;
  return done.ok ? ok(true) : done;
}

function forget(origin: Directory, name: string): Result<void> {
  for (const each of [markName(name), name]) {
    const removed = clear(origin, each);
    if (!removed.ok) return removed;
  }
  return origin.sync();
}

/** Bytes, owner and mode; whole under its name and durable, or not there. */
export async function copyFile(
  { from, name, entry }: { from: Directory; name: string; entry: Entry },
  { into, as, to, cap }: { into: Directory; as: string; to: string; cap?: number },
): Promise<Result<void>> {
  const cleared = clear(into, as);
  if (!cleared.ok) return cleared;
  const reader = from.openFile(name);
  if (!reader.ok) return reader;
  const writer = into.create(as, 0o600);
  if (!writer.ok) {
    reader.value.close();
    return writer;
  }
  const size = Math.min(reader.value.size, cap ?? Number.MAX_SAFE_INTEGER);
  const copied = copyBytes(reader.value, size, writer.value.write);
  const done = copied.ok ? sealed(writer.value, entry.mode, entry) : copied;
  reader.value.close();
  writer.value.close();
  const renamed = done.ok ? into.rename(as, to) : done;
  if (!renamed.ok) into.unlink(as);
  return renamed.ok ? into.sync() : renamed;
}

function copyBytes(
  reader: FileReader,
  size: number,
  write: (bytes: Uint8Array) => Result<void>,
): Result<void> {
  for (let offset = 0; offset < size; ) {
    const chunk = reader.read(offset, Math.min(CHUNK, size - offset));
    if (!chunk.ok) return chunk;
    if (chunk.value.length === 0) break;
    offset += chunk.value.length;
    const wrote = write(chunk.value);
    if (!wrote.ok) return wrote;
  }
  return ok(undefined);
}
