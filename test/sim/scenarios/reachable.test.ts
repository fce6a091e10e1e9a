/**
 * `commit: reachable` on a whole simulated device: a change after which the control plane is gone
 * undoes itself, also over kills and power cuts; a link that comes back in time, or that was not
 * there before, does not undo it.
 */
import { describe, expect, test } from 'bun:test';
import { apart } from '../apart.ts';
import type { Observer, World } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { boot, makeWorld, pass } from '../world/world.ts';

const MINUTE = 60_000;
const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: null, conduct: {} },
  ...{ check: null, reload: false },
};
const GUARDED = { commit: 'reachable', healthWindowMs: 2 * MINUTE } as const;

function quiet(): Observer {
  const stop = (why: unknown): never => {
    throw new Error(String(why));
  };
  return {
    trace: () => undefined,
    ready: () => undefined,
    cut: () => undefined,
    failed: (_world, why) => stop(why.message),
    broke: (_world, why) => stop(why),
  };
}

function channel(world: World) {
  const status = world.running?.handlers.status();
  return status?.ok ? (status.value.channels[0] ?? null) : null;
}

const applied = (world: World) => channel(world)?.applied?.point ?? null;
const phase = (world: World) => channel(world)?.phase ?? null;
const web = (world: World) => world.disk.find('/opt/web/index.html');
const events = (world: World) => {
  const seen = world.running?.handlers.events(0n);
  return seen?.ok ? seen.value.events.map(({ code }) => code) : [];
};

/** What comes into force parts the network, before anybody asks whether it is there. */
function parting({ disk, network }: World): World['disk']['nodes']['rename'] {
  const { rename } = disk.nodes;
  return (changes) => {
    rename(changes);
    if (changes.some(({ name, to }) => name === 'web' && to?.kind === 'link')) network.part(true);
  };
}

/** 1.1 is applied; 1.2 is in force and waits for its ways to answer. */
function proving(
  policy: object = GUARDED,
  before: (world: World) => void = () => {},
): { readonly world: World; readonly old: string } {
  const world = makeWorld('reachable', quiet());
  boot(world);
  pass(world, { ms: 3_000 });
  publish(world, PLAIN, {});
  expect(pass(world, { ms: MINUTE, holds: () => applied(world) === '1.1' })).toBe(true);
  const old = content(world);
  pass(world, { ms: MINUTE });
  before(world);
  publish(world, { ...PLAIN, web: 2 }, policy);
  expect(pass(world, { ms: MINUTE, holds: () => phase(world) === 'proving' })).toBe(true);
  return { world, old };
}

function publish(world: World, choice: Choice, policy: object): void {
  const issued = world.publisher.issue(choice, { policy });
  world.publisher.push(issued);
  world.publisher.nudge(issued, { whole: false, retain: true });
}

function content(world: World): string {
  const file = web(world);
  return file?.kind === 'file' ? Buffer.from(file.data).toString() : '';
}

describe('commit: reachable', () => {
  test('with the way open it is applied, after the health window', async () => {
    const took = await apart(() => {
      const { world } = proving();
      const from = world.time.now;
      expect(pass(world, { ms: 5 * MINUTE, holds: () => applied(world) === '1.2' })).toBe(true);
      return world.time.now - from;
    });
    expect(took).toBeGreaterThan(MINUTE);
    expect(took).toBeLessThan(3 * MINUTE);
  });

  test('cut off by it: what ran before is back, and it is not tried again', async () => {
    const seen = await apart(() => {
      const { world, old } = proving();
      const during = content(world);
      world.network.part(true);
      pass(world, { ms: 4 * MINUTE });
      const back = { content: content(world), applied: applied(world), phase: phase(world) };
      world.network.part(false);
      pass(world, { ms: 30 * MINUTE });
      const refused = channel(world)?.refused?.code;
      return { old, during, back, later: applied(world), refused };
    });
    expect(seen.during).not.toBe(seen.old);
    expect(seen.back).toEqual({ content: seen.old, applied: '1.1', phase: 'idle' });
    expect(seen).toMatchObject({ later: '1.1', refused: 'apply.cut-off' });
  });

  test('a session that broke unnoticed is not waited for: with the way open again it is applied', async () => {
    const seen = await apart(() => {
      const { world } = proving({ commit: 'reachable', healthWindowMs: 20_000 }, (made) => {
        made.disk.nodes.rename = parting(made);
      });
      const parted = world.network.weather.parted;
      pass(world, { ms: 5_000 });
      world.network.part(false);
      const late = pass(world, { ms: 2 * MINUTE, holds: () => applied(world) === '1.2' });
      return { parted, late };
    });
    expect(seen).toEqual({ parted: true, late: true });
  });

  test('a session that is still being ended when the window is over has not answered', async () => {
    const seen = await apart(() => {
      const { world, old } = proving({ commit: 'reachable', healthWindowMs: 1_500 }, (made) => {
        made.disk.nodes.rename = parting(made);
      });
      world.network.part(false);
      pass(world, { ms: MINUTE, holds: () => phase(world) === 'idle' });
      const { code, message = '' } = channel(world)?.refused ?? {};
      return { old: content(world) === old, applied: applied(world), code, message };
    });
    expect(seen).toMatchObject({ old: true, applied: '1.1', code: 'apply.cut-off' });
    expect(seen.message).toContain('broker did not answer within 1s500ms');
  });

  test('without a health window it has five minutes, and is applied as soon as all have answered', async () => {
    const seen = await apart(() => {
      const { world } = proving({ commit: 'reachable' });
      world.network.part(true);
      pass(world, { ms: 4 * MINUTE });
      const waiting = phase(world);
      world.network.part(false);
      const late = pass(world, { ms: 50_000, holds: () => applied(world) === '1.2' });
      return { waiting, late };
    });
    expect(seen).toEqual({ waiting: 'proving', late: true });
  });

  for (const kind of ['kill', 'power'] as const) {
    test(`cut (${kind}) again and again while it is cut off: back, in a bounded number of starts`, async () => {
      const seen = await apart(() => {
        const { world, old } = proving();
        world.network.part(true);
        const before = world.boots;
        for (let times = 0; times < 8 && phase(world) !== 'idle'; times += 1) {
          world.steps.cutAt(world.steps.count + 1, kind);
          world.running?.handlers.apply(null, () => {}).catch(() => {});
          pass(world, { ms: MINUTE });
        }
        pass(world, { ms: 4 * MINUTE });
        const boots = world.boots - before;
        return { same: content(world) === old, applied: applied(world), boots };
      });
      expect(seen).toMatchObject({ same: true, applied: '1.1' });
      expect(seen.boots).toBeLessThanOrEqual(4);
    });
  }

  test('cut once while it is cut off: what is demanded survives the cut', async () => {
    const seen = await apart(() => {
      const { world, old } = proving();
      world.network.part(true);
      world.steps.cutAt(world.steps.count + 1, 'power');
      world.running?.handlers.apply(null, () => {}).catch(() => {});
      pass(world, { ms: 5 * MINUTE });
      return { same: content(world) === old, code: channel(world)?.refused?.code };
    });
    expect(seen).toEqual({ same: true, code: 'apply.cut-off' });
  });

  test('cut once, with the way open: proven after the new start', async () => {
    const done = await apart(() => {
      const { world } = proving();
      world.steps.cutAt(world.steps.count + 1, 'power');
      world.running?.handlers.apply(null, () => {}).catch(() => {});
      return pass(world, { ms: 5 * MINUTE, holds: () => applied(world) === '1.2' });
    });
    expect(done).toBe(true);
  });

  test('nothing answered before: nothing is demanded, and that is told', async () => {
    const seen = await apart(() => {
      const world = makeWorld('reachable', quiet());
      boot(world);
      pass(world, { ms: 3_000 });
      world.network.part(true);
      pass(world, { ms: MINUTE });
      const issued = world.publisher.issue(PLAIN, { policy: GUARDED });
      world.publisher.bundle(world.disk, '/media/usb/stick', issued);
      const done = pass(world, { ms: 10 * MINUTE, holds: () => applied(world) === '1.1' });
      return { done, told: events(world) };
    });
    expect(seen.done).toBe(true);
    expect(seen.told).toContain('state.unguarded');
  });

  test('a newer state supersedes one that waits for its way', async () => {
    const done = await apart(() => {
      const { world } = proving();
      publish(world, { ...PLAIN, web: 3 }, {});
      return pass(world, { ms: MINUTE, holds: () => applied(world) === '1.3' });
    });
    expect(done).toBe(true);
  });

  test('a try that waits for the agent to start anew is not taken up before that', async () => {
    const seen = await apart(() => {
      const world = makeWorld('reachable', quiet());
      boot(world);
      pass(world, { ms: 3_000 });
      publish(world, PLAIN, {});
      expect(pass(world, { ms: MINUTE, holds: () => applied(world) === '1.1' })).toBe(true);
      const { lines, base } = world.running?.assembled ?? {};
      const line = lines?.[0];
      const row = line?.follower.row();
      if (!line || !base || !row?.applied) throw new Error('nothing runs');
      const of = { via: 'registry', freshness: 'unknown', failure: null } as const;
      const intent = {
        ...{
          ...of,
          kind: 'apply' as const,
          phase: 'proving' as const,
          to: row.applied,
          tries: 1,
          attemptsMax: 3,
        },
        restarting: true as const,
      };
      base.store.transaction((tx) => tx.putChannel({ ...row, intent }));
      line.follower.saw({ ...row, intent });
      void line.agent.resume();
      pass(world, { ms: MINUTE });
      const kept = base.store.channel(row.fleet, row.channel);
      return kept.ok ? kept.value?.intent : null;
    });
    expect(seen).toMatchObject({ phase: 'proving', tries: 1, restarting: true });
  });
});
