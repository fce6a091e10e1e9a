/**
 * A try that a newer state or a rollback ends is no verdict, and is counted all the same (I6): a state
 * that is begun anew after it, by a cut or because its channel names it again, goes on from there.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import type { AuditLog } from '#agent/audit-log.ts';
import { type Follower, follower } from '#agent/follow.ts';
import { recover } from '#apply/recover.ts';
import { type Change, type Outcome, runTransaction } from '#apply/transaction.ts';
import { type ApplyWorld, applyWorld, Cut } from '../../support/apply-world.ts';
import { FLEET, value } from '../../support/store.ts';

const OLD = { a: '1' };
const NEW = { a: '2', b: '2' };
const never = new AbortController().signal;
let world: ApplyWorld;
beforeEach(() => {
  world = applyWorld();
});
afterEach(() => world.remove());

const apply = (sequence: number, wanted: Record<string, string>) =>
  runTransaction(world.context(), world.change(sequence, wanted, { windowMs: 1 }), never);

/** Accepted, and ended by something newer before it is judged. */
function superseded(change: Change): Promise<Outcome> {
  const abort = new AbortController();
  const context = { ...world.context(), onPhase: () => abort.abort() };
  return runTransaction(context, change, abort.signal);
}

/** Back to what is applied, as an operator's rollback that finds nothing to change. */
const goBack = () =>
  runTransaction(
    world.context(),
    { ...world.change(1, OLD), kind: 'rollback', statement: null },
    never,
  );

const newState = () => world.change(2, NEW, { windowMs: 1 });

function followed(): Follower {
  const audit = { add() {}, landed() {} } as Partial<AuditLog> as AuditLog;
  return value(
    follower({
      context: world.context(),
      ...{ fleet: FLEET, channel: 'stable', safeModeCrashes: 0 },
      device: { paused: false },
      audit,
    }),
  );
}

describe('a try that something newer ended', () => {
  test('is counted: begun anew, the state has one try less', async () => {
    await apply(1, OLD);
    expect((await superseded(newState())).kind).toBe('superseded');
    expect(world.row()).toMatchObject({ intent: null, tried: { tries: 1, attemptsMax: 3 } });
    world.trouble([{ call: 4, kind: 'cut-before' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    expect(world.row().intent?.tries).toBe(2);
    expect(world.row()).not.toHaveProperty('tried');
  });

  test('is counted also when the power went while it was undone', async () => {
    await apply(1, OLD);
    world.trouble([{ call: 3, kind: 'cut-before' }]);
    await expect(superseded(newState())).rejects.toBeInstanceOf(Cut);
    expect(world.row().intent?.phase).toBe('undoing');
    world.trouble([]);
    value(await recover(world.context(), world.row(), 1));
    expect(world.row()).toMatchObject({ intent: null, tried: { tries: 1 } });
  });

  test('counts against cuts that came before it: a third one ends the state', async () => {
    await apply(1, OLD);
    world.trouble([{ call: 4, kind: 'cut-before' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    world.trouble([]);
    value(await recover(world.context(), world.row(), 1));
    expect((await superseded(newState())).kind).toBe('superseded');
    world.trouble([{ call: 4, kind: 'cut-before' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    world.trouble([]);
    value(await recover(world.context(), world.row(), 1));
    const [rejected] = value(world.store.rejected(FLEET, 'stable'));
    expect(rejected).toMatchObject({ code: 'apply.crash-loop', point: { sequence: 2n } });
  });

  test('is forgotten when the newer state is accepted', async () => {
    await apply(1, OLD);
    await superseded(newState());
    expect((await apply(3, { a: '3' })).kind).toBe('applied');
    expect(world.row()).not.toHaveProperty('tried');
  });
});

describe('a rollback is no verdict either', () => {
  test('on a state that waits for its next try: it has as many left after the hold', async () => {
    await apply(1, OLD);
    world.trouble([{ call: 4, kind: 'cut-before' }]);
    await expect(apply(2, NEW)).rejects.toBeInstanceOf(Cut);
    world.trouble([]);
    value(await recover(world.context(), world.row(), 1));
    expect(world.row().intent).toMatchObject({ phase: 'waiting', tries: 1 });
    expect((await goBack()).kind).toBe('applied');
    expect(world.row()).toMatchObject({ intent: null, tried: { tries: 1 } });
    value(followed().resume('device'));
    expect(world.row()).toMatchObject({ hold: null, tried: { tries: 1 } });
    expect((await apply(2, NEW)).kind).toBe('applied');
    expect(world.row()).not.toHaveProperty('tried');
  });
});

describe('a state that was begun as often as it may be, and never judged', () => {
  async function spent(): Promise<Follower> {
    await apply(1, OLD);
    for (let time = 0; time < 3; time += 1) await superseded(newState());
    return followed();
  }

  test('is not rejected, and waits: it is not begun again by itself', async () => {
    const stable = await spent();
    expect(value(world.store.rejected(FLEET, 'stable'))).toEqual([]);
    const change = newState();
    const why = stable.barredChange(change);
    expect(why).toMatchObject({ code: 'agent.tries-spent', retry: 'later' });
    expect(why?.message).toContain('1.2 waits: it was begun 3 times');
    expect(why?.remedy).toContain('holdfast resume');
    expect(stable.barredChange(world.change(3, { a: '3' }))).toBeNull();
  });

  test('is begun once more when the operator says so', async () => {
    const stable = await spent();
    value(stable.resume('channel'));
    expect(stable.barredChange(newState())).toBeNull();
    expect(world.row()).not.toHaveProperty('tried');
    expect((await apply(2, NEW)).kind).toBe('applied');
  });
});
