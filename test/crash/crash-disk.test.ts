/** The model of a disk tells what can be there after a cut, and nothing that cannot. */
import { describe, expect, test } from 'bun:test';
import { makeCrashDisk, WAYS } from '../support/crash-disk.ts';
import { type DiskOp, TOP } from '../support/disk-trace.ts';
import { seededRandom } from '../support/seeded-random.ts';

const [OLD, NEW, OLD_FILE, NEW_FILE] = [2, 3, 4, 5] as const;
const place = (name: string) => ({ in: TOP, name });

/** A directory left by a start that was killed is removed, made anew and renamed; nothing is synced. */
const AGAIN: readonly DiskOp[] = [
  { kind: 'mkdir', ...place('store.new'), inode: OLD },
  { kind: 'create', in: OLD, name: 'old', inode: OLD_FILE },
  { kind: 'unlink', in: OLD, name: 'old' },
  { kind: 'unlink', ...place('store.new') },
  { kind: 'mkdir', ...place('store.new'), inode: NEW },
  { kind: 'create', in: NEW, name: 'new', inode: NEW_FILE },
  { kind: 'sync', inode: NEW },
  {
    kind: 'rename',
    ...{ from: place('store.new'), to: place('store') },
    ...{ inode: NEW, isDirectory: true },
  },
];

function imagesOf(ops: readonly DiskOp[], count: number): readonly string[] {
  const disk = makeCrashDisk();
  for (const op of ops) disk.done(op);
  const { unit } = seededRandom(1);
  return Array.from({ length: count }, (_, at) => {
    const { entries } = disk.cut(WAYS[at % WAYS.length] ?? 'all', unit);
    return [...entries.keys()].sort().join(' ');
  });
}

describe('what a rename leaves behind', () => {
  const found = new Set(imagesOf(AGAIN, 3_000));

  test('the new name is of what was renamed, never of what had the old name before it', () => {
    expect([...found].filter((names) => names.includes('store/old'))).toEqual([]);
  });

  test('it may be there although the first name never came to the disk, or not be there', () => {
    expect(found).toContain('store store.new store.new/old store/new');
    expect(found).toContain('store store/new');
    expect(found).toContain('store.new store.new/new');
    expect(found).toContain('');
  });
});
