/**
 * Real power cuts in small: the compiled agent on an ext4 whose disk forgets what was not flushed. The
 * long run, the replay and the controls are `npm run power`.
 */
import { describe, expect, test } from 'bun:test';
import { cutLive } from '../power/live.ts';
import { replay } from '../power/replay.ts';
import { noPower } from '../power/rig.ts';
import { missing } from '../support/plant.ts';

const CUTS = 6;
const IMAGES = 45;
const SEED = Number(process.env.HOLDFAST_POWER_SEED ?? Date.now() % 1_000_000);
const reason = missing ?? noPower;
const able = reason === null ? test : test.skip;
const title = (what: string) => (reason === null ? what : `${what} (${reason})`);

describe('B12: the power goes', () => {
  able(
    title(`${CUTS} times: the old or the new state, and nothing that was told is gone`),
    async () => {
      const tally = await cutLive({ cuts: CUTS, seed: SEED, lanes: 2 });
      const { cuts, dirty, waiting, flushes, held, bad } = tally;
      const found = `${dirty} found ${waiting} writes not flushed`;
      console.log(
        `${cuts} cuts (seed ${SEED}), ${found}, ${flushes} flushes, ${held} seen at ready`,
      );
      expect(bad).toEqual([]);
      // One change can take all the cuts; each is looked at in the end.
      expect(held).toBeGreaterThan(0);
      expect(flushes).toBeGreaterThan(20);
    },
    300_000,
  );

  able(
    title(`between any two flushes: ${IMAGES} images of one log are whole, some are started`),
    async () => {
      const asked = { images: IMAGES, seed: SEED, changes: 3, startEvery: 15 };
      const { images, started, flushes, bad } = await replay(asked);
      console.log(`${images} images (seed ${SEED}) of ${flushes} flushes, ${started} started`);
      expect(bad).toEqual([]);
      // No two are alike, and a short log does not give any number of them.
      expect(images).toBeGreaterThan(IMAGES * 0.7);
      expect(started).toBeGreaterThan(0);
      expect(flushes).toBeGreaterThan(20);
    },
    300_000,
  );

  able(
    title('and a file system that sends no barriers is seen to lose'),
    async () => {
      const asked = { cuts: 12, seed: 3, lanes: 2, options: 'barrier=0', untilBad: true };
      expect((await cutLive(asked)).bad).not.toEqual([]);
    },
    300_000,
  );
});
