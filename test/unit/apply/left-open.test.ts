/**
 * `holdfast stop` in the middle of a change: nothing is judged and nothing undone by what is no longer
 * there to be judged; the next start goes on with it, at whatever point it was, and counts no cut.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { leaveOpen, recordLeftOpen } from '#apply/leave-open.ts';
import { recover } from '#apply/recover.ts';
import { type Outcome, proveAndCommit, runTransaction } from '#apply/transaction.ts';
import { LIMITS } from '#state/limits.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { FLEET, value } from '../../support/store.ts';

const OLD = { a: '1', gone: '1' };
const NEW = { a: '2', b: '2' };
const never = new AbortController().signal;
let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

const apply = (sequence: number, wanted: Record<string, string>) =>
  runTransaction(world.context(), world.change(sequence, wanted, { windowMs: 1 }), never);

const rejections = () => value(world.store.rejected(FLEET, 'stable'));

/** Stopped as soon as the change is in this phase, as agent.ts does it; what is proven is then ill. */
async function stoppedIn(phase: 'activating' | 'proving', attemptsMax = 3): Promise<Outcome> {
  const abort = new AbortController();
  const context = world.context();
  const onPhase = (now: string): void => {
    if (now !== phase || abort.signal.aborted) return;
    leaveOpen(abort);
    value(recordLeftOpen(context, FLEET, 'stable'));
    world.sicken('apply.health-failed');
  };
  const change = { ...world.change(2, NEW, { windowMs: 1 }), attemptsMax };
  const outcome = await runTransaction({ ...context, onPhase }, change, abort.signal);
  world.sicken(null);
  return outcome;
}

for (const phase of ['activating', 'proving'] as const) {
  describe(`stopped while ${phase}`, () => {
    test('there is no verdict, and nothing is done behind the stop', async () => {
      await apply(1, OLD);
      world.calls.length = 0;
      expect(await stoppedIn(phase)).toMatchObject({
        kind: 'waiting',
        fault: { code: 'apply.stopped', retry: 'later' },
      });
      const activated = ['deactivate gone', 'activate a', 'activate b', 'prove'];
      const done = phase === 'proving' ? activated : [];
      expect(world.calls.filter((call) => !call.startsWith('prepare'))).toEqual(done);
      expect(world.row().intent).toMatchObject({ phase, tries: 1, restarting: true, stops: 1 });
      expect(rejections()).toEqual([]);
    });

    test('the next start goes on, with the only try that it has', async () => {
      await apply(1, OLD);
      await stoppedIn(phase, 1);
      const recovered = value(await recover(world.context(), world.row(), 1));
      if (recovered.kind === 'proving') {
        expect(world.row().intent?.tries).toBe(1);
        const end = await proveAndCommit(world.context(), recovered.change, never);
        expect(end.kind).toBe('applied');
      } else {
        expect(world.row().intent).toMatchObject({ phase: 'waiting', tries: 0, stops: 1 });
        expect(world.row().intent).not.toHaveProperty('restarting');
        expect((await apply(2, NEW)).kind).toBe('applied');
      }
      expect(world.row().applied?.sequence).toBe(2n);
      expect(rejections()).toEqual([]);
    });

    test('a cut after that start is counted like any other', async () => {
      await apply(1, OLD);
      await stoppedIn(phase, 1);
      const first = value(await recover(world.context(), world.row(), 1));
      if (first.kind === 'closed') {
        world.trouble([{ call: 4, kind: 'cut-before' }]);
        const again = { ...world.change(2, NEW, { windowMs: 1 }), attemptsMax: 1 };
        await runTransaction(world.context(), again, never).catch(() => undefined);
        world.trouble([]);
      }
      value(await recover(world.context(), world.row(), 1));
      expect(rejections()).toMatchObject([{ code: 'apply.crash-loop', point: { sequence: 2n } }]);
      expect(Object.keys(world.inForce())).toEqual(['a', 'gone']);
    });

    test('a state that is stopped again and again is judged in the end', async () => {
      await apply(1, OLD);
      let stops = 0;
      while (rejections().length === 0) {
        expect(stops).toBeLessThan(LIMITS.stopsMax + 6);
        const { intent } = world.row();
        if (!intent || intent.phase === 'waiting') await stoppedIn(phase);
        else {
          const going = value(await recover(world.context(), world.row(), 1));
          if (going.kind === 'closed') continue;
          const abort = new AbortController();
          leaveOpen(abort);
          value(recordLeftOpen(world.context(), FLEET, 'stable'));
          world.sicken('apply.health-failed');
          await proveAndCommit(world.context(), going.change, abort.signal);
          world.sicken(null);
        }
        stops += 1;
      }
      expect(stops).toBeGreaterThan(LIMITS.stopsMax);
      expect(rejections()).toMatchObject([{ code: 'apply.crash-loop' }]);
    });
  });
}

test('what has nothing to prove is applied when its last step is done, also while everything is stopped', async () => {
  const abort = new AbortController();
  const change = world.change(1, { a: '1' });
  const context = world.context();
  const [runtime] = [...context.runtimes.values()];
  if (!runtime) throw new Error('there is a runtime');
  const activate: typeof runtime.activate = (next, previous) => {
    leaveOpen(abort);
    value(recordLeftOpen(context, FLEET, 'stable'));
    return runtime.activate(next, previous);
  };
  const stopping = { ...context, runtimes: new Map([['files', { ...runtime, activate }]]) };
  expect((await runTransaction(stopping, change, abort.signal)).kind).toBe('applied');
  expect(world.row().intent).toBeNull();
});

test('an undo that is under way is not disturbed, and its verdict stands', async () => {
  await apply(1, OLD);
  world.sicken('apply.health-failed');
  const abort = new AbortController();
  const context = world.context();
  const onPhase = (phase: string): void => {
    if (phase !== 'undoing') return;
    leaveOpen(abort);
    value(recordLeftOpen(context, FLEET, 'stable'));
  };
  const change = world.change(2, NEW, { windowMs: 1 });
  const outcome = await runTransaction({ ...context, onPhase }, change, abort.signal);
  expect(outcome).toMatchObject({ kind: 'rejected', fault: { code: 'apply.health-failed' } });
  expect(world.row().intent).toBeNull();
});
