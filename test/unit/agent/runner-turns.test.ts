/** The changes of several channels: one transaction at a time, each made on what the others leave. */
import { expect, test } from 'bun:test';
import { runner } from '#agent/runner.ts';
import { turns } from '#agent/turns.ts';
import type { ApplyContext } from '#apply/transaction.ts';
import { fault, refused } from '#errors/fault.ts';
import { sha256 } from '#state/digest.ts';

const point = { epoch: 1n, sequence: 2n, digest: sha256(Buffer.from('x')) } as const;
/** A change that ends before anything is accepted. */
const none = refused(fault('apply.superseded', { point: '1.2' }));

test('a change that was ready while another channel was at work is told so, and made anew', async () => {
  const desk = turns();
  const told: string[] = [];
  let made = 0;
  const run = runner({
    context: {} as ApplyContext,
    channel: 'stable',
    turns: desk,
    waits: (_, other) => void told.push(fault('agent.turn', { offered: '1.2', other }).message),
  });
  const end = await desk.take('oem', new AbortController().signal);
  const make = async () => {
    made += 1;
    return made === 1 ? { ok: true as const, value: {} as never } : none;
  };
  const ended = run.run({ point, manifestDigest: null, make });
  await Promise.resolve();
  await Promise.resolve();
  expect({ made, told }).toEqual({
    made: 1,
    told: [
      '1.2 waits: a change of the channel oem is under way, and this device makes one at a time',
    ],
  });
  end?.();
  expect(await ended).toMatchObject({ kind: 'not-made', fault: { code: 'apply.superseded' } });
  expect({ made, holder: desk.holder() }).toEqual({ made: 2, holder: null });
});

test('a newer state of the same channel takes the place of one that waits for its turn', async () => {
  const desk = turns();
  const run = runner({
    ...{ context: {} as ApplyContext, channel: 'stable', turns: desk },
    waits: () => undefined,
  });
  const end = await desk.take('oem', new AbortController().signal);
  const first = run.run({
    ...{ point, manifestDigest: null },
    make: async () => ({ ok: true as const, value: {} as never }),
  });
  const newer = run.run({
    point: { ...point, sequence: 3n },
    manifestDigest: null,
    make: async () => none,
  });
  expect(await first).toEqual({ kind: 'superseded' });
  end?.();
  expect(await newer).toMatchObject({ kind: 'not-made' });
});

test('halted: what waits for its turn is given up, and nothing is begun any more', async () => {
  const desk = turns();
  const run = runner({
    ...{ context: {} as ApplyContext, channel: 'stable', turns: desk },
    waits: () => undefined,
  });
  const end = await desk.take('oem', new AbortController().signal);
  let made = 0;
  const job = {
    ...{ point, manifestDigest: null },
    make: async () => {
      made += 1;
      return { ok: true as const, value: {} as never };
    },
  };
  const first = run.run(job);
  const newer = run.run({ ...job, point: { ...point, sequence: 3n } });
  await run.halt();
  expect([await first, await newer]).toEqual([{ kind: 'superseded' }, { kind: 'superseded' }]);
  end?.();
  const worked: string[] = [];
  await run.runOther(point, async () => void worked.push('begun'));
  expect([await run.run(job), worked, made]).toEqual([{ kind: 'superseded' }, [], 1]);
  expect(run.busy).toBe(false);
});
