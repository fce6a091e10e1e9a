/**
 * kill -9 of the compiled agent, spread over the phases of the transition table: after each kill the
 * device is in the old or the new state, by its bytes, its programs' own answers, its signed status and
 * its audit journal. HOLDFAST_KILL_CYCLES (`npm run kill -- --cycles N`) asks for more, HOLDFAST_KILL_SEED for
 * the same choices again, HOLDFAST_KILL_MINUTES for an end whatever was done by then.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { missing, type Parts, startParts } from '../support/plant.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type Aim, type Kill, type Lane, makeLane } from './kill-lane.ts';

const CYCLES = Number(process.env.HOLDFAST_KILL_CYCLES ?? 100);
const SEED = Number(process.env.HOLDFAST_KILL_SEED ?? Date.now() % 1_000_000);
const UNTIL = Date.now() + Number(process.env.HOLDFAST_KILL_MINUTES ?? 60 * 24) * 60_000;
/** kills between two lines of a long run */
const SAY_EVERY = 250;
const LANES = 3;
/** in each phase, out of 100 */
const LEAST = 3;
const PHASES = ['idle', 'waiting', 'preparing', 'activating', 'proving', 'undoing', 'stuck'];
/** ms that one kill and what follows may take */
const CYCLE_MS = 12_000;

/** Kills aimed at one change each; the whole list has 53 kills. */
const PLANS: readonly (readonly Aim[])[] = [
  ...times(4, ['idle']),
  ...times(8, ['preparing']),
  ...times(8, ['activating']),
  ...times(3, ['activating', 'waiting']),
  ...times(2, ['activating', 'proving']),
  ...times(5, ['proving']),
  ...times(2, ['proving', 'activating']),
  ...times(5, ['undoing']),
  ...times(1, ['undoing', 'undoing']),
  ...times(3, ['stuck']),
  ...times(4, ['anywhere']),
];

function times(count: number, aims: readonly Aim[]): readonly (readonly Aim[])[] {
  return Array.from({ length: count }, () => aims);
}

/** In another order each time, whole rounds first, so that few kills are spread as well. */
function* plans(random: () => number): Generator<readonly Aim[]> {
  for (;;) {
    const keyed = PLANS.map((plan) => ({ plan, at: random() }));
    for (const { plan } of keyed.sort((left, right) => left.at - right.at)) yield plan;
  }
}

const able = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let lanes: readonly Lane[] = [];
beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  lanes = await Promise.all(
    Array.from({ length: LANES }, (_, index) => makeLane(parts, index, SEED)),
  );
});
afterAll(async () => {
  await Promise.all(lanes.map((lane) => lane.remove()));
  await parts?.remove();
}, 60_000);

describe('L12, B12: kill -9 of the agent', () => {
  able(
    title(`leaves the old or the new state, ${CYCLES} times`),
    async () => {
      const kills: Kill[] = [];
      const next = plans(seededRandom(SEED).unit);
      const run = async (lane: Lane) => {
        await lane.change([]);
        while (kills.length < CYCLES && Date.now() < UNTIL) {
          const { value: plan } = next.next();
          const done = await lane.change(plan ?? []);
          const before = kills.length;
          kills.push(...done);
          const round = (count: number) => Math.floor(count / SAY_EVERY);
          if (round(kills.length) > round(before)) console.log(`${kills.length} kills`);
        }
      };
      await Promise.all(lanes.map(run));
      await Promise.all(lanes.map((lane) => lane.audited()));
      const count = (phase: string) => kills.filter((kill) => kill.phase === phase).length;
      const spread = PHASES.map((phase) => `${phase} ${count(phase)}`).join(', ');
      const held = lanes.reduce((sum, lane) => sum + lane.heldStill(), 0);
      console.log(`${kills.length} kills (seed ${SEED}): ${spread}; ${held} seen at ready`);
      expect(held).toBeGreaterThan(kills.length / 4);
      expect(PHASES.filter((phase) => count(phase) < (kills.length < 100 ? 0 : LEAST))).toEqual([]);
    },
    CYCLES * CYCLE_MS,
  );
});
