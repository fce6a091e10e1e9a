/**
 * A statement that comes into force deployment by deployment: each by itself, undone by itself, what
 * needs it waiting; cut at every call and again in recovery, the row says what is in force.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { collect, keptStates } from '#agent/collect.ts';
import { toldApplied, wholeInForce } from '#apply/journal.ts';
import { runChange } from '#apply/parts.ts';
import { provenOf, recover } from '#apply/recover.ts';
import {
  type ApplyContext,
  type Moment,
  type Outcome,
  proveAndCommit,
} from '#apply/transaction.ts';
import { fault } from '#errors/fault.ts';
import type { StateRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import {
  type ApplyWorld,
  applyWorld,
  Cut,
  type Trouble,
  type Wanted,
} from '../../support/apply-world.ts';
import { FLEET, value } from '../../support/store.ts';

const OLD: Wanted = { a: '1', b: '1', gone: '1' };
const NEW: Wanted = { a: '2', b: '2', c: '1' };
const never = new AbortController().signal;

let world: ApplyWorld;
let moments: Moment[];
beforeEach(() => {
  world = applyWorld();
  moments = [];
});
afterEach(() => world.remove());

function context(): ApplyContext {
  return { ...world.context(), beside: (_, moment) => void moments.push(moment) };
}

interface Options {
  readonly needs?: Readonly<Record<string, readonly string[]>>;
  readonly targets?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly whole?: boolean;
}

function apply(sequence: number, wanted: Wanted, options: Options = {}): Promise<Outcome> {
  const { signal = never, whole = false, ...rest } = options;
  const change = world.change(sequence, wanted, { windowMs: 1, inParts: !whole, ...rest });
  return runChange(context(), change, signal);
}

function stateRow(): StateRow | null {
  const { floor } = world.row();
  return floor && value(world.store.state(FLEET, 'stable', floor.stateDigest));
}

const openIds = () => (stateRow()?.open?.parts ?? []).map(({ id }) => id);
const rejected = () =>
  value(world.store.rejected(FLEET, 'stable')).map(({ code, deployment }) => [code, deployment]);

/** What the rows say is in force. */
function proven(): Readonly<Record<string, Digest>> {
  const generations = value(provenOf(world.context(), world.row()));
  return Object.fromEntries(generations.map(({ id, digest }) => [id, digest]).sort());
}

const digestsOf = (sequence: number, wanted: Wanted): Readonly<Record<string, Digest>> =>
  Object.fromEntries(
    world.change(sequence, wanted).stateRow.generations.map(({ id, digest }) => [id, digest]),
  );

describe('deployment by deployment', () => {
  test('each is prepared, activated and proven by itself, removals first', async () => {
    await apply(1, OLD, { whole: true });
    world.calls.length = 0;
    expect((await apply(2, NEW)).kind).toBe('applied');
    expect(world.calls).toEqual([
      ...['deactivate gone', 'prove'],
      ...['prepare a', 'activate a', 'prove'],
      ...['prepare b', 'activate b', 'prove'],
      ...['prepare c', 'activate c', 'prove'],
    ]);
    const row = world.row();
    expect(row).toMatchObject({ intent: null, applied: { sequence: 2n } });
    expect(row.partly).toBeUndefined();
    expect(stateRow()?.open).toBeUndefined();
    expect(stateRow()?.generations.some(({ statement }) => statement !== undefined)).toBe(false);
    expect(row.previous.map(({ sequence }) => sequence)).toEqual([1n]);
    expect(world.inForce()).toEqual(digestsOf(2, NEW));
    expect(moments.filter(({ kind }) => kind === 'accepted').length).toBe(2);
  });

  test('one that fails is undone alone; the others go on; the statement is told as rejected', async () => {
    await apply(1, OLD, { whole: true });
    const old = digestsOf(1, OLD);
    // deactivate gone, prove, prepare a, activate a!
    world.trouble([{ call: 4, kind: 'fail' }]);
    const outcome = await apply(2, NEW);
    expect(outcome).toMatchObject({ kind: 'rejected', fault: { code: 'apply.reload-failed' } });
    const fresh = digestsOf(2, NEW);
    expect(world.inForce()).toEqual({
      a: old.a as Digest,
      b: fresh.b as Digest,
      c: fresh.c as Digest,
    });
    expect(proven()).toEqual(world.inForce());
    expect(openIds()).toEqual(['a']);
    expect(rejected()).toEqual([['apply.reload-failed', 'a']]);
    const row = world.row();
    expect(row).toMatchObject({ intent: null, floor: { sequence: 2n }, applied: { sequence: 2n } });
    expect([wholeInForce(row), toldApplied(row)?.sequence]).toEqual([null, 1n]);
    expect(moments.at(-1)).toMatchObject({ kind: 'settled', left: ['a'] });
    const lines = value(world.store.history(9)).map(({ outcome, deployment }) => [
      outcome,
      deployment,
    ]);
    expect(lines.slice(0, 5)).toEqual([
      ['rejected', undefined],
      ['applied', 'c'],
      ['applied', 'b'],
      ['undone', 'a'],
      ['applied', 'gone'],
    ]);
  });

  test('what needs one that failed waits, and is told why; the rest goes on', async () => {
    await apply(1, { a: '1', b: '1', z: '1' }, { whole: true });
    // prepare a, activate a!
    world.trouble([{ call: 2, kind: 'fail' }]);
    await apply(2, { a: '2', b: '2', z: '2' }, { needs: { b: ['a'] } });
    const [old, fresh] = [digestsOf(1, { a: '1', b: '1', z: '1' }), digestsOf(2, { z: '2' })];
    expect(world.inForce()).toEqual({ ...old, z: fresh.z as Digest } as never);
    const parts = stateRow()?.open?.parts ?? [];
    expect(parts.map(({ id, failure }) => [id, failure?.code])).toEqual([
      ['a', 'apply.reload-failed'],
      ['b', 'apply.held-back'],
    ]);
    expect(parts[1]).toMatchObject({ ended: false, tries: 0 });
  });

  test('a removal waits for what still needs it', async () => {
    const needs = { b: ['gone'] };
    await apply(1, OLD, { whole: true, needs });
    // b first now (it needed gone): prepare b, activate b!
    world.trouble([
      { call: 2, kind: 'fail' },
      { call: 5, kind: 'fail' },
    ]);
    await apply(2, { b: '2' });
    expect(Object.keys(world.inForce())).toContain('gone');
    expect(openIds()).toContain('gone');
    expect(proven()).toEqual(world.inForce());
  });

  test('a target that changes hands goes with both, and comes back with both', async () => {
    await apply(1, { a: '1' }, { whole: true, targets: { a: 'x' } });
    const old = world.inForce();
    // prepare b, deactivate a, activate b!
    world.trouble([{ call: 3, kind: 'fail' }]);
    expect((await apply(2, { b: '1' }, { targets: { b: 'x' } })).kind).toBe('rejected');
    expect(world.inForce()).toEqual(old);
    expect(openIds().sort()).toEqual(['a', 'b']);
    // None of it came into force: what was is whole.
    expect(wholeInForce(world.row())?.sequence).toBe(1n);
  });

  test('what fails before it is begun has begun nothing, and the others go on', async () => {
    world.trouble([{ call: 1, kind: 'fail' }]);
    expect((await apply(1, { a: '1', b: '1' })).kind).toBe('rejected');
    expect(Object.keys(world.inForce())).toEqual(['b']);
    expect(stateRow()?.open?.parts).toMatchObject([{ id: 'a', tries: 0, ended: true }]);
  });

  test('with the statement the count of a part is kept: the same one does not begin again', async () => {
    await apply(1, OLD, { whole: true });
    world.trouble([{ call: 4, kind: 'fail' }]);
    await apply(2, NEW);
    world.trouble([]);
    world.calls.length = 0;
    expect((await apply(2, NEW)).kind).toBe('rejected');
    expect(world.calls).toEqual([]);
  });

  test('the next statement is planned from what is in force, and makes it whole', async () => {
    await apply(1, OLD, { whole: true });
    world.trouble([{ call: 4, kind: 'fail' }]);
    await apply(2, NEW);
    world.trouble([]);
    world.calls.length = 0;
    expect((await apply(3, { a: '3', b: '2', c: '1' })).kind).toBe('applied');
    expect(world.calls).toEqual(['prepare a', 'activate a', 'prove']);
    const row = world.row();
    expect([row.partly, row.applied?.sequence]).toEqual([undefined, 3n]);
    expect(stateRow()?.generations.some(({ statement }) => statement !== undefined)).toBe(false);
    // Back to what was in force before: in part, as it was.
    expect(row.previous.map(({ sequence }) => sequence)).toEqual([2n, 1n]);
  });

  test('a whole statement over one in part is undone to just what was in force', async () => {
    await apply(1, OLD, { whole: true });
    world.trouble([{ call: 4, kind: 'fail' }]);
    await apply(2, NEW);
    const before = world.inForce();
    world.trouble([{ call: 4, kind: 'fail' }]);
    expect((await apply(3, { a: '3', d: '1' }, { whole: true })).kind).toBe('rejected');
    expect(world.inForce()).toEqual(before);
    expect(proven()).toEqual(before);
    expect(world.row()).toMatchObject({
      applied: { sequence: 2n },
      partly: { whole: { sequence: 1n } },
    });
  });

  test('superseded between two parts: what is in force stays, the next one goes on from there', async () => {
    await apply(1, OLD, { whole: true });
    const stop = new AbortController();
    const change = world.change(2, NEW, { windowMs: 1, inParts: true });
    const ends = { ...context(), onPhase: () => void (world.calls.length > 8 && stop.abort()) };
    world.calls.length = 0;
    expect((await runChange(ends, change, stop.signal)).kind).toBe('superseded');
    expect(proven()).toEqual(world.inForce());
    expect(openIds().length).toBeGreaterThan(0);
    expect(rejected()).toEqual([]);
    expect((await apply(3, NEW)).kind).toBe('applied');
    expect(world.inForce()).toEqual(digestsOf(3, NEW));
  });

  test('paused between two parts: nothing more is begun', async () => {
    await apply(1, OLD, { whole: true });
    const change = world.change(2, NEW, { inParts: true });
    const why = fault('agent.paused', { offered: '1.2' });
    world.calls.length = 0;
    const barred = () => (world.calls.length > 2 ? why : null);
    const outcome = await runChange({ ...context(), barred }, change, never);
    expect(outcome).toEqual({ kind: 'waiting', fault: why });
    expect(proven()).toEqual(world.inForce());
    expect(world.row().intent).toMatchObject({ phase: 'waiting', tries: 0 });
    expect((await apply(2, NEW)).kind).toBe('applied');
  });

  test('an undo that sticks stops the others; a newer state goes forward from it', async () => {
    await apply(1, OLD, { whole: true });
    // gone goes (2 calls), prepare a, activate a!, its undo!
    world.trouble([
      { call: 4, kind: 'fail' },
      { call: 5, kind: 'fail' },
    ]);
    expect((await apply(2, NEW)).kind).toBe('stuck');
    expect(world.row().intent?.phase).toBe('stuck');
    world.trouble([{ call: 5, kind: 'fail' }]);
    expect((await apply(3, { a: '3', d: '1' }, { whole: true })).kind).toBe('rejected');
    // Undone to what was proven of 2.
    const old = digestsOf(1, OLD);
    expect(world.inForce()).toEqual({ a: old.a as Digest, b: old.b as Digest });
    expect(proven()).toEqual(world.inForce());
    world.trouble([]);
    expect((await apply(4, { a: '4' }, { whole: true })).kind).toBe('applied');
    expect(Object.keys(world.inForce())).toEqual(['a']);
  });
});

/** Boots and boots again until nothing is open; a cut may come in every one of them. */
async function boots(cuts: readonly Trouble[][]): Promise<void> {
  for (let boot = 0; ; boot += 1) {
    expect(boot).toBeLessThan(10);
    world.trouble(cuts[boot] ?? []);
    try {
      const recovered = value(await recover(context(), world.row(), 1));
      if (recovered.kind === 'proving') await proveAndCommit(context(), recovered.change, never);
      return;
    } catch (error) {
      if (!(error instanceof Cut)) throw error;
    }
  }
}

describe('a power cut at call k, and again in recovery', () => {
  for (const kind of ['cut-before', 'cut-after'] as const) {
    for (let k = 1; k <= 11; k += 1) {
      for (const again of [0, 1, 2, 3]) {
        const second = again === 0 ? '' : `, again at call ${again} of recovery`;
        test(`${kind} ${k}${second}: each deployment is whole, as the row says; then it goes on`, async () => {
          await apply(1, OLD, { whole: true });
          const old = digestsOf(1, OLD);
          const fresh = digestsOf(2, NEW);
          world.trouble([{ call: k, kind }]);
          await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
          await boots(again === 0 ? [] : [[{ call: again, kind }]]);
          const now = world.inForce();
          expect(proven()).toEqual(now);
          for (const id of ['a', 'b', 'c', 'gone']) {
            expect([old[id], fresh[id]]).toContain(now[id] as never);
          }
          expect(world.row().intent?.phase ?? 'waiting').toBe('waiting');
          world.trouble([]);
          expect((await apply(2, NEW)).kind).toBe('applied');
          expect(world.inForce()).toEqual(fresh);
          expect(proven()).toEqual(world.inForce());
        });
      }
    }
  }

  test('a part that is cut every time ends as a crash loop, the others come into force', async () => {
    await apply(1, OLD, { whole: true });
    let cuts = 0;
    for (; cuts < 9; cuts += 1) {
      // The first time `gone` goes before it.
      const over = stateRow()?.open?.parts.find(({ id }) => id === 'a')?.ended === true;
      world.trouble(over ? [] : [{ call: cuts === 0 ? 4 : 2, kind: 'cut-after' }]);
      const cut = await apply(2, NEW).then(
        () => false,
        () => true,
      );
      if (!cut) break;
      await boots([]);
    }
    expect(cuts).toBe(3);
    const [old, fresh] = [digestsOf(1, OLD), digestsOf(2, NEW)];
    expect(world.inForce()).toEqual({
      a: old.a as Digest,
      b: fresh.b as Digest,
      c: fresh.c as Digest,
    });
    expect(rejected()).toEqual([['apply.crash-loop', 'a']]);
  });
});

describe('what is kept', () => {
  test('documents and generations of the old statement, as long as something of it is in force', async () => {
    await apply(1, OLD, { whole: true });
    world.trouble([{ call: 4, kind: 'fail' }]);
    await apply(2, NEW);
    world.trouble([]);
    const one = world.change(1, OLD).to.stateDigest;
    // Rollbacks do not need it any more: only what stands there from it.
    const few = { ...context(), keep: 0 };
    for (const sequence of [3, 4]) {
      world.trouble([{ call: 1, kind: 'fail' }]);
      await runChange(
        few,
        world.change(sequence, { ...NEW, a: `${sequence}` }, { inParts: true }),
        never,
      );
    }
    world.trouble([]);
    const row = { ...world.row(), previous: [] };
    world.store.transaction((tx) => tx.putChannel(row));
    expect(keptStates(row).has(one)).toBe(false);
    expect(await collect(few, [row])).toMatchObject({ ok: true });
    expect(few.content.readStatement(one).ok).toBe(true);
    expect(proven()).toEqual(world.inForce());
  });
});
