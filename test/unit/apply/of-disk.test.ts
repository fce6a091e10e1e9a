/** A disk that is full, read-only or failing rejects no state, however often it ends a try. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { isOfDisk, wantsRoom } from '#apply/of-disk.ts';
import { recover } from '#apply/recover.ts';
import { runTransaction } from '#apply/transaction.ts';
import { type Code, FAULTS } from '#errors/fault.ts';
import { type ApplyWorld, applyWorld } from '../../support/apply-world.ts';
import { FLEET, value } from '../../support/store.ts';

const never = new AbortController().signal;
let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

const apply = (sequence: number, wanted: Readonly<Record<string, string>>) =>
  runTransaction(world.context(), world.change(sequence, wanted, { windowMs: 1 }), never);

async function failsOften(code: Code, times: number) {
  await apply(1, { a: '1', b: '1' });
  const before = world.inForce();
  for (let n = 0; n < times; n += 1) {
    // prepare a, prepare b, activate a, activate b
    world.trouble([{ call: 4, kind: 'fail', code }]);
    const outcome = await apply(2, { a: '2', b: '2' });
    expect(outcome).toMatchObject({ kind: 'waiting', fault: { code } });
    expect(world.inForce()).toEqual(before);
  }
}

describe('a try that the disk ended', () => {
  for (const code of [
    'platform.read-only',
    'platform.no-space',
    'platform.io',
    'store.io',
  ] as const) {
    test(`${code}: five times, then the state is applied`, async () => {
      await failsOften(code, 5);
      expect(world.row().intent).toMatchObject({ phase: 'waiting', tries: 0 });
      expect(value(world.store.rejected(FLEET, 'stable'))).toEqual([]);
      world.trouble([]);
      expect((await apply(2, { a: '2', b: '2' })).kind).toBe('applied');
    });
  }

  test('is no try of the state: one that fails by itself afterwards is still rejected', async () => {
    await failsOften('platform.read-only', 5);
    world.trouble([]);
    world.sicken('apply.health-failed');
    expect((await apply(2, { a: '2', b: '2' })).kind).toBe('rejected');
  });

  test('counts while it is under way: a cut then is a cut of the first try, no crash loop', async () => {
    await failsOften('platform.no-space', 4);
    world.trouble([{ call: 4, kind: 'cut-before' }]);
    await apply(2, { a: '2', b: '2' }).catch(() => undefined);
    expect(world.row().intent).toMatchObject({ phase: 'activating', tries: 1 });
    world.trouble([]);
    const recovered = value(await recover(world.context(), world.row(), 1));
    expect(recovered).toMatchObject({ kind: 'closed', outcome: { kind: 'waiting' } });
  });
});

test('only faults of the disk are: programs, hooks, targets and statements are not', () => {
  const all = Object.keys(FAULTS) as Code[];
  expect(all.filter(isOfDisk)).toEqual([
    'apply.no-space',
    'platform.io',
    'platform.no-space',
    'platform.read-only',
    'store.no-space',
    'store.io',
  ]);
  expect(all.filter(wantsRoom).every(isOfDisk)).toBe(true);
  expect(wantsRoom('platform.read-only')).toBe(false);
});
