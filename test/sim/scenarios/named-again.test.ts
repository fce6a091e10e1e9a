/** A nudge that comes before what it names: the device asks again long before its schedule does. */
import { expect, test } from 'bun:test';
import { apart } from '../apart.ts';
import type { Observer } from '../world/shape.ts';
import type { Choice } from '../world/states.ts';
import { boot, makeWorld, pass } from '../world/world.ts';

const MINUTE = 60_000;
const PLAIN: Choice = {
  ...{ conf: 1, web: 1, plc: null, conduct: {} },
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

test('what a nudge named is applied soon after the registry has it', async () => {
  const took = await apart(() => {
    const world = makeWorld('named-again', quiet());
    const applied = () => {
      const status = world.running?.handlers.status();
      return status?.ok ? status.value.channels[0]?.applied?.point : undefined;
    };
    boot(world);
    pass(world, { ms: 3_000 });
    const first = world.publisher.issue(PLAIN, {});
    world.publisher.push(first);
    world.publisher.nudge(first, { whole: false, retain: true });
    pass(world, { ms: MINUTE, holds: () => applied() === '1.1' });
    const second = world.publisher.issue({ ...PLAIN, web: 2 }, {});
    world.publisher.nudge(second, { whole: false, retain: true });
    pass(world, { ms: 5_000 });
    world.publisher.push(second);
    const from = world.time.now;
    return pass(world, { ms: 60 * MINUTE, holds: () => applied() === '1.2' })
      ? world.time.now - from
      : null;
  });
  expect(took).not.toBeNull();
  expect(took).toBeLessThan(MINUTE);
});
