/** The check `alive` of containers, over what a look at the engine saw. */
import { expect, test } from 'bun:test';
import { checksOf } from '#apply/health.ts';
import { containersProbe } from '#apply/probes/containers.ts';
import type { Condition } from '#apply/runtimes/runtime.ts';
import type { Generation } from '#state/generation.ts';
import { manualClock } from '../../support/manual-clock.ts';

const of = { id: 'line' } as Generation;
const is = (running: Condition['running'], restarts = 0, message = ''): Condition => ({
  ...{ running, restarts, message, upMs: 0 },
});

function probing(first: Condition) {
  const clock = manualClock();
  const seen = { now: first };
  const probe = containersProbe(clock, () => seen.now);
  return { clock, seen, run: () => probe.run(of, 1_000, new AbortController().signal) };
}

test('containers that run are alive, however young; one that ended is not, by its name', async () => {
  const { seen, run } = probing(is('yes'));
  expect(await run()).toEqual({ healthy: true });
  seen.now = is('no', 0, 'web-1: exited with code 4');
  expect(await run()).toEqual({ healthy: false, reason: 'web-1: exited with code 4' });
});

test('one that its engine started again since the last look is not', async () => {
  const { seen, run } = probing(is('yes', 2));
  expect(await run()).toEqual({ healthy: true });
  seen.now = is('yes', 3);
  expect(await run()).toEqual({ healthy: false, reason: 'a container was started again' });
});

test('what nobody has looked at yet is waited for, but not for ever', async () => {
  const { clock, seen, run } = probing(is('starting', 0, 'not looked at yet'));
  const comes = run();
  await clock.advance(300);
  seen.now = is('yes', 5);
  await clock.advance(100);
  expect(await comes).toEqual({ healthy: true });
  seen.now = is('starting', 5, 'not looked at yet');
  const late = run();
  await clock.advance(1_000);
  expect(await late).toEqual({ healthy: false, reason: 'not looked at yet' });
});

test('every deployment of containers has it, unless its document has one of its own', () => {
  const profile = { kind: 'other', type: 'compose', components: [] } as const;
  const generation = (health: readonly unknown[]) =>
    ({ ...of, deployment: { profile, health } }) as unknown as Generation;
  expect(checksOf(generation([])).map(({ probe }) => probe.kind)).toEqual(['alive']);
  const own = { name: 'own', probe: { kind: 'alive' } };
  expect(checksOf(generation([own])).map(({ name }) => name)).toEqual(['own']);
});
