/**
 * The contract of runtimes for `compose`: against the engine in memory always, against a real Podman and a
 * real Docker Engine with HOLDFAST_CONTAINERS=all (`npm run containers`), since each container takes its
 * second there. Images come
 * out of the signed state.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ComposeOptions, composeRuntime } from '#apply/runtimes/compose.ts';
import type { Packages } from '#apply/runtimes/packages.ts';
import { ok } from '#errors/fault.ts';
import { bunPlatform } from '#platform/bun/platform.ts';
import { systemClock } from '#platform/node/clock.ts';
import { sha256 } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import { ENGINES } from '../support/container-engine.ts';
import { fakeEngine } from '../support/fake-engine.ts';
import { type ContainerEngine, imageArchive, noContainers, tinyImage } from '../support/podman.ts';
import { codeOf, value } from '../support/store.ts';
import { type RuntimeFixture, runtimeContract } from './runtime.contract.ts';
import { type RuntimeWorld, runtimeWorld } from './runtime-world.ts';

let archive: Buffer | null = null;

function generationIn(world: RuntimeWorld, version: string, more = ''): Generation {
  archive ??= imageArchive({ 'tiny:1': tinyImage('contract') });
  const web = `  web:\n    image: tiny:1\n    stop_signal: SIGKILL\n    environment: { VERSION: "${version}" }\n`;
  const compose = `services:\n${web}${more}`;
  const properties = { blob: 'app', images: ['images'] };
  const components = [{ name: 'app', blob: 'app', properties }];
  const profile = { kind: 'other', type: 'compose', components } as const;
  const entry = { path: 'compose.yaml', mode: 0o644, kind: 'file' } as const;
  const app = [{ ...entry, bytes: Buffer.from(compose) }];
  return world.generation('line', { app, images: archive }, { profile });
}

interface Ran {
  readonly Id: string;
  readonly State: string;
  /** of its environment */
  readonly version: string;
}

function fixture(
  world: RuntimeWorld,
  options: Pick<ComposeOptions, 'http' | 'container'> & Partial<Pick<ComposeOptions, 'clock'>>,
  mine: () => readonly Ran[],
  end: () => void,
): RuntimeFixture {
  const folder = `${world.stateDir}/compose/line`;
  return {
    fresh: () => composeRuntime({ ...world.options, content: world.content, ...options }),
    old: generationIn(world, 'old'),
    next: generationIn(world, 'next'),
    blobs: `${world.stateDir}/content`,
    sees: () => mine().find(({ State }) => State === 'running')?.version ?? 'origin',
    identity: () =>
      mine()
        .map(({ Id }) => Id)
        .join(' '),
    damage(generation) {
      const [tree] = [...generation.blobs.values()].filter((blob) => blob.tree);
      writeFileSync(join(folder, tree?.digest.slice(7) ?? '', 'tree/compose.yaml'), 'spoilt');
    },
    kept: () => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []),
    async end() {
      end();
      await world.end();
    },
  };
}

const container = (socket: string, engine: ContainerEngine['kind'] = 'podman') =>
  ({ socket, engine, env: {} }) as const;

function inMemory() {
  const engine = fakeEngine();
  const clock = systemClock();
  // Its seconds are as short as nothing: what is waited for is seen to pass all the same.
  const quick = {
    ...clock,
    monotonicMs: () => clock.monotonicMs() * 200,
    sleep: (ms: number, signal?: AbortSignal) => clock.sleep(Math.min(ms, 2), signal),
  };
  const options = { http: engine.http, clock: quick, container: container('/nowhere') };
  const mine = (): readonly Ran[] =>
    [...engine.containers.values()].map(({ id, status, body }) => {
      const [version = ''] = (body.Env as readonly string[]).flatMap(
        (each) => /^VERSION=(.*)$/.exec(each)?.[1] ?? [],
      );
      return { Id: id, State: status, version };
    });
  return { engine, options, mine };
}

if (noContainers !== null) {
  test.skip(`${noContainers}: the runtime compose was not tried`, () => undefined);
} else {
  runtimeContract('compose, an engine in memory', () => {
    const world = runtimeWorld();
    const { options, mine } = inMemory();
    return fixture(world, options, mine, () => undefined);
  });

  describe('a cut after any call to the engine', () => {
    const db = '  db:\n    image: tiny:1\n    stop_signal: SIGKILL\nvolumes: { data: {} }\n';

    test('ends in the whole old or the whole new project, which the other call makes', async () => {
      for (let cutAfter = 0; ; cutAfter += 1) {
        const world = runtimeWorld();
        const { engine, options, mine } = inMemory();
        const fresh = () =>
          composeRuntime({ ...world.options, content: world.content, ...options });
        const [old, next] = [generationIn(world, 'old', db), generationIn(world, 'next', db)];
        value(await fresh().prepare(old));
        value(await fresh().activate(old, null));
        const service = (id: string) =>
          mine()
            .filter(({ version }) => version === id)
            .map(({ Id }) => Id);
        const unchanged = service('');
        value(await fresh().prepare(next));
        engine.changes.length = 0;
        engine.cutAfter = cutAfter;
        const cut = await fresh()
          .activate(next, old)
          .then((done) => !done.ok)
          .catch(() => true);
        engine.cutAfter = Number.POSITIVE_INFINITY;
        // Undone, and tried again: by agents that remember nothing.
        value(await fresh().activate(old, next));
        expect(service('old')).toHaveLength(1);
        expect(service('next')).toEqual([]);
        expect(value(await fresh().inspect(old, 'hash'))).toEqual([]);
        value(await fresh().activate(next, old));
        expect(service('next')).toHaveLength(1);
        expect(service('')).toEqual(unchanged);
        value(await fresh().deactivate(next));
        expect([...engine.containers, ...engine.networks]).toEqual([]);
        expect(engine.volumes.size).toBe(1);
        await world.end();
        if (!cut) break;
      }
    }, 120_000);
  });

  test('a service that ends with a failure is told by name; what it leaves is undone', async () => {
    const world = runtimeWorld();
    const { engine, options, mine } = inMemory();
    const runtime = composeRuntime({ ...world.options, content: world.content, ...options });
    const [old, next] = [generationIn(world, 'old'), generationIn(world, 'next')];
    value(await runtime.prepare(old));
    value(await runtime.activate(old, null));
    engine.ends.set('web', 3);
    const broken = await runtime.activate(next, old);
    expect(codeOf(broken)).toBe('compose.not-up');
    expect(broken.ok ? '' : broken.fault.message).toContain('service web: ended with code 3');
    engine.ends.clear();
    value(await runtime.activate(old, next));
    expect(mine().map(({ version }) => version)).toEqual(['old']);
    await world.end();
  });

  test('what the engine refuses is told in its words, and who does not answer by place', async () => {
    const world = runtimeWorld();
    const { engine, options } = inMemory();
    const runtime = composeRuntime({ ...world.options, content: world.content, ...options });
    const next = generationIn(world, 'next');
    value(await runtime.prepare(next));
    engine.refuse = (method, path) =>
      path === '/containers/create' && method === 'POST'
        ? { status: 500, body: '{"message":"no space"}' }
        : null;
    const refused = await runtime.activate(next, null);
    expect(codeOf(refused)).toBe('compose.engine');
    expect(refused.ok ? '' : refused.fault.message).toContain('(500): no space');
    engine.refuse = (_, path) => (path.endsWith('/json') ? { status: 404 } : null);
    const other = composeRuntime({
      ...{ ...world.options, ...options, content: world.content },
      container: container('/nowhere', 'docker'),
    });
    const odd = await other.prepare(next);
    expect(odd.ok ? '' : odd.fault.message).toContain('it made another image of it than sha256:');
    engine.refuse = () => ({ status: 404 });
    const none = await runtime.activate(next, null);
    expect(codeOf(none)).toBe('compose.engine-missing');
    expect(none.ok ? '' : none.fault.message).toContain('/nowhere');
    expect(none.ok ? '' : none.fault.remedy).toContain('No compose program is needed');
    await world.end();
  });

  describe('an image of a registry', () => {
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: 'application/vnd.oci.image.manifest.v1+json',
            ...{
              digest: sha256(Buffer.from('x')),
              size: 1,
              platform: { os: 'linux', architecture: 's390x' },
            },
          },
        ],
      }),
    );
    const packages = (more: Partial<Packages> = {}): Packages => ({
      pinned: async () => ok(sha256(index)),
      manifest: async () => ok(index),
      fetch: async () => ok(undefined),
      requireDigests: false,
      allow: { roots: [], runtimes: [], users: null, defaultUser: null },
      signal: new AbortController().signal,
      ...more,
    });
    const fetched = async (members: string, more: Partial<Packages> = {}) => {
      const world = runtimeWorld();
      const { options } = inMemory();
      const runtime = composeRuntime({ ...world.options, content: world.content, ...options });
      const next = generationIn(world, 'x', `  other:\n    image: r.example/a:1\n${members}`);
      const result = await runtime.fetch?.(next, packages(more));
      await world.end();
      return result && codeOf(result);
    };

    test('for other machines, by a tag where digests are asked for, or other bytes is refused', async () => {
      expect(await fetched('')).toBe('compose.image');
      expect(await fetched('', { requireDigests: true })).toBe('package.unpinned');
      const other = { manifest: async () => ok(Buffer.from('{}')) };
      expect(await fetched('', other)).toBe('source.digest-mismatch');
    });

    test('is not asked for where the owner does not allow what the service needs', async () => {
      let asked = 0;
      const pinned = async () => {
        asked += 1;
        return ok(sha256(index));
      };
      expect(await fetched('    privileged: true\n', { pinned })).toBe('compose.not-allowed');
      expect(asked).toBe(0);
    });
  });

  test('an image that nothing here has is not made up, and no name may be odd', async () => {
    const world = runtimeWorld();
    const { options } = inMemory();
    const runtime = composeRuntime({ ...world.options, content: world.content, ...options });
    const other = (image: string) => generationIn(world, 'x', `  other:\n    image: "${image}"\n`);
    expect(codeOf(await runtime.prepare(other('tiny:2')))).toBe('compose.not-fetched');
    expect(codeOf(await runtime.prepare(other('Tiny:1')))).toBe('package.name');
    expect(codeOf(await runtime.prepare(other('tiny:1 x')))).toBe('compose.file');
    await world.end();
  });
}

for (const { name, missing, start } of ENGINES) {
  if (process.env.HOLDFAST_CONTAINERS !== 'all') break;
  if (missing !== null) {
    test.skip(`${missing}: the runtime compose was not tried on ${name}`, () => undefined);
    continue;
  }
  describe(`on a real ${name}`, () => {
    let real: ContainerEngine;
    beforeAll(async () => {
      real = await start();
    });
    afterAll(() => real.remove());

    runtimeContract(`compose, ${name}`, () => {
      const world = runtimeWorld();
      const { http } = bunPlatform({ logLevel: 'error', logFormat: 'json' });
      const only = `label=io.holdfast.store=${world.options.storeId}`;
      const mine = (): readonly Ran[] => {
        const listed = real.run('ps', '--all', '--quiet', '--no-trunc', '--filter', only);
        const ids = listed.split('\n').filter((id) => id !== '');
        return ids.map((Id) => {
          const format = '{{.State.Status}} {{.Config.Env}}';
          const seen = real.run('inspect', '--format', format, Id);
          const [State = ''] = seen.split(' ');
          return { Id, State, version: /VERSION=(\w+)/.exec(seen)?.[1] ?? '' };
        });
      };
      const options = { http, container: container(real.socket, real.kind) };
      return fixture(world, options, mine, () => {
        for (const { Id } of mine()) real.run('rm', '--force', Id);
      });
    });
  });
}
