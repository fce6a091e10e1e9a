/** Somebody else owns a file, until the operator settles it: told in simulated time, by real drift. */
import { expect, test } from 'bun:test';
import { apart } from '../apart.ts';
import type { Observer } from '../world/shape.ts';
import { boot, makeWorld, pass } from '../world/world.ts';

const QUIET: Observer = {
  trace: () => undefined,
  ready: () => undefined,
  cut: () => undefined,
  failed: (_world, why) => expect(why).toBeNull(),
  broke: (_world, why) => expect(why).toBeNull(),
};
const LOOKS_MS = 65_000;

test('what flaps is left and told, and after a resume repaired and told no more', async () => {
  const told = await apart(() => {
    const world = makeWorld('flapping', QUIET);
    boot(world);
    const issued = world.publisher.issue({
      ...{ conf: null, web: null, plc: null, conduct: {}, check: null, reload: false },
      edited: 1,
    });
    world.publisher.push(issued);
    world.publisher.nudge(issued, { whole: false, retain: true });
    pass(world, { ms: 20_000 });
    const edit = (): readonly [string, boolean | undefined] => {
      world.steps.life = null;
      world.disk.plant('/srv/kept.conf', 'by hand\n');
      world.steps.life = world.running?.life ?? null;
      pass(world, { ms: LOOKS_MS });
      const stands = new TextDecoder().decode(world.disk.find('/srv/kept.conf')?.data);
      const status = world.running?.handlers.status();
      return [stands, status?.ok ? status.value.channels[0]?.degraded : undefined];
    };
    const edits = [edit(), edit(), edit(), edit()];
    world.running?.handlers.resume();
    pass(world, { ms: LOOKS_MS });
    return [...edits, edit()];
  });
  const repaired = ['kept=1\n', false] as const;
  expect(told).toEqual([repaired, repaired, repaired, ['by hand\n', true], repaired]);
});
