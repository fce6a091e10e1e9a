/**
 * A try whose second half is done by the agent that starts anew by its own will: no cut is counted,
 * and one that is cut all the same is, so that the number of starts stays bounded (check 20).
 */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { handedOver, takenUp } from '#apply/journal.ts';
import { recover } from '#apply/recover.ts';
import { proveAndCommit, runTransaction } from '#apply/transaction.ts';
import { type ApplyWorld, applyWorld, Cut } from '../../support/apply-world.ts';
import { value } from '../../support/store.ts';

const never = new AbortController().signal;
let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

/** In phase activating, everything in force; then the row as the transaction leaves it. */
async function handOver(attemptsMax: number): Promise<void> {
  const change = { ...world.change(1, { a: '1' }, { windowMs: 1 }), attemptsMax };
  world.trouble([{ call: 3, kind: 'cut-before' }]);
  await expect(runTransaction(world.context(), change, never)).rejects.toBeInstanceOf(Cut);
  expect(world.row().intent?.phase).toBe('proving');
  const row = world.row();
  const before = { ...row, intent: row.intent && { ...row.intent, phase: 'activating' as const } };
  value(world.store.transaction((tx) => tx.putChannel(handedOver(before))));
  world.trouble([]);
}

test('the last try that is allowed is proven after the start, and not counted', async () => {
  await handOver(1);
  const recovered = value(await recover(world.context(), world.row(), 1));
  if (recovered.kind !== 'proving') throw new Error(recovered.kind);
  expect(world.row().intent).toMatchObject({ phase: 'proving', tries: 1 });
  expect(world.row().intent).not.toHaveProperty('restarting');
  const outcome = await proveAndCommit(world.context(), recovered.change, never);
  expect(outcome.kind).toBe('applied');
});

test('cut after it was taken up: counted like any other, and undone', async () => {
  await handOver(1);
  value(await recover(world.context(), world.row(), 1));
  const again = value(await recover(world.context(), world.row(), 1));
  expect(again).toMatchObject({
    kind: 'closed',
    outcome: { kind: 'rejected', fault: { code: 'apply.crash-loop' } },
  });
  expect(world.inForce()).toEqual({});
});

test('a row that is handed over and taken up is the row in phase proving', async () => {
  await handOver(3);
  const { restarting, ...intent } = world.row().intent ?? {};
  expect(restarting).toBe(true);
  expect(takenUp(world.row()).intent).toEqual(intent as never);
});
