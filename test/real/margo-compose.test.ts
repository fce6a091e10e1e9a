/**
 * A two-service application from a Margo manager on real Podman and real Docker Engine, the agent a process
 * of its own: packages and images from a registry, by digest. Install, update, break, undo, remove; what
 * was killed goes on.
 */
import { expect, test } from 'bun:test';
import { APP, COMPOSE_ENGINES, composeWorld, twoServices } from '../support/compose-world.ts';
import { eventually } from '../support/eventually.ts';
import type { MargoDevice } from '../support/margo-device.ts';
import { tinyImage } from '../support/podman.ts';

for (const { name, missing, start } of COMPOSE_ENGINES) {
  if (missing !== null) {
    test.skip(`${missing}: nothing was run in containers of ${name}`, () => undefined);
    continue;
  }
  test.concurrent(`rules 50, 51, 54, 56, 57: an application on ${name} runs, is updated, broken and put back, and removed`, async () => {
    const world = await composeWorld({ start });
    try {
      await story(world);
    } finally {
      await world.remove();
    }
  }, 170_000);
}

async function story(world: Awaited<ReturnType<typeof composeWorld>>): Promise<void> {
  const { engine, manager, device, push, packaged, document, said, service, inside } = world;
  const image = await push('line/tiny', '1', tinyImage('one'));
  const pinned = `${world.host}/line/tiny@${image}`;
  const files = { 'line.conf': 'belt=1' };
  await push('line/app', '1.0.0', packaged(twoServices(pinned), files));
  manager.deploy(1, { [APP]: document({ revision: '1.0.0', speed: 4 }) });
  device.start();
  await said('installed', 1);
  expect(await inside('web', 'env')).toContain('SPEED=4');
  expect(await inside('web', 'cat', '/etc/line.conf')).toBe('belt=1');
  const db = await service('db');
  const web = await service('web');

  // Another parameter: only what uses it is made anew, and the data stays.
  manager.deploy(2, { [APP]: document({ revision: '1.0.0', speed: 5 }) });
  await said('installed', 2);
  expect(await inside('web', 'env')).toContain('SPEED=5');
  expect((await service('web')).id).not.toBe(web.id);
  expect((await service('db')).id).toBe(db.id);

  // One that ends at once is told as failed, and the one before runs.
  await push('line/app', '1.1.0', packaged(twoServices(pinned, 'sh -c "exit 3"'), files));
  manager.deploy(3, { [APP]: document({ revision: '1.1.0', speed: 6 }) });
  await said('failed', 3);
  await eventually('the old one runs', async () => (await service('web')).state === 'running');
  expect(await inside('web', 'env')).toContain('SPEED=5');
  expect((await service('db')).id).toBe(db.id);

  // What a revision means never changes.
  await push('line/app', '1.0.0', packaged(twoServices(pinned, 'sleep 60'), files));
  manager.deploy(4, { [APP]: document({ revision: '1.0.0', speed: 7 }) });
  await said('failed', 4);
  expect(device.log()).toContain('package.tag-moved');
  expect((await service('db')).id).toBe(db.id);
  expect(await inside('web', 'env')).toContain('SPEED=5');

  // Killed while it works, and the container killed by hand: both are brought back.
  await push('line/app', '1.2.0', packaged(twoServices(pinned), { 'line.conf': 'belt=2' }));
  manager.deploy(5, { [APP]: document({ revision: '1.2.0', speed: 8 }) });
  for (const phase of ['waiting', 'activating']) await killedIn(device, phase);
  await said('installed', 5);
  expect(await inside('web', 'cat', '/etc/line.conf')).toBe('belt=2');
  expect(await inside('db', 'cat', '/data/log')).toBe('kept');

  manager.deploy(6, {});
  await killedIn(device, 'activating');
  await said('removed', 6);
  expect(await engine.containers()).toEqual([]);
  const { networks, volumes } = world.left();
  expect(networks).toBe('');
  expect(volumes).toEndWith('_data');
}

/** By the power, as it were, and started again. */
async function killedIn(device: MargoDevice, phase: string): Promise<void> {
  const from = device.log().length;
  await eventually(`it is ${phase}`, () => device.log().includes(`phase=${phase}`, from));
  await device.stop('SIGKILL');
  device.start();
}
