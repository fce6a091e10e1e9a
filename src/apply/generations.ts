/**
 * Shelves: where the unpacked generations of one deployment stand, beside its target
 * (`.holdfast/<deployment>/`) or in the agent's state (`generations/<deployment>/`).
 *
 *   <hex>/<component>/     the tree of a generation; there under this name only when whole and synced
 *   <hex>~/<component>/    its second place: a damaged tree in use is replaced by switching to this
 *   <hex>/.part-<component>  being unpacked, 0700
 *
 * A tree is compared with its pristine blob before every use (check 18), never trusted because it
 * is there. Within one run of the agent an untouched tree (stat of every entry) is not read again
 * where that is enough: drift checks and restarts.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Directory } from '#platform/files.ts';
import { type Digest, hexOf } from '#state/digest.ts';
import { folderOf } from './folder-name.ts';
import { type Difference, isGone, treeDiffers, treeStat } from './tree-differs.ts';
import { type TreeSource, type TreeTools, unpack } from './unpack.ts';

export interface WantedTree extends TreeSource {
  readonly generation: Digest;
  readonly component: string;
}

export interface ShelfTools extends TreeTools {
  readonly clock: Clock;
  /** path of a tree → its stat when it was last found equal to its blob */
  readonly seen: Map<string, { readonly blob: Digest; readonly stat: Digest }>;
}

/** stat: trust an unchanged stat since the last comparison; hash: compare every byte */
export type Depth = 'stat' | 'hash';

const PART = '.part-';
const SHELF_MODE = 0o755;

/** `<hex>` and its second place. */
export function slotsOf(hex: string): readonly [string, string] {
  return [hex, `${hex}~`];
}

const MISSING: Difference = { path: [], found: 'not unpacked' };

/** Null: as signed. */
export async function slotDiffers(
  tools: ShelfTools,
  shelf: Directory,
  { slot, want, depth }: { slot: string; want: Omit<WantedTree, 'generation'>; depth: Depth },
): Promise<Result<Difference | null>> {
  const place = shelf.directory(slot);
  if (!place.ok) return isGone(place) ? ok(MISSING) : place;
  const tree = place.value.directory(folderOf(want.component));
  place.value.close();
  if (!tree.ok) return isGone(tree) ? ok(MISSING) : tree;
  try {
    return await compared(tools, tree.value, want, depth);
  } finally {
    tree.value.close();
  }
}

async function compared(
  tools: ShelfTools,
  tree: Directory,
  want: Omit<WantedTree, 'generation'>,
  depth: Depth,
): Promise<Result<Difference | null>> {
  const before = await treeStat(tree, tools.spend);
  if (!before.ok) return before;
  const seen = tools.seen.get(tree.path);
  if (depth === 'stat' && seen?.blob === want.blob.digest && seen.stat === before.value) {
    return ok(null);
  }
  tools.seen.delete(tree.path);
  const wrong = await treeDiffers(tools, want, tree);
  if (!wrong.ok || wrong.value !== null) return wrong;
  const after = await treeStat(tree, tools.spend);
  if (after.ok && after.value === before.value) {
    tools.seen.set(tree.path, { blob: want.blob.digest, stat: after.value });
  }
  return wrong;
}

/**
 * A slot that holds the tree as signed: one that is there, or a fresh one. A slot in `used` (a link
 * or a live program points into it) is never written.
 */
export async function stageTree(
  tools: ShelfTools,
  shelf: Directory,
  want: WantedTree,
  used: ReadonlySet<string>,
): Promise<Result<string>> {
  const slots = slotsOf(hexOf(want.generation));
  for (const slot of slots) {
    const wrong = await slotDiffers(tools, shelf, { slot, want, depth: 'hash' });
    if (!wrong.ok) return wrong;
    if (wrong.value === null) return ok(slot);
  }
  const free = slots.find((slot) => !used.has(slot));
  if (free === undefined) {
    return refuse('apply.generation-in-use', { path: `${shelf.path}/${slots[0]}` });
  }
  const place = shelf.directory(free, { create: SHELF_MODE });
  if (!place.ok) return place;
  try {
    const staged = await stageInto(tools, place.value, want);
    if (!staged.ok) return staged;
    const named = shelf.sync();
    return named.ok ? ok(free) : named;
  } finally {
    place.value.close();
  }
}

async function stageInto(
  tools: ShelfTools,
  place: Directory,
  want: WantedTree,
): Promise<Result<void>> {
  const name = folderOf(want.component);
  const part = `${PART}${name}`;
  for (const old of [part, name]) {
    const removed = place.removeTree(old);
    if (!removed.ok) return removed;
  }
  const tree = place.directory(part, { create: 0o700 });
  if (!tree.ok) return tree;
  const written = await unpack(tools, want, tree.value);
  tree.value.close();
  if (!written.ok) {
    place.removeTree(part);
    return written;
  }
  const owned = want.owner
    ? place.chown(part, want.owner.uid, want.owner.gid)
    : ok<undefined>(undefined);
  if (!owned.ok) return owned;
  const open = place.chmod(part, SHELF_MODE);
  if (!open.ok) return open;
  const synced = place.syncEntry(part);
  if (!synced.ok) return synced;
  const renamed = place.rename(part, name);
  return renamed.ok ? place.sync() : renamed;
}

/** Removes slots whose generation is not in `keep` and that nothing points into. */
export function sweepShelf(
  shelf: Directory,
  keep: ReadonlySet<Digest>,
  used: ReadonlySet<string>,
): Result<void> {
  const names = shelf.list();
  if (!names.ok) return names;
  const kept = new Set([...keep].map(hexOf));
  for (const name of names.value) {
    if (!SLOT.test(name) || used.has(name)) continue;
    const second = name.endsWith('~');
    // The second place serves only while something points into it.
    const removed = !second && kept.has(name) ? sweepParts(shelf, name) : shelf.removeTree(name);
    if (!removed.ok) return removed;
  }
  return shelf.sync();
}

/** What a cut left half unpacked in a slot that stays. */
function sweepParts(shelf: Directory, slot: string): Result<void> {
  const place = shelf.directory(slot);
  if (!place.ok) return place;
  const names = place.value.list();
  for (const name of names.ok ? names.value : []) {
    if (name.startsWith(PART)) place.value.removeTree(name);
  }
  place.value.close();
  return names.ok ? ok(undefined) : names;
}

const SLOT = /^[0-9a-f]{64}~?$/;

/** Opens `name` below, made and synced when missing. */
export function openOrMake(parent: Directory, name: string, mode: number): Result<Directory> {
  const opened = parent.directory(name);
  if (opened.ok || opened.fault.code !== 'platform.missing') return opened;
  const made = parent.directory(name, { create: mode });
  if (!made.ok) return made;
  const synced = parent.sync();
  if (synced.ok) return made;
  made.value.close();
  return synced;
}
