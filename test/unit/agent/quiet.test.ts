/** When memory is given back: once, after a while without news. */
import { expect, test } from 'bun:test';
import { QUIET_MS, quiet } from '#agent/quiet.ts';
import { manualClock } from '../../support/manual-clock.ts';

function made() {
  const clock = manualClock();
  const world = { released: 0, busy: false };
  const release = () => {
    world.released += 1;
  };
  return { clock, world, stir: quiet(clock, { release }, () => world.busy) };
}

test('memory is given back once, a while after the last thing that happened', async () => {
  const { clock, world, stir } = made();
  stir();
  await clock.advance(QUIET_MS - 1);
  stir();
  await clock.advance(QUIET_MS - 1);
  expect(world.released).toBe(0);
  await clock.advance(1);
  expect(world.released).toBe(1);
  await clock.advance(100 * QUIET_MS);
  expect(world.released).toBe(1);
  expect(clock.pending()).toBe(0);
});

test('not while a change is under way', async () => {
  const { clock, world, stir } = made();
  world.busy = true;
  stir();
  await clock.advance(3 * QUIET_MS);
  expect(world.released).toBe(0);
  world.busy = false;
  await clock.advance(QUIET_MS);
  expect(world.released).toBe(1);
});
