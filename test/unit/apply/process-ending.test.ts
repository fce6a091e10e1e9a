/** What an agent finds that was cut while a program was being ended: real programs. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, writeFileSync } from 'node:fs';
import { type ProcessRuntime, processRuntime } from '#apply/runtimes/process.ts';
import {
  livePrograms,
  program,
  type RuntimeWorld,
  runtimeWorld,
} from '../../contract/runtime-world.ts';
import { eventually } from '../../support/eventually.ts';
import { value } from '../../support/store.ts';

let world: RuntimeWorld;
let runtimes: ProcessRuntime[];
beforeEach(() => {
  world = runtimeWorld();
  runtimes = [];
});
afterEach(async () => {
  for (const each of runtimes) each.release();
  writeFileSync(out('go'), '');
  value(await processRuntime(world.options).stopAll());
  world.end();
});

function fresh(): ProcessRuntime {
  const runtime = processRuntime(world.options);
  runtimes.push(runtime);
  return runtime;
}

/** Up at once; asked to end it says so, and goes only when it is let go. */
function slowToEnd() {
  const text = `trap 'test -e ${out('told')} && touch ${out('told-again')}; touch ${out('told')}' TERM
touch ${out('up')}
until test -e ${out('go')}; do sleep 0.01; done
rm ${out('go')}`;
  return world.generation(
    'pager',
    { 'bin/pager': `#!/bin/sh\n${text}\n` },
    { profile: { kind: 'process', components: [program('bin/pager', {})] } },
  );
}

const out = (name: string) => `${world.root}/${name}`;
const pids = () => livePrograms(world).map(({ identity }) => identity.pid);

test('a program that an agent had asked to end before it was cut is started anew', async () => {
  const generation = slowToEnd();
  const first = fresh();
  value(await first.activate(generation, null));
  const [old = 0] = pids();
  await eventually('it is up', () => existsSync(out('up')));
  first.release();
  // As if cut while it waits: its sleep never ends.
  const clock = { ...world.options.clock, sleep: () => new Promise<void>(() => {}) };
  void processRuntime({ ...world.options, clock }).deactivate(generation);
  await eventually('it was told', () => existsSync(out('told')));
  const runtime = fresh();
  const activated = runtime.activate(generation, null);
  const again = eventually('it was told again', () => existsSync(out('told-again')));
  await Promise.race([activated, again]);
  writeFileSync(out('go'), '');
  value(await activated);
  expect(world.logged).not.toContain('program.adopted');
  expect(pids()).not.toContain(old);
  expect(runtime.condition(generation)).toMatchObject({ running: 'yes', restarts: 0 });
});
