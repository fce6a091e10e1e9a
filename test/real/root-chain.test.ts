/**
 * The root chain on the compiled executable, over a real registry and broker and as bundles: keys
 * are replaced, attacks change nothing and are told, a fleet that was led astray (fast-forward, a
 * poisoned time) comes back. Roots and statements are made by forge.ts, not by the publisher.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import {
  ChannelSchema,
  type DesiredState,
  type Root,
  TimeResetSchema,
} from '#wire/generated/holdfast_pb.ts';
import { type Device, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  type Artifact,
  changed,
  channelKey,
  fetchArtifact,
  newKey,
  type SigningKey,
  signState,
} from '../support/forge.ts';
import {
  contentsOf,
  firstRoot,
  forgeBundle,
  nextVersion,
  pushChain,
  pushNudge,
  rootKey,
  signRoot,
  withKey,
} from '../support/forge-root.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);
const MAX = 2n ** 64n - 1n;
const DAY = 24 * 3_600_000;
const NO_ROLE = { name: 'extra', role: 'nobody', epoch: 1n };

let parts: Parts;
beforeAll(async () => {
  if (missing === null) parts = await startParts();
});
afterAll(() => parts?.remove());

interface World {
  readonly plant: Plant;
  /** 1.1 of stable, as published */
  readonly artifact: Artifact;
  readonly first: Root;
  readonly owner: SigningKey;
  readonly stable: SigningKey;
  readonly bundle: string;
  /** A device that has applied 1.1. */
  device(id: string, settings?: Record<string, unknown>): Promise<Device>;
  /** 1.1 with other numbers, signed. */
  state(fields: Partial<DesiredState>, key?: SigningKey): Buffer;
  offer(envelope: Buffer, roots: readonly Buffer[]): Promise<string>;
  /** by each way that can carry it */
  ways(envelope: Buffer, roots: readonly Buffer[]): Ways;
}

type Ways = Readonly<Record<'registry' | 'mqtt' | 'bundle', (device: Device) => Promise<unknown>>>;

/** Runs with a plant whose stable channel is at 1.1, and removes it. */
async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const plant = await makePlant(parts);
  try {
    await work(await worldOf(plant));
  } finally {
    await plant.remove();
  }
}

async function worldOf(plant: Plant): Promise<World> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder of the document
  const target = join(plant.folder, '${id}', 'opt', 'speed.conf');
  const parameters = { id: { valueFrom: { device: 'id' } } };
  plant.write('stable', 'speed.conf', 'speed=1\n');
  const conf = { blob: 'speed.conf', target };
  plant.deploy('stable', 'conf', { ...(filesSpec({ conf }) as object), parameters });
  const bundle = join(plant.folder, 'stick');
  await plant.publish('stable');
  await plant.publish('stable', '--to', `oci:${bundle}`);
  const artifact = await fetchArtifact(plant.registry, 'stable');
  const [owner, stable, first] = [rootKey(plant), channelKey(plant, 'stable'), firstRoot(plant)];
  let sticks = 0;
  const world: World = {
    ...{ plant, artifact, first, owner, stable, bundle },
    async device(id, settings = {}) {
      const device = plant.device(id, { channel: 'stable', settings });
      await device.start();
      await device.command(['apply', bundle]);
      await device.applied('1.1');
      return device;
    },
    state: (fields, key = stable) => signState(changed(artifact.state, fields), [key]),
    offer: (envelope, roots) => pushChain(plant.registry, 'stable', { artifact, envelope, roots }),
    ways: (envelope, roots) => ({
      async registry(device) {
        await world.offer(envelope, roots);
        return device.command(['apply']);
      },
      mqtt: () => pushNudge(plant, 'stable', { epoch: 1n, sequence: 2n, envelope, roots }),
      bundle(device) {
        sticks += 1;
        const to = join(plant.folder, `stick-${sticks}`);
        forgeBundle(bundle, to, { artifact, envelope, roots });
        return device.command(['apply', to]);
      },
    }),
  };
  return world;
}

const at = (sequence: bigint, more: Partial<DesiredState> = {}) => ({ sequence, ...more });
const rootOf = async (device: Device) => (await device.status()).device.rootVersion;
const refusedOf = async (device: Device) => (await device.status()).channels[0]?.refused ?? null;
const waitingOf = async (device: Device) =>
  (await device.status()).channels[0]?.waitingFor?.code ?? null;

/** Targets, and all files of the agent but its store, whose journal tells of refusals. */
function durable(device: Device) {
  const files = Object.entries(treeOf(device.stateDir));
  return { opt: device.tree(), state: files.filter(([path]) => !path.startsWith('store/')) };
}

describe('R19: keys are replaced', () => {
  real(title('five roots at once, every key another, by registry, push and stick'), async () => {
    await inWorld(async ({ device, first, owner, state, ways }) => {
      const roots: Buffer[] = [];
      let [root, key] = [first, owner];
      for (let version = 2; version <= 6; version += 1) {
        const next = newKey();
        root = withKey(root, 'root', next);
        roots.push(signRoot(root, [key, next]));
        key = next;
      }
      const signer = newKey();
      root = withKey(root, 'channel.stable', signer);
      roots.push(signRoot(root, [key]));
      const offered = ways(state(at(2n, { rootVersion: 7n }), signer), roots);
      for (const [way, offer] of Object.entries(offered)) {
        const one = await device(`by-${way}`, way === 'registry' ? {} : { registries: [] });
        await offer(one);
        await one.applied('1.2');
        expect(await rootOf(one)).toBe('7');
        expect((await one.status()).channels[0]?.via).toBe(way);
        await one.stop('SIGKILL');
        await one.start();
        expect(await rootOf(one)).toBe('7');
        const report = await one.reports('root 7', ({ applied }) => applied === '1.2');
        expect(report.applied).toBe('1.2');
      }
    });
  });

  real(title('a state by the revoked key, beside the root that revokes it'), async () => {
    await inWorld(async ({ device, first, owner, state, offer }) => {
      const one = await device('revoked');
      const signer = newKey();
      const roots = [signRoot(withKey(first, 'channel.stable', signer), [owner])];
      await offer(state(at(2n)), roots);
      const ended = await one.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: 'trust.threshold' } });
      expect(await rootOf(one)).toBe('2');
      expect((await one.status()).channels[0]?.applied?.point).toBe('1.1');
      const explained = await one.explain();
      const rows = explained.checks.filter(({ number }) => number === 7);
      expect(rows.map(({ compared }) => compared).join('\n')).toContain('root 2: signed by');
      await offer(state(at(3n, { rootVersion: 2n }), signer), roots);
      await one.command(['apply']);
      await one.applied('1.3');
      const told = await one.reports('the new root', ({ events }) =>
        events.includes('trust.root-replaced'),
      );
      expect(told.events).toContain('trust.root-replaced');
    });
  });
});

describe('offered roots that fail change nothing', () => {
  const attacks: readonly (readonly [
    what: string,
    code: string,
    roots: (world: World, stranger: SigningKey) => readonly Buffer[],
  ])[] = [
    [
      'R07: N + 2 without N + 1',
      'trust.root-gap',
      ({ first, owner }) => [signRoot({ ...first, version: 3n }, [owner])],
    ],
    [
      'R08: by the old keys only',
      'trust.root-threshold',
      ({ first, owner }, stranger) => [signRoot(withKey(first, 'root', stranger), [owner])],
    ],
    [
      'R08: by the new keys only',
      'trust.root-threshold',
      ({ first }, stranger) => [signRoot(withKey(first, 'root', stranger), [stranger])],
    ],
    [
      'of another fleet, by the same keys (R18)',
      'trust.root-fleet',
      ({ first, owner }) => [signRoot(nextVersion(first, { fleet: Buffer.alloc(16, 7) }), [owner])],
    ],
    [
      'with a channel that nobody signs',
      'trust.root-invalid',
      ({ first, owner }) => {
        const channels = [...first.channels, create(ChannelSchema, NO_ROLE)];
        return [signRoot(nextVersion(first, { channels }), [owner])];
      },
    ],
  ];
  real(title('R11: not on any way, and not after a restart'), async () => {
    await inWorld(async (world) => {
      const { device, state, ways } = world;
      for (const way of ['registry', 'mqtt', 'bundle'] as const) {
        const one = await device(`attacked-${way}`, way === 'registry' ? {} : { registries: [] });
        for (const [what, code, roots] of attacks) {
          const before = durable(one);
          await ways(state(at(1n)), roots(world, newKey()))[way](one);
          const found = await eventually(`${what} by ${way}`, async () => {
            const refused = await refusedOf(one);
            return refused?.code === code ? refused : null;
          }).catch(async (error) => {
            throw new Error(`${error}; ${JSON.stringify(await refusedOf(one))}`);
          });
          expect(found?.attack).toBe(false);
          expect(await rootOf(one)).toBe('1');
          expect(durable(one)).toEqual(before);
        }
        await one.stop('SIGKILL');
        await one.start();
        expect(await rootOf(one)).toBe('1');
        expect((await one.status()).channels[0]?.applied?.point).toBe('1.1');
      }
    });
  });

  real(title('two roots of one version: reported as an attack, and nothing changes'), async () => {
    await inWorld(async ({ device, first, owner, state, ways }) => {
      const second = signRoot(nextVersion(first), [owner]);
      const twin = signRoot(nextVersion(first, { issuedAt: 7n }), [owner]);
      for (const way of ['registry', 'mqtt', 'bundle'] as const) {
        const one = await device(`twin-${way}`, way === 'registry' ? {} : { registries: [] });
        await ways(state(at(2n)), [second])[way](one);
        await one.applied('1.2');
        await ways(state(at(2n)), [twin])[way](one);
        const refused = await eventually(`the twin by ${way}`, () => refusedOf(one));
        expect(refused).toMatchObject({ code: 'trust.root-equivocation', attack: true });
        const report = await one.reports('the attack', ({ events }) =>
          events.includes('trust.attack'),
        );
        expect(report.applied).toBe('1.2');
        expect(await rootOf(one)).toBe('2');
      }
    });
  });
});

describe('recovery by epoch and by time reset', () => {
  real(
    title('R03: a fast-forward, then the next epoch; the old one is not shown again'),
    async () => {
      await inWorld(async ({ device, first, owner, state, offer }) => {
        const one = await device('forward');
        await offer(state(at(MAX)), []);
        await one.command(['apply']);
        await one.applied(`1.${MAX}`);
        await offer(state(at(2n)), []);
        expect((await one.command(['apply'])).code).toBe(3);
        const channels = first.channels.map((channel) => ({ ...channel, epoch: 2n }));
        const roots = [signRoot(nextVersion(first, { channels }), [owner])];
        await offer(state({ epoch: 2n, sequence: 1n, rootVersion: 2n }), roots);
        await one.command(['apply']);
        await one.applied('2.1');
        await offer(state(at(MAX)), roots);
        expect((await one.command(['apply'])).code).toBe(3);
        expect((await one.status()).channels[0]?.applied?.point).toBe('2.1');
      });
    },
  );

  real(title('R22: a poisoned time floor is reset once, by a root'), async () => {
    await inWorld(async ({ device, first, owner, state, offer }) => {
      const one = await device('poisoned');
      const ends = BigInt(Date.now() + 30 * DAY);
      await offer(state(at(2n, { issuedAt: 4_102_444_800_000n })), []);
      await one.command(['apply']);
      await one.applied('1.2');
      const normal = at(3n, { notAfter: ends });
      await offer(state(normal), []);
      const ended = await one.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: 'trust.expired' } });
      const timeReset = create(TimeResetSchema, { notBefore: BigInt(Date.now() - DAY) });
      const roots = [signRoot(nextVersion(first, { timeReset, notAfter: ends }), [owner])];
      await offer(state(normal), roots);
      await one.command(['apply']);
      await one.applied('1.3');
      await one.stop('SIGKILL');
      await one.start();
      await offer(state(at(4n, { notAfter: ends })), roots);
      await one.command(['apply']);
      await one.applied('1.4');
    });
  });
});

describe('states that come whole through the broker', () => {
  real(title('a device that reaches only a broker is managed completely'), async () => {
    await inWorld(async ({ plant, artifact, state }) => {
      const settings = { registries: [] };
      const one = plant.device('broker-only', { channel: 'stable', settings });
      await one.start();
      const contents = await contentsOf(plant.registry, artifact);
      const push = { epoch: 1n, sequence: 1n, envelope: artifact.envelope };
      await pushNudge(plant, 'stable', push);
      await eventually(
        'the state waits for its contents',
        async () => (await waitingOf(one)) === 'source.missing',
      );
      await pushNudge(plant, 'stable', { ...push, contents });
      await one.applied('1.1');
      expect((await one.status()).channels[0]?.via).toBe('mqtt');
      const report = await one.reports('1.1', ({ applied }) => applied === '1.1');
      expect(report.refused).toBeNull();
      const envelope = state(at(2n));
      await pushNudge(plant, 'stable', {
        ...{ epoch: 1n, sequence: 2n, envelope, contents },
        topic: 'd/broker-only/nudge',
      });
      await one.applied('1.2');
      expect((await one.command(['apply'])).code).toBe(0);
    });
  });

  real(
    title('R01, R18: an old or a foreign one that the broker retains is no attack'),
    async () => {
      await inWorld(async ({ plant, device, artifact, state }) => {
        const one = await device('retained', { registries: [] });
        const contents = await contentsOf(plant.registry, artifact);
        const pushed = (sequence: bigint, retain: boolean, fields: Partial<DesiredState> = {}) =>
          pushNudge(plant, 'stable', {
            ...{ epoch: 1n, sequence, contents, retain },
            envelope: state(at(sequence, fields)),
          });
        await pushed(2n, true);
        await pushed(3n, false);
        await one.applied('1.3');
        await one.stop();
        await one.start();
        await eventually('the retained push is told as stale', async () => {
          const refused = await refusedOf(one);
          return refused?.code === 'source.stale' && refused.attack === false;
        });
        await pushed(4n, false, { channel: 'canary' });
        await eventually('the foreign one is refused', async () => {
          const refused = await refusedOf(one);
          return refused?.code === 'trust.wrong-channel' && !refused.attack;
        });
        expect((await one.status()).channels[0]?.applied?.point).toBe('1.3');
        await pushed(5n, false);
        await one.applied('1.5');
        await pushed(3n, false);
        await eventually(
          'an old one that comes live behind a higher one is an attack',
          async () => {
            const refused = await refusedOf(one);
            return refused?.code === 'trust.rollback' && refused.attack;
          },
        );
      });
    },
  );

  real(title('what a push lacks is fetched from the registry'), async () => {
    await inWorld(async ({ plant, state }) => {
      const one = plant.device('both', { channel: 'stable' });
      await one.start();
      const envelope = state(at(5n));
      await pushNudge(plant, 'stable', { epoch: 1n, sequence: 5n, envelope });
      await one.applied('1.5');
      expect((await one.status()).channels[0]?.via).toBe('mqtt');
      expect(one.read('speed.conf')).toBe('speed=1\n');
    });
  });
});
