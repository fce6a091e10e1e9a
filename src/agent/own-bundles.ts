/**
 * A bundle may hold the first channel, the device's own, or both: one look goes through it for both,
 * values first, so that a state beside them finds them. Where it holds the own one alone, it is no
 * bundle of a foreign channel.
 */
import type { Wake } from '#triggers/trigger.ts';
import type { Agent } from './agent.ts';
import type { CycleEnd } from './cycle.ts';
import type { DeviceChannel } from './device-channel.ts';
import type { Finder } from './find.ts';
import { isForeign } from './found.ts';

export function withOwnBundles(finder: Finder, own: Pick<DeviceChannel, 'look'>): Finder {
  return {
    ...finder,
    async find(wake, signal) {
      if (wake.kind !== 'bundle') return finder.find(wake, signal);
      const end = await own.look(wake, signal);
      const found = await finder.find(wake, signal);
      if (end.kind === 'nothing' || found.kind !== 'refused') return found;
      return isForeign(found) ? { kind: 'nothing', source: found.source } : found;
    },
  };
}

/** In a bundle values first, so that a state beside them finds them; its end is what is told. */
export async function lookForBoth(
  {
    agent,
    device,
  }: { readonly agent: Pick<Agent, 'look'>; readonly device: Pick<DeviceChannel, 'look'> },
  wake: Wake,
): Promise<CycleEnd> {
  const looking = device.look(wake, new AbortController().signal);
  if (wake.kind === 'bundle') await looking;
  const end = await agent.look(wake);
  const own = await looking;
  const nothing = end.kind === 'unchanged' || end.kind === 'nothing';
  const told = own.kind !== 'unchanged' && own.kind !== 'nothing' && own.kind !== 'unreachable';
  return nothing && told ? own : end;
}
