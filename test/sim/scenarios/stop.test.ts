/**
 * Seed 200234 of the long runs: `holdfast stop` while a state was being proven stopped the programs under
 * its checks, and the state was rejected as unhealthy for good. Here at every moment of a change, and
 * with a power cut behind it: nothing is judged, nothing runs afterwards, and the next start goes on.
 */
import { describe, expect, test } from 'bun:test';
import { apart } from '../apart.ts';
import type { Observer, World } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { toldNow } from '../world/watch.ts';
import { boot, fall, makeWorld, pass } from '../world/world.ts';

const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: 1, conduct: {} },
  ...{ check: null, reload: false },
};
const NEXT: Choice = { ...PLAIN, conf: 2, web: 2, plc: 2, check: 'healthy', reload: true };

interface Stopped {
  readonly phase: string;
  readonly living: readonly string[];
  readonly applied: bigint | undefined;
  readonly outcomes: readonly string[];
}

function observer(stopped: (world: World) => void): Observer {
  const stop = (why: unknown): never => {
    throw new Error(String(why));
  };
  return {
    trace: () => undefined,
    ready: () => undefined,
    cut: () => undefined,
    failed: (_world, why) => stop(why.message),
    broke: (_world, why) => stop(why),
    stopped,
  };
}

function publish({ publisher }: World, choice: Choice): void {
  const issued = publisher.issue(choice, { healthWindowMs: 2_000, policy: { attemptsMax: 1 } });
  publisher.push(issued);
  publisher.nudge(issued, { whole: false, retain: true });
}

function programs({ processes }: World): readonly string[] {
  const living = [...processes.living.values()].filter(({ agent }) => !agent);
  return living.map(({ behaviour }) => behaviour.version);
}

/** Stopped so many steps after the acceptance of an update, or `null`: at so many ms of its proof. */
function stopAt(at: { readonly step: number } | { readonly ms: number }, cut: boolean): Stopped {
  const seen = { phase: '', living: [] as readonly string[], over: false };
  const world = makeWorld(
    `stop ${JSON.stringify(at)}`,
    observer((it) => {
      seen.living = programs(it);
      seen.over = true;
    }),
  );
  boot(world);
  pass(world, { ms: 3_000 });
  publish(world, PLAIN);
  expect(pass(world, { ms: 60_000, holds: () => toldNow(world)?.applied?.sequence === 1n })).toBe(
    true,
  );
  world.startsAfterMs = 30_000;
  let due = false;
  const stop = (): void => {
    seen.phase = toldNow(world)?.phase ?? '';
    world.running?.handlers.stop().catch(() => undefined);
  };
  const phase = (): string => toldNow(world)?.phase ?? '';
  publish(world, NEXT);
  if ('step' in at) {
    expect(pass(world, { ms: 60_000, holds: () => phase() === 'activating' })).toBe(true);
    const from = world.steps.count;
    world.steps.watch = (count) => {
      if (count !== from + at.step) return;
      world.steps.watch = null;
      due = true;
    };
    pass(world, { ms: 60_000, holds: () => due || phase() === 'idle' });
  } else {
    expect(pass(world, { ms: 60_000, holds: () => phase() === 'proving' })).toBe(true);
    pass(world, { ms: at.ms });
  }
  stop();
  expect(pass(world, { ms: 25_000, holds: () => seen.over })).toBe(true);
  if (cut) {
    world.loss = 'all';
    fall(world, 'power');
    world.loss = null;
  }
  pass(world, { ms: 90_000 });
  const rows = world.running?.handlers.history(10);
  const outcomes = rows?.ok ? rows.value.map(({ outcome }) => outcome) : ['no answer'];
  return {
    ...{ phase: seen.phase, living: seen.living },
    ...{ applied: toldNow(world)?.applied?.sequence, outcomes },
  };
}

describe('`holdfast stop` during a change that has one try', () => {
  for (const cut of [false, true]) {
    const then = cut ? ', then a power cut' : '';
    test(`before each step of the activation${then}: applied after the next start`, async () => {
      for (let step = 1; step <= 24; step += cut ? 3 : 1) {
        const { living, applied, outcomes } = await apart(() => stopAt({ step }, cut));
        const rejected = outcomes.filter((outcome) => outcome === 'rejected');
        expect({ step, living, applied, rejected }).toEqual({
          ...{ step, living: [], applied: 2n, rejected: [] },
        });
      }
    });

    test(`while it is proven${then}: applied after the next start`, async () => {
      for (const ms of [0, 10, 150, 900, 1_500, 1_990]) {
        const stopped = await apart(() => stopAt({ ms }, cut));
        expect({ ms, ...stopped }).toEqual({
          ...{ ms, phase: 'proving', living: [], applied: 2n },
          outcomes: ['applied', 'applied'],
        });
      }
    });
  }
});
