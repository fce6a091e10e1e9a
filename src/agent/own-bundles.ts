/**
 * A bundle may hold any of the channels of this device, its own among them: one look goes through it
 * for all, values first, so that a state beside them finds them, then the channels in the order of
 * agent.yaml. Where it holds something for one of them, it is no bundle of a foreign channel to the
 * others; where it holds nothing for any, the first channel says so.
 */
import type { Finder } from './find.ts';
import { type Found, isForeign } from './found.ts';

/** Looks through a bundle for one channel. */
export interface BundleReader {
  /** True: it holds something for this channel, whatever that is worth. */
  look(path: string, signal: AbortSignal): Promise<boolean>;
}

/** Of the first channel: the others have looked before. */
export function withOtherBundles(finder: Finder, others: readonly BundleReader[]): Finder {
  return {
    ...finder,
    async find(wake, signal) {
      if (wake.kind !== 'bundle') return finder.find(wake, signal);
      let known = false;
      for (const other of others) {
        if (await other.look(wake.path, signal)) known = true;
      }
      const found = await finder.find(wake, signal);
      return known && isForeign(found) ? { kind: 'nothing', source: sourceOf(found) } : found;
    },
  };
}

/** Of every other channel: that a bundle holds nothing for it is no news. */
export function withoutForeign(finder: Finder): Finder {
  return {
    ...finder,
    async find(wake, signal) {
      const found = await finder.find(wake, signal);
      const foreign = wake.kind === 'bundle' && isForeign(found);
      return foreign ? { kind: 'nothing', source: sourceOf(found) } : found;
    },
  };
}

function sourceOf(found: Found): string {
  return 'source' in found ? found.source : '';
}
