/**
 * A plant whose stable channel is at 1.1, and what an owner or an attacker can offer its devices
 * from there: statements and roots by any key, through the registry, the broker, or on a stick.
 */
import { join } from 'node:path';
import type { DesiredState, Root } from '#wire/generated/holdfast_pb.ts';
import type { Device } from './device.ts';
import {
  type Artifact,
  changed,
  channelKey,
  fetchArtifact,
  type SigningKey,
  signState,
} from './forge.ts';
import { firstRoot, forgeBundle, pushChain, pushNudge, rootKey } from './forge-root.ts';
import { filesSpec, makePlant, type Parts, type Plant } from './plant.ts';

export interface World {
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

/** Runs with such a plant, and removes it. */
export async function inWorld(parts: Parts, work: (world: World) => Promise<void>): Promise<void> {
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
      await device.linked();
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

/** Fields of a statement of stable. */
export const at = (sequence: bigint, more: Partial<DesiredState> = {}) => ({ sequence, ...more });
export const rootOf = async (device: Device) => (await device.status()).device.rootVersion;
export const refusedOf = async (device: Device) =>
  (await device.status()).channels[0]?.refused ?? null;
export const waitingOf = async (device: Device) =>
  (await device.status()).channels[0]?.waitingFor?.code ?? null;
