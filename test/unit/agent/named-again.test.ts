/** A state that a nudge named and that no mirror has yet is asked for again, a bounded number of times. */
import { expect, test } from 'bun:test';
import type { CycleEnd } from '#agent/cycle.ts';
import { namedAgain } from '#agent/named-again.ts';
import { fault } from '#errors/fault.ts';
import type { Wake } from '#triggers/trigger.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { seededRandom } from '../../support/seeded-random.ts';

const unchanged: CycleEnd = { kind: 'unchanged', source: 'r' };
const HOUR = 3_600_000;

function nudge(sequence: bigint): Extract<Wake, { kind: 'nudge' }> {
  const named = { stateDigest: null, manifestDigest: null, urgent: true };
  return { kind: 'nudge', channel: 'c', epoch: 1n, sequence, ...named };
}

function world(end: () => CycleEnd) {
  const clock = manualClock();
  const state = { floor: { epoch: 1n, sequence: 4n } };
  const looks: { readonly at: number; readonly sequence: bigint; readonly urgent: boolean }[] = [];
  const again = namedAgain({
    ...{ clock, random: seededRandom(1), floor: () => state.floor },
    wake(wake) {
      looks.push({ at: clock.monotonicMs(), sequence: wake.sequence, urgent: wake.urgent });
      again.looked(wake, end());
    },
  });
  return { clock, state, looks, again };
}

test('six looks, rarer each time, within half an hour, none of them urgent; then the schedule has it', async () => {
  const { clock, looks, again } = world(() => unchanged);
  again.looked(nudge(5n), unchanged);
  await clock.advance(24 * HOUR);
  expect(looks).toHaveLength(6);
  expect(looks.every(({ urgent }) => !urgent)).toBe(true);
  expect(looks[0]?.at).toBeGreaterThanOrEqual(10_000);
  expect(looks.at(-1)?.at).toBeLessThanOrEqual(HOUR / 2);
  // The same lie once more costs its own look alone.
  again.looked(nudge(5n), unchanged);
  await clock.advance(24 * HOUR);
  expect(looks).toHaveLength(6);
  expect(clock.pending()).toBe(0);
});

test('it ends when the state has come, by whatever way, and a higher name takes its place', async () => {
  const { clock, state, looks, again } = world(() => unchanged);
  again.looked(nudge(5n), unchanged);
  again.looked(nudge(7n), unchanged);
  await clock.advance(60_000);
  expect(new Set(looks.map(({ sequence }) => sequence))).toEqual(new Set([7n]));
  const before = looks.length;
  expect(before).toBeGreaterThan(0);
  state.floor = { epoch: 1n, sequence: 7n };
  again.looked({ kind: 'schedule' }, unchanged);
  await clock.advance(24 * HOUR);
  expect(looks).toHaveLength(before);
});

test('what is behind, refused or out of reach is not asked for again; a mirror that is behind is', async () => {
  const { clock, looks, again } = world(() => unchanged);
  again.looked(nudge(4n), unchanged);
  again.looked({ kind: 'schedule' }, unchanged);
  const broken = fault('agent.no-source', {});
  again.looked(nudge(5n), { kind: 'unreachable', fault: broken });
  again.looked(nudge(5n), { kind: 'refused', fault: broken, offered: '1:5' });
  await clock.advance(HOUR);
  expect(looks).toEqual([]);
  again.looked(nudge(5n), { kind: 'nothing', source: 'r' });
  again.stop();
  await clock.advance(HOUR);
  expect(looks).toEqual([]);
});
