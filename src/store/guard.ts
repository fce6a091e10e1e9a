/**
 * Judges an LMDB data file before LMDB sees it, from bytes alone. LMDB trusts every page number
 * and offset in its file; a damaged one ends the process with SIGSEGV or SIGBUS (attack row L06).
 *
 * Invariant: what passes here can be opened, read and written: both metas are LMDB's, and in the
 * newer one every page that its trees reach lies inside the file, is reached once, is of the kind
 * its parent says, and keeps its nodes and overflow pages inside itself; keys ascend; the entries
 * are as many as the meta says; no free page is in use. Contents are judged by record.ts.
 *
 * A tail that is no whole page is allowed behind the last page in use (a full disk leaves one), and
 * the file may end before `last page` when only free pages are missing: both are legal in LMDB.
 *
 * @see liblmdb mdb.c of lmdb-js 3.5.6: MDB_page_header, MDB_meta, MDB_db, MDB_node, MDB_ovpage,
 *      midl.c for the free list (a negative entry is the length of the block that follows)
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';

export const PAGE_BYTES = 4096;
/** address space that LMDB maps, and the most the file may grow to */
export const MAP_BYTES = 64 * 1024 * 1024;

const HEADER_BYTES = 24;
const META_BYTES = 144;
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const FLAG = { branch: 0x01, leaf: 0x02, overflow: 0x04, meta: 0x08 } as const;
const BIG_DATA = 0x01;
const NODE_BYTES = 8;
const OVERFLOW_REF_BYTES = 24;
const DEPTH_MAX = 16;
/** MDB_INTEGERKEY of the free list, MDB_NOSUBDIR of the environment: as lmdb.ts opens it */
const FREE_FLAGS = 0x4008;

/** Thrown and caught in this file. */
class Damage extends Error {
  override readonly name = 'Damage';
}

/** `store.damaged` with the first thing found; I/O errors pass through. */
export function checkDataFile(directory: Directory, name: string): Result<void> {
  const entry = directory.stat(name);
  if (!entry.ok) return entry;
  const file = `${directory.path}/${name}`;
  if (!entry.value) return refuse('store.damaged', { file, reason: 'it is missing' });
  if (entry.value.kind !== 'file') {
    return refuse('store.damaged', { file, reason: 'it is not a regular file' });
  }
  if (entry.value.size > MAP_BYTES) {
    return refuse('store.damaged', { file, reason: `it has ${entry.value.size} bytes` });
  }
  const bytes = directory.read(name, MAP_BYTES);
  if (!bytes.ok) return bytes;
  const reason = damageIn(bytes.value);
  return reason === null ? ok() : refuse('store.damaged', { file, reason });
}

/** What is wrong with these bytes of a data file, or null. */
export function damageIn(bytes: Uint8Array): string | null {
  try {
    walkFile(bytes);
    return null;
  } catch (error) {
    if (error instanceof Damage) return error.message;
    // Reads past the end of the view: a size somewhere was wrong.
    if (error instanceof RangeError) return 'an offset points outside the file';
    throw error;
  }
}

interface Tree {
  readonly name: 'free list' | 'records';
  readonly depth: number;
  readonly entries: bigint;
  readonly root: bigint;
}

interface Meta {
  readonly transaction: bigint;
  readonly lastPage: bigint;
  readonly free: Tree;
  readonly main: Tree;
}

interface Walk {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly pages: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
  /** 1: in use by a tree, 2: free */
  readonly marks: Uint8Array;
}

function need(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new Damage(reason);
}

function walkFile(bytes: Uint8Array): void {
  need(bytes.length >= 2 * PAGE_BYTES, `it has ${bytes.length} bytes, less than two pages`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const metas = [readMeta(view, 0), readMeta(view, 1)] as const;
  const meta = newerOf(view, ...metas);
  const pages = Math.floor(bytes.length / PAGE_BYTES);
  need(
    meta.lastPage >= 1n && meta.lastPage < BigInt(MAP_BYTES / PAGE_BYTES),
    `the last page is ${meta.lastPage}`,
  );
  const { lastPage, transaction } = meta;
  const walk: Walk = { view, bytes, pages, lastPage, transaction, marks: new Uint8Array(pages) };
  walk.marks[0] = 1;
  walk.marks[1] = 1;
  walkTree(walk, meta.main, () => undefined);
  const lists: number[] = [];
  walkTree(walk, meta.free, (at, size) => lists.push(at, size));
  for (let at = 0; at < lists.length; at += 2) {
    checkFreeList(walk, lists[at] ?? 0, lists[at + 1] ?? 0);
  }
}

/**
 * Transaction N writes meta N mod 2, so the two hold neighbouring numbers, or both 0 when nothing
 * was ever committed; and each commit writes the root anew, under its number. Otherwise a bit has
 * flipped and an older state might pass for the newer. One flip is not told from a commit that was
 * cut before its meta was written: N taken for N - 2. It loses that one commit.
 */
function newerOf(view: DataView, even: Meta, odd: Meta): Meta {
  const [a, b] = [even.transaction, odd.transaction];
  const fresh = a === 0n && b === 0n;
  const parity = a % 2n === 0n && b % 2n === 1n;
  need(fresh || (parity && (a - b === 1n || b - a === 1n)), `the metas have numbers ${a} and ${b}`);
  const newer = b > a ? odd : even;
  if (newer.main.root === NO_PAGE) return newer;
  const written = view.getBigUint64(Number(newer.main.root) * PAGE_BYTES + 8, true);
  need(written === newer.transaction, `the root is of transaction ${written}`);
  return newer;
}

function readMeta(view: DataView, page: number): Meta {
  const at = page * PAGE_BYTES;
  const which = `meta ${page}`;
  need(view.getUint16(at + 18, true) === FLAG.meta, `${which} is no meta page`);
  const meta = at + HEADER_BYTES;
  need(view.getUint32(meta, true) === MAGIC, `${which} has no magic number`);
  const version = view.getUint32(meta + 4, true);
  need((version & 0xffff) === DATA_VERSION, `${which} has the data version ${version}`);
  need(view.getBigUint64(meta + 16, true) <= BigInt(MAP_BYTES), `${which} wants a larger map`);
  need(view.getUint32(meta + 24, true) === PAGE_BYTES, `${which} has another page size`);
  need(view.getUint16(meta + 28, true) === FREE_FLAGS, `${which} has unknown flags`);
  need(view.getUint16(meta + 72 + 4, true) === 0, `${which} has unknown flags of the records`);
  return {
    transaction: view.getBigUint64(meta + META_BYTES - 16, true),
    lastPage: view.getBigUint64(meta + META_BYTES - 24, true),
    free: readTree(view, meta + 24, 'free list'),
    main: readTree(view, meta + 72, 'records'),
  };
}

/** MDB_db: pad 4, flags 2, depth 2, branch 8, leaf 8, overflow 8, entries 8, root 8. */
function readTree(view: DataView, at: number, name: Tree['name']): Tree {
  return {
    name,
    depth: view.getUint16(at + 6, true),
    entries: view.getBigUint64(at + 32, true),
    root: view.getBigUint64(at + 40, true),
  };
}

/** Calls `value` with place and size of each value; overflow values count from their first page. */
function walkTree(walk: Walk, tree: Tree, value: (at: number, size: number) => void): void {
  if (tree.root === NO_PAGE) {
    need(tree.entries === 0n && tree.depth === 0, `the ${tree.name} have entries and no root`);
    return;
  }
  need(tree.depth >= 1 && tree.depth <= DEPTH_MAX, `the ${tree.name} have depth ${tree.depth}`);
  const root = walk.view.getBigUint64(Number(tree.root) * PAGE_BYTES + 8, true);
  // Each commit writes the root anew: a root of another transaction belongs to another meta.
  if (tree.name === 'records')
    need(root === walk.transaction, 'the root is of another transaction');
  const state = { entries: 0n, previous: null as Uint8Array | null };
  const leaf = (at: number, page: bigint, range: Range): void => {
    for (const [index, node] of nodesOf(walk, at, page).entries()) {
      const key = keyOf(walk, node, at, page);
      const ascends = !state.previous || order(tree, state.previous, key) < 0;
      need(ascends && isInside(tree, key, range), `entry ${index} of page ${page} is out of order`);
      state.previous = key;
      state.entries += 1n;
      checkValue(walk, { node, page, at, keyBytes: key.length }, value);
    }
  };
  const visit = (page: bigint, level: number, range: Range): void => {
    const at = take(walk, page, 1n);
    const flags = walk.view.getUint16(at + 18, true);
    need(
      flags === (level === tree.depth ? FLAG.leaf : FLAG.branch),
      `page ${page} is of another kind`,
    );
    if (level === tree.depth) leaf(at, page, range);
    else for (const child of childrenOf(walk, at, page, range)) visit(child.page, level + 1, child);
  };
  visit(tree.root, 1, { from: null, to: null });
  need(
    state.entries === tree.entries,
    `${state.entries} of ${tree.entries} ${tree.name} are there`,
  );
}

/** Keys below a branch node: from its own key on, up to the next one's. Null: no bound. */
interface Range {
  readonly from: Uint8Array | null;
  readonly to: Uint8Array | null;
}

/** The key of a first node is ignored, as LMDB does. */
function childrenOf(
  walk: Walk,
  at: number,
  page: bigint,
  { from, to }: Range,
): (Range & { readonly page: bigint })[] {
  const nodes = nodesOf(walk, at, page);
  const keys = nodes.map((node) => keyOf(walk, node, at, page));
  return nodes.map((node, index) => ({
    page: childOf(walk.view, node),
    from: index === 0 ? from : (keys[index] ?? null),
    to: keys[index + 1] ?? to,
  }));
}

function isInside(tree: Tree, key: Uint8Array, { from, to }: Range): boolean {
  return (!from || order(tree, from, key) <= 0) && (!to || order(tree, key, to) < 0);
}

/** Marks `count` pages from `page` as used, each once; the byte offset of the first. */
function take(walk: Walk, page: bigint, count: bigint): number {
  const inside = page >= 2n && count >= 1n && page + count <= BigInt(walk.pages);
  need(inside && page + count - 1n <= walk.lastPage, `page ${page} lies outside the file`);
  const first = Number(page);
  for (let at = first; at < first + Number(count); at += 1) {
    need(walk.marks[at] === 0, `page ${at} is used twice`);
    walk.marks[at] = 1;
  }
  const offset = first * PAGE_BYTES;
  need(walk.view.getBigUint64(offset, true) === page, `page ${page} has another number`);
  // A page of a later transaction counts as writable: LMDB would write into its read-only map.
  const written = walk.view.getBigUint64(offset + 8, true);
  need(written <= walk.transaction, `page ${page} is from the later transaction ${written}`);
  return offset;
}

/** Offsets of the nodes of a page, each header inside it. */
function nodesOf(walk: Walk, at: number, page: bigint): number[] {
  const lower = walk.view.getUint16(at + 20, true);
  const upper = walk.view.getUint16(at + 22, true);
  const room = PAGE_BYTES - HEADER_BYTES;
  need(lower % 2 === 0 && lower <= upper && upper <= room, `page ${page} has impossible bounds`);
  need(lower > 0, `page ${page} is empty`);
  const nodes: number[] = [];
  for (let index = 0; index < lower / 2; index += 1) {
    const pointer = walk.view.getUint16(at + HEADER_BYTES + index * 2, true);
    const fits = pointer >= upper && pointer + NODE_BYTES <= room && pointer % 2 === 0;
    need(fits, `a node of page ${page} lies outside it`);
    nodes.push(at + HEADER_BYTES + pointer);
  }
  return nodes;
}

function childOf(view: DataView, node: number): bigint {
  const low = BigInt(view.getUint32(node, true));
  return low | (BigInt(view.getUint16(node + 4, true)) << 32n);
}

function keyOf(walk: Walk, node: number, at: number, page: bigint): Uint8Array {
  const size = walk.view.getUint16(node + 6, true);
  const end = node + NODE_BYTES + size;
  need(end <= at + PAGE_BYTES, `a key of page ${page} lies outside it`);
  return walk.bytes.subarray(node + NODE_BYTES, end);
}

interface Leaf {
  readonly node: number;
  readonly page: bigint;
  readonly at: number;
  readonly keyBytes: number;
}

function checkValue(walk: Walk, leaf: Leaf, value: (at: number, size: number) => void): void {
  const { view } = walk;
  const size = view.getUint32(leaf.node, true);
  const flags = view.getUint16(leaf.node + 4, true);
  const data = leaf.node + NODE_BYTES + leaf.keyBytes;
  const end = leaf.at + PAGE_BYTES;
  need((flags & ~BIG_DATA) === 0, `a node of page ${leaf.page} has unknown flags`);
  if (flags === 0) {
    need(data + size <= end, `a value of page ${leaf.page} lies outside it`);
    value(data, size);
    return;
  }
  need(data + OVERFLOW_REF_BYTES <= end, `a value of page ${leaf.page} lies outside it`);
  const first = view.getBigUint64(data, true);
  const count = view.getBigUint64(data + 16, true);
  const written = view.getBigUint64(data + 8, true);
  need(written <= walk.transaction, `a value of page ${leaf.page} is from a later transaction`);
  need(
    BigInt(size) <= count * BigInt(PAGE_BYTES) - BigInt(HEADER_BYTES),
    `a value of page ${leaf.page} is larger than its pages`,
  );
  const at = take(walk, first, count);
  const kind = view.getUint16(at + 18, true);
  need(kind === FLAG.overflow, `page ${first} is of another kind`);
  need(BigInt(view.getUint32(at + 20, true)) === count, `page ${first} has another length`);
  value(at + HEADER_BYTES, size);
}

/** Records by their bytes, transactions of the free list by their number. */
function order(tree: Tree, a: Uint8Array, b: Uint8Array): number {
  if (tree.name === 'records') return Buffer.compare(a, b);
  need(a.length === 8 && b.length === 8, 'a key of the free list is no number');
  const [first, second] = [Buffer.from(a).readBigUInt64LE(), Buffer.from(b).readBigUInt64LE()];
  return first < second ? -1 : first > second ? 1 : 0;
}

/** A count, then page numbers; 0 is an unused place, -n the length of the block that follows. */
function checkFreeList(walk: Walk, at: number, size: number): void {
  need(size >= 8, 'a free list has no length');
  const count = walk.view.getBigUint64(at, true);
  need(count <= BigInt(Math.floor(size / 8) - 1), `a free list is shorter than its length`);
  let block = 1n;
  for (let index = 1; index <= Number(count); index += 1) {
    const entry = walk.view.getBigInt64(at + index * 8, true);
    if (entry < 0n) {
      need(-entry <= walk.lastPage, `the free list has a block of ${-entry} pages`);
      block = -entry;
      continue;
    }
    if (entry !== 0n) markFree(walk, entry, block);
    block = 1n;
  }
}

function markFree(walk: Walk, page: bigint, count: bigint): void {
  const inside = page >= 2n && page + count - 1n <= walk.lastPage;
  need(inside, `the free page ${page} lies outside the file`);
  const end = Math.min(Number(page + count), walk.pages);
  for (let at = Number(page); at < end; at += 1) {
    need(walk.marks[at] === 0, `page ${at} is both free and used`);
    walk.marks[at] = 2;
  }
}
