/** The contract of runtimes for `process`: a shell script that becomes a sleeping program. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type ProcessRuntime, processRuntime } from '#apply/runtimes/process.ts';
import { readToken } from '#apply/runtimes/process-identity.ts';
import type { Generation } from '#state/generation.ts';
import { value } from '../support/store.ts';
import { runtimeContract } from './runtime.contract.ts';
import { livePrograms, program, runtimeWorld } from './runtime-world.ts';

runtimeContract('process', () => {
  const world = runtimeWorld();
  const made: ProcessRuntime[] = [];
  const generation = (version: string): Generation =>
    world.generation(
      'pager',
      { 'bin/pager': `#!/bin/sh\n# ${version}\nexec sleep 1000\n` },
      { profile: { kind: 'process', components: [program('bin/pager')] } },
    );
  const [old, next] = [generation('old'), generation('next')];
  const live = () => livePrograms(world);
  const shelf = `${world.stateDir}/generations/pager`;
  return {
    fresh() {
      for (const runtime of made) runtime.release();
      const runtime = processRuntime(world.options);
      made.push(runtime);
      return runtime;
    },
    old,
    next,
    blobs: `${world.stateDir}/content`,
    sees() {
      const versions = live().map(({ instance }) => {
        const hex = readToken(instance)?.hex;
        return hex === old.digest.slice(7)
          ? 'old'
          : hex === next.digest.slice(7)
            ? 'next'
            : 'other';
      });
      return versions.length === 0 ? 'origin' : versions.join(' and ');
    },
    identity: () =>
      live()
        .map(({ identity }) => identity.pid)
        .join(' '),
    damage(generation) {
      // A shell reads its script as it goes: not before it has become the program.
      for (const { identity } of live()) {
        while (readFileSync(`/proc/${identity.pid}/comm`, 'utf8') !== 'sleep\n') Bun.sleepSync(2);
      }
      for (const slot of readdirSync(shelf)) {
        if (!slot.startsWith(generation.digest.slice(7))) continue;
        writeFileSync(`${shelf}/${slot}/server/pager`, '#!/bin/sh\nexit 1\n');
      }
    },
    kept: () => (existsSync(shelf) ? readdirSync(shelf).map((each) => `${shelf}/${each}`) : []),
    async end() {
      for (const runtime of made) runtime.release();
      value(await processRuntime(world.options).stopAll());
      world.end();
    },
  };
});
