/**
 * The world at a moment between two steps, as data: the disk with what was not synced, what runs, what
 * registry, broker and publisher hold. Any number of worlds can go on from it, each with a cut of its
 * own, and the one that it was taken from goes on undisturbed. What was on its way is lost with the
 * agent that waited for it.
 */
import type { BrokerCopy } from './broker.ts';
import type { DiskCopy } from './disk.ts';
import type { ProcessesCopy } from './processes.ts';
import type { PublisherCopy } from './publisher.ts';
import type { RegistryCopy } from './registry.ts';
import type { World } from './shape.ts';

export interface Moment {
  /** ms since the run began */
  readonly now: number;
  readonly disk: DiskCopy;
  readonly processes: ProcessesCopy;
  readonly broker: BrokerCopy;
  readonly registry: RegistryCopy;
  readonly publisher: PublisherCopy;
  readonly weather: World['network']['weather'];
  readonly bootedAt: number;
  readonly wallOffsetMs: number;
  /** that have struck before */
  readonly cuts: number;
}

export function momentOf(world: World): Moment {
  const { time, disk, processes, broker, registry, publisher, network } = world;
  const { bootedAt, wallOffsetMs, cuts } = world;
  return {
    now: time.now,
    disk: disk.copy(),
    processes: processes.copy(),
    broker: broker.copy(),
    registry: registry.copy(),
    publisher: publisher.copy(),
    weather: { ...network.weather },
    bootedAt,
    wallOffsetMs,
    cuts,
  };
}
