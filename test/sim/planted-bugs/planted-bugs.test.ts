/** The simulator sees: some planted bugs are found within their number of seeds, all are still there to plant. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { planted } from '../../../scripts/mutants.ts';
import { copyTree, hunt } from './hunt.ts';
import { PLANTED, QUICK } from './list.ts';

const SRC = join(import.meta.dir, '../../../src');
let tree: ReturnType<typeof copyTree>;
beforeAll(() => {
  tree = copyTree();
});
afterAll(() => tree.remove());

test('there are at least 25, each with a place of its own in the source', () => {
  expect(PLANTED.length).toBeGreaterThanOrEqual(25);
  for (const bug of PLANTED) {
    const text = readFileSync(join(SRC, bug.file), 'utf8');
    expect(planted(text, { ...bug, tests: [], compiled: false })).not.toBe(text);
  }
});

describe('the simulator finds, within its number of seeds:', () => {
  for (const bug of PLANTED.filter(({ name }) => QUICK.includes(name))) {
    test(bug.name, async () => {
      const { seed } = await hunt(tree.path, bug);
      expect(seed).not.toBeNull();
    });
  }
});
