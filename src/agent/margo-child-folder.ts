/**
 * The folder of a child, `margo.children[].folder`: `ID` is a link to what is to run of a deployment (its
 * document and contents, every byte checked), replaced in one step; `status/ID.json` is what the child says
 * of it. What lies here is read from the disk each time: a folder that was emptied is filled again.
 *
 *   ID -> .holdfast/HEX             HEX: of deployment and digest
 *   .holdfast/HEX/deployment.yaml   the exact bytes
 *   .holdfast/HEX/digest            what a status has to name
 *   .holdfast/HEX/content/NAME      blobs, as signed
 *   status/ID.json                  {"digest", "state", "error"?, "components"?}
 */
import { folderOf } from '#apply/folder-name.ts';
import { openOrMake } from '#apply/generations.ts';
import { type StageTools, stageFile } from '#apply/stage.ts';
import { type Fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { BlobRef } from '#state/desired-state.ts';
import { type Digest, hexOf, sha256 } from '#state/digest.ts';

export interface ChildDeployment {
  readonly id: string;
  readonly digest: Digest;
  readonly document: Uint8Array;
  readonly blobs: readonly BlobRef[];
}

/** What of a deployment lies there: the place that its link names. */
export interface Laid {
  readonly name: string;
  readonly place: string;
}

const HELD = '.holdfast';
const STATUS = 'status';
const STATUS_BYTES = 64 * 1024;
const NAMES_MAX = 4_096;
const LINK = /^\.holdfast\/([0-9a-f]{32})$/;

export function placeOf({ id, digest }: Pick<ChildDeployment, 'id' | 'digest'>): string {
  return hexOf(sha256(Buffer.from(`${id}\n${digest}`))).slice(0, 32);
}

/** `margo.child-unreachable`: the folder is not there, or does not let itself be used. */
export async function inChildFolder<T>(
  files: Files,
  { device, folder }: { readonly device: string; readonly folder: string },
  work: (root: Directory) => T | Promise<T>,
): Promise<Result<T>> {
  const root = files.open(folder, { follow: true });
  if (!root.ok) return unreachable(device, root.fault);
  try {
    return ok(await work(root.value));
  } finally {
    root.value.close();
  }
}

export function unreachable(device: string, { message }: Pick<Fault, 'message'>) {
  return refuse('margo.child-unreachable', { device, reason: message });
}

export function laidIn(root: Directory): Result<readonly Laid[]> {
  const names = root.list({ max: NAMES_MAX });
  if (!names.ok) return names;
  const laid: Laid[] = [];
  for (const name of names.value) {
    const entry = root.stat(name);
    const link = entry.ok && entry.value?.kind === 'link' ? root.readLink(name) : null;
    const place = link?.ok ? LINK.exec(link.value)?.[1] : undefined;
    if (place !== undefined) laid.push({ name, place });
  }
  return ok(laid);
}

/** Whole or not at all; what was there before stays until it is. */
export async function lay(
  tools: StageTools,
  root: Directory,
  deployment: ChildDeployment,
): Promise<Result<void>> {
  const place = placeOf(deployment);
  const held = openOrMake(root, HELD, 0o755);
  if (!held.ok) return held;
  try {
    const there = held.value.stat(place);
    if (!there.ok) return there;
    if (there.value === null) {
      const made = await fill(tools, held.value, deployment, place);
      if (!made.ok) return made;
    }
  } finally {
    held.value.close();
  }
  return point(root, folderOf(deployment.id), place);
}

async function fill(
  tools: StageTools,
  held: Directory,
  { digest, document, blobs }: ChildDeployment,
  place: string,
): Promise<Result<void>> {
  const part = `${place}.part`;
  const cleared = held.removeTree(part);
  if (!cleared.ok) return cleared;
  const into = held.directory(part, { create: 0o755 });
  if (!into.ok) return into;
  try {
    const written = into.value.write('deployment.yaml', document, 0o644);
    const named = written.ok
      ? into.value.write('digest', Buffer.from(`${digest}\n`), 0o644)
      : written;
    if (!named.ok) return named;
    for (const blob of blobs) {
      const staged = await stageContent(tools, into.value, blob);
      if (!staged.ok) return staged;
    }
    const synced = into.value.sync();
    if (!synced.ok) return synced;
  } finally {
    into.value.close();
  }
  const renamed = held.rename(part, place);
  return renamed.ok ? held.sync() : renamed;
}

async function stageContent(
  tools: StageTools,
  into: Directory,
  { name, digest, size, unpackedSize }: BlobRef,
): Promise<Result<void>> {
  const parts = ['content', ...name.split('/')];
  const file = parts.pop() ?? '';
  const opened: Directory[] = [into];
  try {
    for (const part of parts) {
      const below = openOrMake(opened.at(-1) ?? into, part, 0o755);
      if (!below.ok) return below;
      opened.push(below.value);
    }
    const blob = { digest, size, unpackedSize, tree: false };
    const last = opened.at(-1) ?? into;
    const staged = await stageFile(tools, last, file, { blob, mode: 0o644, owner: null });
    return staged.ok ? last.sync() : staged;
  } finally {
    for (const directory of opened.slice(1)) directory.close();
  }
}

/** One rename: whoever follows the link sees the old place or the new one. */
function point(root: Directory, name: string, place: string): Result<void> {
  const target = `${HELD}/${place}`;
  const entry = root.stat(name);
  if (!entry.ok) return entry;
  const link = entry.value?.kind === 'link' ? root.readLink(name) : null;
  if (link?.ok && link.value === target) return ok(undefined);
  if (entry.value !== null && link === null) {
    // Somebody's own: renaming a link over a directory fails, over a file it would destroy it.
    return refuse('platform.exists', { operation: 'link', path: name });
  }
  const cleared = root.removeTree(`${name}.new`);
  const made = cleared.ok ? root.symlink(`${name}.new`, target) : cleared;
  const renamed = made.ok ? root.rename(`${name}.new`, name) : made;
  return renamed.ok ? root.sync() : renamed;
}

/** The link first: nobody finds half of it. */
export function takeAway(root: Directory, { name }: Laid): Result<void> {
  const unlinked = root.unlink(name);
  if (!unlinked.ok && unlinked.fault.code !== 'platform.missing') return unlinked;
  const status = root.directory(STATUS);
  if (status.ok) {
    status.value.removeTree(`${name}.json`);
    status.value.close();
  }
  return root.sync();
}

/** Places that no link names any more. */
export function sweepPlaces(root: Directory): Result<void> {
  const laid = laidIn(root);
  if (!laid.ok) return laid;
  const used = new Set(laid.value.map(({ place }) => place));
  const held = root.directory(HELD);
  if (!held.ok) return held.fault.code === 'platform.missing' ? ok(undefined) : held;
  const names = held.value.list({ max: NAMES_MAX });
  for (const name of names.ok ? names.value : []) {
    if (!used.has(name)) held.value.removeTree(name);
  }
  held.value.close();
  return names.ok ? ok(undefined) : names;
}

/** Null: it said nothing yet. */
export function readChildStatus(root: Directory, id: string): Result<Uint8Array | null> {
  const status = root.directory(STATUS);
  if (!status.ok) return status.fault.code === 'platform.missing' ? ok(null) : status;
  const bytes = readIfThere(status.value, `${folderOf(id)}.json`, STATUS_BYTES);
  status.value.close();
  return bytes;
}

/** What a command of the owner's ended with, in the child's place. */
export function writeChildStatus(
  root: Directory,
  id: string,
  status: { readonly digest: string; readonly state: string; readonly error?: unknown },
): Result<void> {
  const folder = openOrMake(root, STATUS, 0o755);
  if (!folder.ok) return folder;
  const bytes = Buffer.from(`${JSON.stringify(status)}\n`);
  const done = replaceFile(folder.value, `${folderOf(id)}.json`, bytes, 0o644);
  folder.value.close();
  return done;
}
