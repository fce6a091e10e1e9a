/**
 * Power cuts under the store, as images of what the disk may then hold; the long run is
 * `npm run store-images`. The controls show that a store without its syncs would be seen to lose.
 */
import { describe, expect, test } from 'bun:test';
import type { DiskOp } from '../support/disk-trace.ts';
import { missing, storeImages, summary } from './store-images.ts';

const IMAGES = Number(process.env.HOLDFAST_STORE_IMAGES ?? 2_000);
const SEED = Number(process.env.HOLDFAST_STORE_SEED ?? 1);
const able = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

describe('L06, L12: a power cut anywhere in the life of a store', () => {
  able(
    title(`loses nothing acknowledged, tears nothing, kills no process: ${IMAGES} images`),
    async () => {
      const tally = await storeImages({ images: IMAGES, seed: SEED });
      for (const line of summary(tally)) console.log(line);
      expect(tally.bad).toEqual([]);
      expect(tally.images).toBe(IMAGES);
      expect(Object.values(tally.ways).every((count) => count > IMAGES / 40)).toBe(true);
    },
    300_000,
  );

  for (const [name, drop] of [
    ['of its data', (op: DiskOp) => op.kind === 'sync'],
    ['of its first page', (op: DiskOp) => op.kind === 'write' && op.durable],
  ] as const) {
    able(
      title(`is seen to lose by a store that leaves out the sync ${name}`),
      async () => {
        const spoil = (ops: readonly DiskOp[]) =>
          ops.flatMap((op) => {
            if (!drop(op)) return [op];
            return op.kind === 'write' ? [{ ...op, durable: false }] : [];
          });
        const tally = await storeImages({ images: 128, seed: SEED, spoil });
        expect(tally.bad.length).toBeGreaterThan(10);
      },
      60_000,
    );
  }
});
