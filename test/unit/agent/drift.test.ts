/** Drift: found, kept, repaired; reported only; flapping. */
import { expect, test } from 'bun:test';
import { type DriftEvent, drift } from '#agent/drift.ts';
import type { Deviation, Runtime } from '#apply/runtimes/runtime.ts';
import { ok } from '#errors/fault.ts';
import { generation } from '../../support/generations.ts';
import { manualClock } from '../../support/manual-clock.ts';

function world(options: { readonly mayRepair?: boolean; readonly report?: boolean } = {}) {
  const clock = manualClock();
  const events: DriftEvent[] = [];
  const calls: string[] = [];
  let deviations: readonly Deviation[] = [];
  const runtime: Runtime = {
    type: 'files',
    prepare: async () => ok(undefined),
    async activate() {
      calls.push('activate');
      deviations = [];
      return ok(undefined);
    },
    deactivate: async () => ok(undefined),
    inspect: async () => ok(deviations),
    async keepFound() {
      calls.push('keep');
      return ok([]);
    },
    condition: () => ({ running: 'not-applicable', upMs: 0, restarts: 0, message: '' }),
    sweep: async () => ok(undefined),
  };
  const watch = drift({
    clock,
    runtimeOf: () => runtime,
    mayRepair: () => options.mayRepair ?? true,
    tell: (event) => void events.push(event),
  });
  const one = generation({ id: 'line' });
  const wanted = options.report
    ? { ...one, deployment: { ...one.deployment, drift: 'report' as const } }
    : one;
  return {
    clock,
    events,
    calls,
    watch,
    edit() {
      deviations = [{ what: '/opt/line', found: 'other bytes' }];
    },
    pass: () => watch.pass([wanted], 'stat'),
  };
}

const kinds = (events: readonly DriftEvent[]) => events.map(({ kind }) => kind);

test('what was changed is kept, then repaired, and both are told', async () => {
  const { edit, pass, calls, events, watch } = world();
  edit();
  await pass();
  expect(calls).toEqual(['keep', 'activate']);
  expect(kinds(events)).toEqual(['found', 'repaired']);
  expect(watch.found().size).toBe(0);
});

test('drift: report tells once and leaves it', async () => {
  const { edit, pass, calls, events, watch } = world({ report: true });
  edit();
  await pass();
  await pass();
  expect(calls).toEqual([]);
  expect(kinds(events)).toEqual(['found']);
  expect(watch.found().size).toBe(1);
});

test('nothing is repaired during a pause, a hold or an apply', async () => {
  const { edit, pass, calls } = world({ mayRepair: false });
  edit();
  await pass();
  expect(calls).toEqual([]);
});

test('the fourth change in ten minutes ends the repairs: drift.flapping', async () => {
  const { edit, pass, calls, events, watch } = world();
  for (let change = 0; change < 4; change += 1) {
    edit();
    await pass();
  }
  expect(calls.filter((call) => call === 'activate')).toHaveLength(3);
  const last = events.at(-1);
  expect(last?.kind === 'flapping' && last.fault.code).toBe('drift.flapping');
  await pass();
  expect(calls.filter((call) => call === 'activate')).toHaveLength(3);
  watch.reset();
  await pass();
  expect(calls.filter((call) => call === 'activate')).toHaveLength(4);
});

test('three changes an hour apart are three repairs', async () => {
  const { edit, pass, calls, clock } = world();
  for (let change = 0; change < 5; change += 1) {
    edit();
    await pass();
    await clock.advance(3_600_000);
  }
  expect(calls.filter((call) => call === 'activate')).toHaveLength(5);
});
