/**
 * The state in force with other values: a change that leaves floor, history of states and hold alone,
 * and whose undo brings back the generations that it replaced, whatever was cut.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { collect } from '#agent/collect.ts';
import { emptyRow } from '#apply/journal.ts';
import { stateRowOf } from '#apply/load.ts';
import { generationsOf, recover } from '#apply/recover.ts';
import {
  type ApplyContext,
  type Change,
  type Moment,
  proveAndCommit,
  runTransaction,
} from '#apply/transaction.ts';
import { stepsBetween } from '#plan/steps.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { type ApplyWorld, applyWorld, Cut } from '../../support/apply-world.ts';
import { FLEET, point, value } from '../../support/store.ts';

const never = new AbortController().signal;
const V1 = sha256(Buffer.from('values 1'));
const V2 = sha256(Buffer.from('values 2'));

let world: ApplyWorld;
let moments: Moment[];

beforeEach(async () => {
  world = applyWorld();
  moments = [];
  await runTransaction(context(), world.change(1, { a: '1', b: '1' }), never);
});
afterEach(() => world.remove());

function context(): ApplyContext {
  return { ...world.context(), beside: (_, moment) => void moments.push(moment) };
}

function stateRow() {
  const { applied } = world.row();
  const row = applied && value(world.store.state(FLEET, 'stable', applied.stateDigest));
  if (!row || !applied) throw new Error('nothing is applied');
  return { row, applied };
}

/** `a` has other values; `b` names none. */
function otherValues(tag = 'ab', windowMs = 0): Change {
  const { row, applied } = stateRow();
  const parts = { store: world.store, content: world.context().content };
  const current = value(generationsOf(parts, world.row(), applied.stateDigest));
  const secrets = new Map([['p', { statement: V2, name: 'pin', tag }]]);
  const desired = current.map((one) =>
    one.id === 'a' ? { ...one, digest: sha256(Buffer.from(`a with ${tag}`)), secrets } : one,
  );
  return {
    ...world.change(1, { a: '1', b: '1' }, { windowMs }),
    kind: 'values',
    to: applied,
    steps: stepsBetween(current, desired),
    stateRow: {
      ...stateRowOf(applied.stateDigest, desired, () => MEDIA.deployment),
      replaced: row.generations,
    },
    statement: null,
  };
}

const digestOf = (id: string) => stateRow().row.generations.find((one) => one.id === id)?.digest;

describe('other values for the state in force', () => {
  test('are in force where they are named; nothing else of the channel moves', async () => {
    const before = world.row();
    const b = world.inForce().b;
    const change = otherValues();
    expect(change.steps.length).toBe(1);
    expect(await runTransaction(context(), change, never)).toMatchObject({ kind: 'applied' });
    expect(world.inForce().a).toBe(sha256(Buffer.from('a with ab')));
    expect(world.inForce().b).toEqual(b);
    expect(digestOf('a')).toBe(world.inForce().a);
    expect(stateRow().row.replaced).toBeUndefined();
    const after = world.row();
    expect({ ...after, applied: null }).toEqual({ ...before, applied: null });
    expect(after.applied?.stateDigest).toBe(before.applied?.stateDigest);
  });

  test('that fail are undone: the generations before are back, the state is not rejected', async () => {
    const before = { row: world.row(), state: stateRow().row, inForce: world.inForce() };
    const change = otherValues();
    // prepare, then activate
    world.trouble([{ call: 2, kind: 'fail' }]);
    expect(await runTransaction(context(), change, never)).toMatchObject({ kind: 'rejected' });
    expect(world.inForce()).toEqual(before.inForce);
    expect(stateRow().row).toEqual(before.state);
    expect(world.row()).toEqual(before.row);
    expect(value(world.store.rejected(FLEET, 'stable'))).toEqual([]);
    expect(moments.at(-1)).toMatchObject({ kind: 'undone', change: 'values', rejected: true });
  });

  test('come below a floor whose state was rejected, and leave it where it is', async () => {
    const next = world.change(2, { a: '2', b: '1' });
    world.trouble([{ call: 2, kind: 'fail' }]);
    expect(await runTransaction(context(), next, never)).toMatchObject({ kind: 'rejected' });
    world.trouble([]);
    const { floor } = world.row();
    expect(await runTransaction(context(), otherValues(), never)).toMatchObject({
      kind: 'applied',
    });
    expect([world.row().floor, world.row().applied?.sequence]).toEqual([floor, 1n]);
  });

  test('that a newer state supersedes are undone and not rejected', async () => {
    const stop = new AbortController();
    const change = otherValues();
    const superseded = { ...context(), onPhase: () => stop.abort() };
    expect(await runTransaction(superseded, change, stop.signal)).toEqual({ kind: 'superseded' });
    expect(moments.at(-1)).toMatchObject({ change: 'values', rejected: false });
    expect(stateRow().row.replaced).toBeUndefined();
    expect(digestOf('a')).toBe(world.inForce().a);
  });

  for (const kind of ['cut-before', 'cut-after'] as const) {
    for (const call of [1, 2, 3]) {
      test(`cut (${kind} call ${call}) are in force whole, or not at all, after recovery`, async () => {
        const old = world.inForce();
        const change = otherValues('ab', 1);
        world.trouble([{ call, kind }]);
        await expect(runTransaction(context(), change, never)).rejects.toBeInstanceOf(Cut);
        world.trouble([]);
        const recovered = value(await recover(context(), world.row(), 0));
        if (recovered.kind === 'proving') await proveAndCommit(context(), recovered.change, never);
        const { row } = stateRow();
        expect(row.replaced).toBeUndefined();
        const inForce = Object.fromEntries(row.generations.map(({ id, digest }) => [id, digest]));
        expect(world.inForce()).toEqual(inForce);
        if (recovered.kind === 'closed') expect(world.inForce()).toEqual(old);
        else expect(world.inForce().a).toBe(sha256(Buffer.from('a with ab')));
      });
    }
  }

  test('are tried a bounded number of times when they are cut each time', async () => {
    for (let tries = 1; tries <= 3; tries += 1) {
      const change = otherValues();
      world.trouble([{ call: 2, kind: 'cut-before' }]);
      await expect(runTransaction(context(), change, never)).rejects.toBeInstanceOf(Cut);
      world.trouble([]);
      value(await recover(context(), world.row(), 0));
      expect(world.row().intent?.tries).toBe(tries < 3 ? tries : undefined);
    }
    expect(moments.at(-1)).toMatchObject({ change: 'values', rejected: true });
    expect(moments.at(-1)).toMatchObject({ fault: { code: 'apply.crash-loop' } });
  });
});

describe('what is collected', () => {
  const envelope = { payloadType: 'test', payload: Buffer.from('x'), signatures: [] };
  const kept = () => new Set(value(world.context().content.statements()));

  test('is no statement whose values are in force or could come back', async () => {
    const { content } = world.context();
    const [floor, old, lost] = [V1, sha256(Buffer.from('old')), sha256(Buffer.from('lost'))];
    for (const digest of [V2, floor, old, lost]) {
      value(content.putStatement(digest, { envelope, documents: null, via: 'mqtt' }));
    }
    await runTransaction(context(), otherValues(), never);
    const applied = { ...point(1), stateDigest: floor };
    const previous = [{ ...point(1), stateDigest: old }];
    const row = { ...emptyRow(FLEET, 'device.press-7'), floor: applied, applied, previous };
    value(world.store.transaction((tx) => tx.putChannel(row)));
    value(await collect(context(), [world.row()]));
    expect([V2, floor, old, lost].map((digest) => kept().has(digest))).toEqual([
      ...[true, true, true, false],
    ]);
  });
});
