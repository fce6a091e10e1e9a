/**
 * A directory target: a relative link into a generation that stands beside it, switched by rename
 * (DESIGN section 6). The link may go on pointing into an older generation whose tree is the same.
 */
import { type Depth, slotDiffers, stageTree } from '#apply/generations.ts';
import type { Difference } from '#apply/tree-differs.ts';
import { ratioFault } from '#apply/unpack.ts';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import { LIMITS } from '#state/limits.ts';
import {
  clear,
  type FilesEnv,
  type FilesTarget,
  findShelf,
  linkText,
  openShelf,
  ownLink,
  siblingName,
} from './files-env.ts';
import { keepOrigin, occupied } from './files-origin.ts';

/** Where the target's link points, when it is a link of this deployment. */
function currentSlot(at: FilesTarget): Result<{ slot: string; component: string } | null> {
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (entry.value?.kind !== 'link') return ok(null);
  const text = at.parent.readLink(at.name);
  return text.ok ? ok(ownLink(at.id, text.value)) : text;
}

/** Null: the link stands and what it points to is as signed. */
export async function treeTargetDiffers(
  env: FilesEnv,
  at: FilesTarget,
  depth: Depth,
): Promise<Result<Difference | null>> {
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (entry.value?.kind !== 'link') {
    return ok({ path: [], found: entry.value ? `a ${entry.value.kind}` : 'missing' });
  }
  const current = currentSlot(at);
  if (!current.ok) return current;
  if (!current.value) return ok({ path: [], found: 'a link that is not from here' });
  const shelf = findShelf(at.id, at.parent);
  if (!shelf.ok) return shelf;
  if (!shelf.value) return ok({ path: [], found: 'a link to nothing' });
  const { slot, component } = current.value;
  const want = { component, blob: at.blob, fileName: '', owner: at.owner };
  const wrong = await slotDiffers(env.tools, shelf.value, { slot, want, depth });
  shelf.value.close();
  return wrong;
}

/** Unpacks beside the target, where what is in force is not the same tree. */
export async function prepareTree(env: FilesEnv, at: FilesTarget): Promise<Result<void>> {
  const ratio = ratioFault(at.id, at.blob);
  if (ratio) return ratio;
  const entry = at.parent.stat(at.name);
  if (!entry.ok) return entry;
  if (entry.value?.kind === 'other') return occupied(at, 'a device, socket or pipe');
  if (entry.value?.kind === 'directory') {
    if (!at.component.adopt) return occupied(at, 'a directory');
    const mount = oneFileSystem(at, at.name, at.parent, LIMITS.treeEntriesMax);
    if (!mount.ok) return mount;
  }
  const wrong = await treeTargetDiffers(env, at, 'stat');
  if (!wrong.ok || wrong.value === null) return wrong.ok ? ok(undefined) : wrong;
  const staged = await staging(env, at);
  return staged.ok ? ok(undefined) : staged;
}

async function staging(env: FilesEnv, at: FilesTarget): Promise<Result<string>> {
  const current = currentSlot(at);
  if (!current.ok) return current;
  const shelf = openShelf(env, at.id, at.parent);
  if (!shelf.ok) return shelf;
  const { generation, blob, owner } = at;
  const want = { generation, component: at.component.name, blob, owner, fileName: '' };
  const used = new Set(current.value ? [current.value.slot] : []);
  const slot = await stageTree(env.tools, shelf.value, want, used);
  shelf.value.close();
  return slot;
}

/** True when the link was switched; the directory's fsync is the caller's. */
export async function placeTree(
  env: FilesEnv,
  at: FilesTarget,
  ours: boolean,
): Promise<Result<boolean>> {
  const wrong = await treeTargetDiffers(env, at, 'stat');
  if (!wrong.ok) return wrong;
  if (wrong.value === null) {
    const kept = await keepOrigin(env, at, ours);
    return kept.ok ? ok(false) : kept;
  }
  // Compares every byte with the blob, or unpacks anew: check 18.
  const slot = await staging(env, at);
  if (!slot.ok) return slot;
  const kept = await keepOrigin(env, at, ours);
  if (!kept.ok) return kept;
  const standing = at.parent.stat(at.name);
  if (!standing.ok) return standing;
  if (standing.value?.kind === 'directory') return occupied(at, 'a directory');
  const sibling = siblingName(at);
  const cleared = clear(at.parent, sibling);
  if (!cleared.ok) return cleared;
  const text = linkText(at.id, slot.value, at.component.name);
  const linked = at.parent.symlink(sibling, text);
  const switched = linked.ok ? at.parent.rename(sibling, at.name) : linked;
  return switched.ok ? ok(true) : switched;
}

/** An adopted directory moves as a whole: nothing may be mounted at it or below (row D21). */
function oneFileSystem(
  at: FilesTarget,
  name: string,
  parent: Directory,
  budget: number,
): Result<number> {
  const device = parent.device();
  if (!device.ok) return device;
  const directory = parent.directory(name);
  if (!directory.ok) return directory;
  try {
    const own = directory.value.device();
    if (!own.ok) return own;
    if (own.value !== device.value) {
      const { path } = directory.value;
      return refuse('apply.mount-point', { deployment: at.id, target: at.target, path });
    }
    const names = directory.value.list();
    if (!names.ok) return names;
    let left = budget - names.value.length;
    if (left < 0) return occupied(at, 'a directory with too many entries to adopt');
    for (const below of names.value) {
      const entry = directory.value.stat(below);
      if (!entry.ok) return entry;
      if (entry.value?.kind !== 'directory') continue;
      const inner = oneFileSystem(at, below, directory.value, left);
      if (!inner.ok) return inner;
      left = inner.value;
    }
    return ok(left);
  } finally {
    directory.value.close();
  }
}
