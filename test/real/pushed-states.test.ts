/**
 * States that come whole through a real broker to the compiled executable: a device that reaches
 * nothing else, old and foreign pushes, and what a push leaves out.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import type { DesiredState } from '#wire/generated/holdfast_pb.ts';
import { eventually } from '../support/eventually.ts';
import { contentsOf, pushNudge } from '../support/forge-root.ts';
import { missing, type Parts, startParts } from '../support/plant.ts';
import { at, inWorld, refusedOf, waitingOf } from '../support/root-world.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
beforeAll(async () => {
  if (missing === null) parts = await startParts();
});
afterAll(() => parts?.remove());

describe('states that come whole through the broker', () => {
  real(title('a device that reaches only a broker is managed completely'), async () => {
    await inWorld(parts, async ({ plant, artifact, state }) => {
      const settings = { registries: [] };
      const one = plant.device('broker-only', { channel: 'stable', settings });
      await one.start();
      await one.linked();
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
      await inWorld(parts, async ({ plant, device, artifact, state }) => {
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
        await one.linked();
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
    await inWorld(parts, async ({ plant, state }) => {
      const one = plant.device('both', { channel: 'stable' });
      await one.start();
      await one.linked();
      const envelope = state(at(5n));
      await pushNudge(plant, 'stable', { epoch: 1n, sequence: 5n, envelope });
      await one.applied('1.5');
      expect((await one.status()).channels[0]?.via).toBe('mqtt');
      expect(one.read('speed.conf')).toBe('speed=1\n');
    });
  });
});
