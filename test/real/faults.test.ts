/**
 * Faults as operators meet them: `explain` and `doctor` both name the cause and the cure. Here some of
 * each kind; `npm run faults` plants all of them.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { ALL_FAULTS } from '../support/faults/all.ts';
import { judge } from '../support/faults/judge.ts';
import { type OpenWorld, openWorld } from '../support/faults/world.ts';
import { missing, type Parts, startParts } from '../support/plant.ts';

const SOME = [
  'wrong CA',
  'proxy wants a login (407)',
  'lagging mirror',
  'lagging mirror beside another',
  'proxy is down',
  'two channels want one target',
  'wrong channel',
  'revoked key',
  'read-only mount',
  'wrong clock: weeks ahead',
  'port of the metrics is in use',
  'mistake in agent.yaml',
  'waits for a maintenance window',
  'a change cut it off',
];

let parts: Parts;
let open: OpenWorld;
beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  open = await openWorld(parts);
});
afterAll(async () => {
  await open?.remove();
  await parts?.remove();
});

test('the table has at least 20 faults, each once, and those that are tried here', () => {
  const names = ALL_FAULTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(20);
  expect(SOME.filter((name) => !names.includes(name))).toEqual([]);
});

describe('explain and doctor name cause and cure of', () => {
  for (const fault of ALL_FAULTS.filter(({ name }) => SOME.includes(name))) {
    const why = missing ?? fault.lacking ?? null;
    const real = why === null ? test : test.skip;
    real(why === null ? fault.name : `${fault.name} (${why})`, async () => {
      const judged = await judge(open, fault);
      expect(judged.cause && judged.cure ? '' : judged.said).toBe('');
    });
  }
});
