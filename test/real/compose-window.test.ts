/**
 * Containers that end while they are watched, on real Podman and Docker Engine: within the health window the
 * state goes back at once, after it status tells it at once and the container is started again; `stop` ends
 * them all and the next start of the agent starts the same ones; killed while it proves or undoes, it ends whole.
 */
import { expect, test } from 'bun:test';
import { type StickDevice, stickDevice } from '../support/compose-stick.ts';
import { ENGINES } from '../support/container-engine.ts';
import { eventually } from '../support/eventually.ts';
import type { ContainerEngine } from '../support/podman.ts';

/** `npm run containers`: each kill takes its seconds. */
const LONG = process.env.HOLDFAST_CONTAINERS === 'all';

for (const { name, missing, start } of ENGINES) {
  const run = missing === null ? test.concurrent : test.skip;
  const why = missing === null ? '' : ` (${missing})`;
  run(
    `a container of ${name} that ends is told at once, in the window and after it; stop ends all${why}`,
    async () => {
      const engine = await start();
      const device = await stickDevice(engine);
      try {
        await device.start();
        await window(engine, device);
        await afterwards(engine, device);
        await stopped(device);
        if (LONG) await killed(engine, device);
      } finally {
        await device.remove();
      }
    },
    120_000,
  );
}

const version = async (engine: ContainerEngine, device: StickDevice): Promise<string> => {
  const { id = '' } = (await device.web()) ?? {};
  const seen = engine.run('inspect', '--format', '{{.Config.Env}}', id);
  return /VERSION=(\w+)/.exec(seen)?.[1] ?? '';
};

async function window(engine: ContainerEngine, device: StickDevice): Promise<void> {
  expect(await device.apply(await device.stick({ version: 'one' }))).toStartWith('0 ');
  const old = (await device.web())?.id ?? '';
  const begun = performance.now();
  const ends = { version: 'two', command: 'sh -c "sleep 2; exit 4"', healthWindow: '60s' };
  const said = await device.apply(await device.stick(ends));
  expect(said).toContain('exited with code 4');
  // Long before the window is over.
  expect(performance.now() - begun).toBeLessThan(30_000);
  expect(await version(engine, device)).toBe('one');
  expect((await device.web())?.id).not.toBe(old);
  expect(await engine.containers()).toHaveLength(1);
}

async function afterwards(engine: ContainerEngine, device: StickDevice): Promise<void> {
  const told = (health: string) => async () => {
    const { channels } = await device.status();
    return channels[0]?.deployments.every((one) => one.health === health);
  };
  await eventually('it is healthy', told('healthy'));
  engine.run('kill', (await device.web())?.id ?? '');
  await eventually('status tells it', told('stopped'), 5_000);
  // The next look of drift comes later by itself: here a person wants one.
  await device.command('apply');
  await eventually('it is started again', told('healthy'));
}

async function stopped(device: StickDevice): Promise<void> {
  const id = (await device.web())?.id;
  expect(await device.command('stop')).toStartWith('0 ');
  await device.stop();
  expect((await device.web())?.state).toBe('exited');
  await device.start();
  await eventually('it runs', async () => (await device.web())?.state === 'running');
  expect((await device.web())?.id).toBe(id);
}

/** Killed in each phase of a change that fails, and of one that does not: whole, old or new. */
async function killed(engine: ContainerEngine, device: StickDevice): Promise<void> {
  const whole = async (wanted: string) => {
    await eventually(`${wanted} runs`, async () => (await device.web())?.state === 'running');
    expect(await version(engine, device)).toBe(wanted);
    expect(await engine.containers()).toHaveLength(1);
    const networks = engine.run('network', 'ls', '--quiet', '--filter', 'label=io.holdfast.store');
    expect(networks.trim().split('\n')).toHaveLength(1);
  };
  const change = async (stick: string, phase: string) => {
    const from = device.log().length;
    const applied = device.apply(stick);
    await eventually(`it is ${phase}`, () => device.log().includes(`phase=${phase}`, from), 30_000);
    await device.stop('SIGKILL');
    await applied;
    await device.start();
  };
  const idle = () =>
    eventually(
      'nothing is under way',
      // Its sockets come a moment after it is ready.
      () =>
        device.status().then(
          ({ channels }) => channels[0]?.phase === 'idle',
          () => false,
        ),
      60_000,
    );
  // Proving: it goes on, and commits.
  await change(await device.stick({ version: 'three', healthWindow: '2s' }), 'proving');
  await idle();
  await whole('three');
  // Undoing: what was there comes back, and stays.
  const ends = { version: 'four', command: 'sh -c "sleep 2; exit 4"', healthWindow: '20s' };
  await change(await device.stick(ends), 'undoing');
  await idle();
  await whole('three');
}
