/** An undo goes through the steps in reverse: what others need comes back before them. */
import { expect, test } from 'bun:test';
import { runTransaction } from '#apply/transaction.ts';
import { applyWorld } from '../../support/apply-world.ts';

test('a state that is not proven is undone last step first', async () => {
  const world = applyWorld();
  const apply = (sequence: number, wanted: Readonly<Record<string, string>>) =>
    runTransaction(
      world.context(),
      world.change(sequence, wanted, { windowMs: 1 }),
      new AbortController().signal,
    );
  await apply(1, { a: '1', b: '1', gone: '1' });
  world.sicken('apply.health-failed');
  world.calls.length = 0;
  const outcome = await apply(2, { a: '2', b: '1', c: '1' });
  expect(outcome.kind).toBe('rejected');
  expect(world.calls.slice(world.calls.indexOf('prove') + 1)).toEqual([
    'deactivate c',
    'activate a',
    'activate gone',
  ]);
  world.remove();
});
