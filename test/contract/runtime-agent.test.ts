/** The contract of runtimes for `agent`: the sections that a state puts in place of the owner's. */
import { expect, test } from 'bun:test';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { agentConfigRuntime } from '#apply/runtimes/agent-config.ts';
import type { Generation } from '#state/generation.ts';
import { codeOf, value } from '../support/store.ts';
import { runtimeContract } from './runtime.contract.ts';
import { type RuntimeWorld, runtimeWorld } from './runtime-world.ts';

function generationIn(world: RuntimeWorld, version: string, id = 'settings'): Generation {
  const component = { name: 'config', blob: 'sections', properties: { blob: 'sections' } };
  const profile = { kind: 'other', type: 'agent', components: [component] } as const;
  return world.generation(id, { sections: `log: { level: ${version} }\n` }, { profile });
}

const place = (world: RuntimeWorld) => `${world.stateDir}/agent/overlay.yaml`;

runtimeContract('agent', () => {
  const world = runtimeWorld();
  const overlay = place(world);
  const ownConfiguration = { check: () => ({ ok: true, value: undefined }) as const, changed() {} };
  return {
    fresh: () => agentConfigRuntime({ ...world.options, content: world.content, ownConfiguration }),
    old: generationIn(world, 'old'),
    next: generationIn(world, 'next'),
    blobs: `${world.stateDir}/content`,
    sees() {
      if (!existsSync(overlay)) return 'origin';
      return /level: (\w+)/.exec(readFileSync(overlay, 'utf8'))?.[1] ?? 'spoilt';
    },
    identity: () => (existsSync(overlay) ? String(lstatSync(overlay).ino) : '-'),
    damage: () => writeFileSync(overlay, 'spoilt'),
    kept: () => (existsSync(overlay) ? [overlay] : []),
    end: async () => world.end(),
  };
});

test('another deployment’s sections are not written over, and it is told what changed', async () => {
  const world = runtimeWorld();
  let changes = 0;
  const runtime = agentConfigRuntime({
    ...{ ...world.options, content: world.content },
    ownConfiguration: {
      check: () => ({ ok: true, value: undefined }),
      changed() {
        changes += 1;
      },
    },
  });
  const [mine, theirs] = [generationIn(world, 'info'), generationIn(world, 'debug', 'other')];
  value(await runtime.activate(mine, null));
  value(await runtime.activate(mine, mine));
  expect(changes).toBe(1);
  expect(codeOf(await runtime.activate(theirs, null))).toBe('plan.conflict');
  value(await runtime.deactivate(theirs));
  expect(readFileSync(place(world), 'utf8')).toContain('info');
  value(await runtime.deactivate(mine));
  expect(changes).toBe(2);
  await world.end();
});

test('an agent that cannot take it up refuses it before anything is accepted', async () => {
  const world = runtimeWorld();
  const runtime = agentConfigRuntime({ ...world.options, content: world.content });
  expect(codeOf(await runtime.prepare(generationIn(world, 'info')))).toBe('plan.runtime-unknown');
  await world.end();
});
