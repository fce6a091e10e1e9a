/** The transaction and its recovery: a failure at every call, a cut at every call and again in recovery. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { recover } from '#apply/recover.ts';
import { type Outcome, proveAndCommit, runTransaction } from '#apply/transaction.ts';
import { fault } from '#errors/fault.ts';
import { comparePoints } from '#state/point.ts';
import {
  type ApplyWorld,
  applyWorld,
  Cut,
  type Trouble,
  type Wanted,
} from '../../support/apply-world.ts';
import { FLEET, value } from '../../support/store.ts';

const OLD: Wanted = { a: '1', b: '1', gone: '1' };
const NEW: Wanted = { a: '2', b: '1', c: '1' };
const never = new AbortController().signal;

let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

const apply = (sequence: number, wanted: Wanted) =>
  runTransaction(world.context(), world.change(sequence, wanted, { windowMs: 1 }), never);

/** Boots and boots again until nothing is open; a cut may come in every one of them. */
async function boots(cuts: readonly Trouble[][]): Promise<number> {
  for (let boot = 0; ; boot += 1) {
    expect(boot).toBeLessThan(10);
    world.trouble(cuts[boot] ?? []);
    try {
      const recovered = value(await recover(world.context(), world.row(), 1));
      if (recovered.kind === 'proving')
        await proveAndCommit(world.context(), recovered.change, never);
      return boot;
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
    }
  }
}

async function expectApplied(outcome: Promise<Outcome>): Promise<void> {
  expect((await outcome).kind).toBe('applied');
}

test('checks 19 to 22: a change is applied in order: prepare all, accept, remove, activate, prove, commit', async () => {
  await expectApplied(apply(1, OLD));
  world.calls.length = 0;
  world.phases.length = 0;
  await expectApplied(apply(2, NEW));
  expect(world.calls).toEqual([
    'prepare a',
    'prepare c',
    'deactivate gone',
    'activate a',
    'activate c',
    'prove',
  ]);
  expect(world.phases).toEqual(['activating', 'proving', 'idle']);
  expect(world.row().applied?.sequence).toBe(2n);
  expect(world.row().previous.map(({ sequence }) => sequence)).toEqual([1n]);
});

test('what the operator barred while it was prepared is not accepted, and waits', async () => {
  await expectApplied(apply(1, OLD));
  const old = world.inForce();
  const before = world.store.transactionId();
  const why = fault('agent.paused', { offered: '1.2' });
  const context = { ...world.context(), barred: () => why };
  const change = world.change(2, NEW);
  expect(await runTransaction(context, change, never)).toEqual({ kind: 'waiting', fault: why });
  expect([world.inForce(), world.row().floor?.sequence]).toEqual([old, 1n]);
  expect(world.store.transactionId()).toBe(before);
});

test('without checks and window the whole change costs two commits', async () => {
  await expectApplied(apply(1, OLD));
  const before = world.store.transactionId();
  const change = world.change(2, NEW);
  await expectApplied(runTransaction(world.context(), change, never));
  expect(world.store.transactionId() - before).toBe(2);
});

describe('fail step k of n', () => {
  for (let k = 1; k <= 6; k += 1) {
    test(`call ${k} fails: the old state is back, nothing says applied, the statement is refused`, async () => {
      await expectApplied(apply(1, OLD));
      const before = world.inForce();
      world.trouble([{ call: k, kind: 'fail' }]);
      const outcome = await apply(2, NEW);
      expect(outcome.kind).toBe('rejected');
      expect(world.inForce()).toEqual(before);
      expect(world.row().applied?.sequence).toBe(1n);
      expect(world.row().intent).toBeNull();
      const accepted = k > 2;
      expect(world.row().floor?.sequence).toBe(accepted ? 2n : 1n);
      const rejected = value(world.store.rejected(FLEET, 'stable'));
      expect(rejected.map(({ point }) => point.sequence)).toEqual(accepted ? [2n] : []);
    });
  }
  test('an unhealthy state is undone and rejected by its code', async () => {
    await expectApplied(apply(1, OLD));
    const before = world.inForce();
    world.sicken('apply.health-failed');
    const outcome = await apply(2, NEW);
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { code: 'apply.health-failed' } });
    expect(world.inForce()).toEqual(before);
  });
  test('an undo that fails is stuck and degraded; a later undo ends it', async () => {
    await expectApplied(apply(1, OLD));
    const before = world.inForce();
    // prepare a, prepare c, deactivate gone, activate a!, then the undo: c, a!, gone
    world.trouble([
      { call: 4, kind: 'fail' },
      { call: 6, kind: 'fail' },
    ]);
    expect((await apply(2, NEW)).kind).toBe('stuck');
    expect(world.row().intent?.phase).toBe('stuck');
    expect(world.row().degraded).toBe('apply.reload-failed');
    await boots([]);
    expect(world.inForce()).toEqual(before);
    expect(world.row().intent).toBeNull();
  });
});

describe('a power cut at call k, and again in recovery', () => {
  for (const kind of ['cut-before', 'cut-after'] as const) {
    for (let k = 1; k <= 6; k += 1) {
      for (let again = 0; again <= 6; again += 1) {
        const second = again === 0 ? '' : `, again at call ${again} of recovery`;
        test(`${kind} ${k}${second}: the old or the new state, whole; the floor never falls`, async () => {
          await expectApplied(apply(1, OLD));
          const old = world.inForce();
          world.trouble([{ call: k, kind }]);
          await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
          const floor = world.row().floor;
          await boots(again === 0 ? [] : [[{ call: again, kind }]]);
          const row = world.row();
          const applied = row.applied?.sequence;
          expect(applied === 1n || applied === 2n).toBe(true);
          if (applied === 1n) expect(world.inForce()).toEqual(old);
          else expect(Object.keys(world.inForce())).toEqual(['a', 'b', 'c']);
          expect(floor && row.floor && comparePoints(row.floor, floor)).toBeGreaterThanOrEqual(0);
          expect(row.intent === null || row.intent.phase === 'waiting').toBe(true);
        });
      }
    }
  }
});

describe('check 20: a state that is cut every time is given up', () => {
  test('cut in every activation: rejected as a crash loop after attempts_max tries', async () => {
    await expectApplied(apply(1, OLD));
    const old = world.inForce();
    let tries = 0;
    for (; world.row().intent !== null || tries === 0; tries += 1) {
      expect(tries).toBeLessThan(10);
      world.trouble([{ call: 4, kind: 'cut-after' }]);
      await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
      await boots([]);
    }
    expect(tries).toBe(3);
    const [rejected] = value(world.store.rejected(FLEET, 'stable'));
    expect(rejected?.code).toBe('apply.crash-loop');
    expect(world.inForce()).toEqual(old);
  });
  test('cut in every proof: rejected as a crash loop, the old state back', async () => {
    await expectApplied(apply(1, OLD));
    const old = world.inForce();
    world.trouble([{ call: 6, kind: 'cut-before' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    // Recovery activates three steps again, then proves: cut there every time.
    const cut: Trouble[] = [{ call: 4, kind: 'cut-before' }];
    await boots([cut, cut, cut, cut]);
    const [rejected] = value(world.store.rejected(FLEET, 'stable'));
    expect(rejected?.code).toBe('apply.crash-loop');
    expect(world.inForce()).toEqual(old);
  });
  test('a cut that does not come again costs one try: the state is applied after all', async () => {
    await expectApplied(apply(1, OLD));
    world.trouble([{ call: 4, kind: 'cut-after' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    await boots([]);
    expect(world.row().intent).toMatchObject({
      phase: 'waiting',
      tries: 1,
      failure: { code: 'apply.interrupted' },
    });
    world.trouble([]);
    await expectApplied(apply(2, NEW));
    expect(world.row().applied?.sequence).toBe(2n);
  });
});

describe('a full disk', () => {
  test('at acceptance: nothing changed, it waits', async () => {
    await expectApplied(apply(1, OLD));
    const old = world.inForce();
    const change = world.change(2, NEW, { windowMs: 1 });
    world.engine.failures.push('store.no-space');
    const outcome = await runTransaction(world.context(), change, never);
    expect(outcome).toMatchObject({ kind: 'waiting', fault: { code: 'store.no-space' } });
    expect(world.inForce()).toEqual(old);
    expect(world.row().floor?.sequence).toBe(1n);
  });
  test('at the commit: undone, and tried again while tries are left', async () => {
    await expectApplied(apply(1, OLD));
    const old = world.inForce();
    const change = world.change(2, NEW);
    const context = world.context();
    const full = { ...context, onPhase: () => void world.engine.failures.push('store.no-space') };
    const outcome = await runTransaction({ ...full, beside: context.beside }, change, never);
    world.engine.failures.length = 0;
    expect(outcome.kind === 'waiting' || outcome.kind === 'stuck').toBe(true);
    expect(world.inForce()).toEqual(old);
    await boots([]);
    expect(world.inForce()).toEqual(old);
    await expectApplied(apply(2, NEW));
  });
});

test('superseded in the middle: undone, not rejected, and a newer one is planned anew', async () => {
  await expectApplied(apply(1, OLD));
  const old = world.inForce();
  const abort = new AbortController();
  const change = world.change(2, NEW, { windowMs: 1 });
  const context = { ...world.context(), onPhase: () => abort.abort() };
  const outcome = await runTransaction(context, change, abort.signal);
  expect(outcome.kind).toBe('superseded');
  expect(world.inForce()).toEqual(old);
  expect(value(world.store.rejected(FLEET, 'stable'))).toEqual([]);
  await expectApplied(apply(3, NEW));
});

describe('superseded, and cut while it is undone: the old state, and no verdict on the new one', () => {
  for (const kind of ['cut-before', 'cut-after'] as const) {
    for (const call of [3, 4, 5]) {
      test(`${kind} at call ${call}`, async () => {
        await expectApplied(apply(1, OLD));
        const old = world.inForce();
        const abort = new AbortController();
        const change = world.change(2, NEW, { windowMs: 1 });
        const context = { ...world.context(), onPhase: () => abort.abort() };
        world.trouble([{ call, kind }]);
        await expect(runTransaction(context, change, abort.signal)).rejects.toBeInstanceOf(Cut);
        await boots([]);
        expect([world.inForce(), world.row().intent]).toEqual([old, null]);
        expect(value(world.store.rejected(FLEET, 'stable'))).toEqual([]);
        await expectApplied(apply(2, NEW));
      });
    }
  }
});
