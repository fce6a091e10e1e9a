/**
 * From `stuck` a newer state is planned forward from what is on disk. What only the stuck state had is
 * removed with it, also when that change is undone or cut: it belongs to no state any more.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { recover } from '#apply/recover.ts';
import { proveAndCommit, runTransaction } from '#apply/transaction.ts';
import { type ApplyWorld, applyWorld, Cut, type Trouble } from '../../support/apply-world.ts';
import { value } from '../../support/store.ts';

const never = new AbortController().signal;
let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

const apply = (sequence: number, wanted: Readonly<Record<string, string>>) =>
  runTransaction(world.context(), world.change(sequence, wanted, { windowMs: 1 }), never);

async function boot(trouble: Trouble[] = []): Promise<void> {
  world.trouble(trouble);
  const recovered = value(await recover(world.context(), world.row(), 1));
  if (recovered.kind === 'proving') await proveAndCommit(world.context(), recovered.change, never);
}

/** `a` is proven; the next state also has `stray`, fails, and `stray` cannot be removed. */
async function getStuck() {
  await apply(1, { a: '1' });
  const old = world.inForce();
  world.sicken('apply.health-failed');
  // prepare a, prepare stray, activate a, activate stray, prove, then the undo: stray!, a
  world.trouble([{ call: 6, kind: 'fail' }]);
  expect((await apply(2, { a: '2', stray: '1' })).kind).toBe('stuck');
  expect(Object.keys(world.inForce())).toEqual(['a', 'stray']);
  world.sicken(null);
  world.trouble([]);
  return old;
}

describe('a state that only a stuck one came before', () => {
  test('is applied, and what only the stuck one had is gone', async () => {
    await getStuck();
    expect((await apply(3, { a: '3' })).kind).toBe('applied');
    expect(Object.keys(world.inForce())).toEqual(['a']);
  });

  test('is undone to the proven state, not to what the stuck one had left', async () => {
    const old = await getStuck();
    world.sicken('apply.health-failed');
    expect((await apply(3, { a: '3' })).kind).toBe('rejected');
    expect(world.inForce()).toEqual(old);
  });

  for (const kind of ['cut-before', 'cut-after'] as const) {
    for (let call = 1; call <= 4; call += 1) {
      test(`${kind} ${call}: nothing of the stuck one is left after recovery`, async () => {
        const old = await getStuck();
        world.trouble([{ call, kind }]);
        await apply(3, { a: '3' }).catch((error) => {
          if (!(error instanceof Cut)) throw error;
        });
        for (let boots = 0; world.row().intent !== null && boots < 3; boots += 1) {
          await boot();
          if (world.row().intent?.phase === 'waiting') break;
        }
        expect(Object.keys(world.inForce())).toEqual(['a']);
        if (world.row().applied?.sequence === 1n) expect(world.inForce()).toEqual(old);
      });
    }
  }
});
