/**
 * The root chain on the compiled executable, over a real registry and broker and as bundles: keys
 * are replaced, attacks change nothing and are told, a fleet that was led astray (fast-forward, a
 * poisoned time) comes back. Roots and statements are made by forge.ts, not by the publisher.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { ChannelSchema, TimeResetSchema, TlsTrustSchema } from '#wire/generated/holdfast_pb.ts';
import { type Device, treeOf } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import { newKey, type SigningKey } from '../support/forge.ts';
import { nextVersion, signRoot, withKey } from '../support/forge-root.ts';
import {
  linesOf,
  makePlant,
  missing,
  type Parts,
  type Plant,
  processSpec,
  programText,
  startParts,
} from '../support/plant.ts';
import { at, inWorld, refusedOf, rootOf, type World } from '../support/root-world.ts';

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

/** Targets, and all files of the agent but its store, whose journal tells of refusals. */
function durable(device: Device) {
  const files = Object.entries(treeOf(device.stateDir));
  return { opt: device.tree(), state: files.filter(([path]) => !path.startsWith('store/')) };
}

describe('R19: keys are replaced', () => {
  real(title('five roots at once, every key another, by registry, push and stick'), async () => {
    await inWorld(parts, async ({ device, first, owner, state, ways }) => {
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
    await inWorld(parts, async ({ device, first, owner, state, offer }) => {
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
    [
      'with no CA of TLS in place of all',
      'trust.root-invalid',
      ({ first, owner }) => {
        const tls = create(TlsTrustSchema, { replacesConfigured: true });
        return [signRoot(nextVersion(first, { tls }), [owner])];
      },
    ],
    [
      'with a CA of TLS that is no certificate',
      'format.root',
      ({ first, owner }) => {
        const tls = create(TlsTrustSchema, { anchors: [{ certificate: Buffer.from('PEM') }] });
        return [signRoot(nextVersion(first, { tls }), [owner])];
      },
    ],
  ];
  real(title('R11: not on any way, and not after a restart'), async () => {
    await inWorld(parts, async (world) => {
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
    await inWorld(parts, async ({ device, first, owner, state, ways }) => {
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

describe('R10: more roots than one look walks', () => {
  real(
    title('70 on a stick, and in a registry: one apply, and the device is at the last'),
    async () => {
      await inWorld(parts, async ({ device, first, owner, state, ways }) => {
        let root = first;
        const roots = Array.from({ length: 70 }, () => {
          root = nextVersion(root);
          return signRoot(root, [owner]);
        });
        const offered = ways(state(at(2n, { rootVersion: 71n })), roots);
        for (const way of ['registry', 'bundle'] as const) {
          const one = await device(`long-${way}`, way === 'registry' ? {} : { registries: [] });
          await offered[way](one);
          await one.applied('1.2');
          expect(await rootOf(one)).toBe('71');
        }
      });
    },
  );
});

describe('recovery by epoch and by time reset', () => {
  real(
    title('R03: a fast-forward, then the next epoch; the old one is not shown again'),
    async () => {
      await inWorld(parts, async ({ device, first, owner, state, offer }) => {
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
    await inWorld(parts, async ({ device, first, owner, state, offer }) => {
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

describe('a device that its owner moves to another fleet', () => {
  real(title('keeps what runs, tells it, and a state there takes over what it names'), async () => {
    await inWorld(parts, async ({ plant, device }) => {
      const one = await device('moved');
      const journal = join(plant.folder, 'moved', 'runs');
      const other = await makePlant(parts);
      try {
        writeProgram(plant, journal);
        await plant.publish('stable');
        await one.command(['apply']);
        await one.applied('1.2');
        await eventually('the program runs', () => linesOf(journal).length === 1);
        const [before] = linesOf(journal);
        await one.stop();
        one.configure({
          trust: { root: other.root, allowDemo: true },
          registries: [{ url: other.registry }],
        });
        await one.start();
        expect((await one.status()).channels[0]?.applied).toBeNull();
        expect((await one.status()).device.fleet).toBe(other.fleet);
        const told = ({ events }: { readonly events: readonly string[] }) =>
          events.includes('channel.orphaned');
        await other.watch.until('moved', 'what it left', told);
        expect(one.read('speed.conf')).toBe('speed=1\n');
        expect(linesOf(journal)).toEqual([before ?? '']);
        const left = (await one.status()).channels.at(1);
        expect(left).toMatchObject({
          channel: `stable.of-${plant.fleet.slice(0, 8)}`,
          applied: { point: '1.2' },
          waitingFor: { code: 'agent.orphaned' },
        });
        expect(left?.deployments.map(({ id }) => id).toSorted()).toEqual(['conf', 'run']);
        writeProgram(other, journal);
        await other.publish('stable');
        await one.command(['apply']);
        await one.applied('1.1');
        expect(linesOf(journal)).toEqual([before ?? '']);
        // What was not taken over is still told.
        const rows = (await one.status()).channels.map(({ deployments }) =>
          deployments.map(({ id }) => id),
        );
        expect(rows).toEqual([['run'], ['conf']]);
        await one.stop();
        one.configure({ trust: { root: plant.root, allowDemo: true } });
        await one.start();
        expect((await one.status()).channels[0]?.applied?.point).toBe('1.2');
        expect(linesOf(journal)).toEqual([before ?? '']);
      } finally {
        await other.remove();
      }
    });
  });
});

/** A program that says once when it starts. */
function writeProgram(plant: Plant, journal: string): void {
  plant.write('stable', 'bin/run', programText('one', journal), 0o755);
  plant.deploy('stable', 'run', processSpec({ blob: 'bin/run' }));
}
