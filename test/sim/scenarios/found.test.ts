/** What simulated runs have found, each as a story of its own: seeds rot, stories do not. */
import { expect, test } from 'bun:test';
import { apart } from '../apart.ts';
import { OPERATIONS, tryPoint } from '../exhaustive.ts';
import type { Observer, World } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { toldNow } from '../world/watch.ts';
import { boot, fall, makeWorld, pass } from '../world/world.ts';

const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: 1, conduct: {} },
  ...{ check: null, reload: false },
};

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

function publish({ publisher }: World, choice: Choice, healthWindowMs = 0): void {
  const issued = publisher.issue(choice, { healthWindowMs });
  publisher.push(issued);
  publisher.nudge(issued, { whole: false, retain: true });
}

function pathsBelow(world: World, path: string): readonly string[] {
  const found: string[] = [];
  const visit = (at: string): void => {
    const inode = world.disk.find(at, false);
    if (inode?.kind !== 'directory') return;
    for (const name of inode.entries.keys()) {
      found.push(`${at}/${name}`);
      visit(`${at}/${name}`);
    }
  };
  visit(path);
  return found;
}

/** Seed 70 of the first runs: the sweep looked for deployments in rows, which were gone by then. */
test('nothing of a removed deployment is left once no state that is kept names it', async () => {
  const left = await apart(() => {
    const world = makeWorld('removed', quiet());
    boot(world);
    pass(world, { ms: 3_000 });
    publish(world, PLAIN);
    pass(world, { ms: 60_000 });
    expect(pathsBelow(world, '/opt/conf')).toContain('/opt/conf/.holdfast/conf/origin');
    expect(pathsBelow(world, '/var/lib/holdfast/generations').length).toBeGreaterThan(0);
    for (let web = 2; web <= 6; web += 1) {
      publish(world, { ...PLAIN, conf: null, plc: null, web });
      pass(world, { ms: 120_000 });
    }
    expect(world.disk.find('/opt/web/index.html')).not.toBeNull();
    return [
      ...pathsBelow(world, '/opt/conf'),
      ...pathsBelow(world, '/var/lib/holdfast/generations'),
      ...pathsBelow(world, '/var/lib/holdfast/logs'),
      ...pathsBelow(world, '/var/lib/holdfast/places').filter((path) => !path.includes('/web.')),
    ];
  });
  expect(left).toEqual([]);
});

/** Step 2 of the first start: the next start found the directory, and took its name for durable. */
test('what is acknowledged after a first start that was killed survives a power cut', async () => {
  const [operation] = OPERATIONS;
  expect(operation?.name).toBe('first start');
  if (!operation) return;
  for (const variant of [0, 1, 2]) {
    const point = {
      operation,
      kind: 'kill',
      step: 2,
      again: 0,
      kindAgain: 'kill',
      later: true,
      variant,
    } as const;
    const { ran, struck } = await apart(() => tryPoint(point));
    expect({ struck, violations: ran.violations }).toEqual({ struck: true, violations: [] });
  }
});

/** Seed 48 of the first branches: the next life found the tree whole, and took its name for durable. */
test('what a killed agent has unpacked is durable before another one relies on it', async () => {
  const standing = await apart(() => {
    const world = makeWorld('settled', { ...quiet(), cut: () => undefined });
    boot(world);
    pass(world, { ms: 3_000 });
    publish(world, PLAIN);
    pass(world, { ms: 60_000 });
    // Killed between the making of the tree and the sync of the directory that names it.
    world.steps.watch = (count, what, path) => {
      const named = [...(world.disk.find('/opt/.holdfast/web')?.entries.keys() ?? [])];
      if (what !== 'fsync' || path !== '/opt/.holdfast/web' || named.length < 3) return;
      world.steps.watch = null;
      world.steps.cutAt(count, 'kill');
    };
    publish(world, { ...PLAIN, conf: 2, web: 2 });
    const applied = (): boolean => toldNow(world)?.applied?.sequence === 2n;
    expect(pass(world, { ms: 60_000, holds: applied })).toBe(true);
    expect(world.cuts).toBe(1);
    // The next state keeps the tree, and is being proven when the power goes.
    publish(world, { ...PLAIN, conf: 3, web: 2 }, 20_000);
    const proving = (): boolean => toldNow(world)?.phase === 'proving';
    expect(pass(world, { ms: 60_000, holds: proving })).toBe(true);
    world.loss = 'all';
    fall(world, 'power');
    boot(world);
    expect(pass(world, { ms: 60_000, holds: () => world.running?.ready === true })).toBe(true);
    return world.disk.find('/opt/web/index.html')?.kind;
  });
  expect(standing).toBe('file');
});
