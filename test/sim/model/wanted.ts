/**
 * What a published state means on a device, in the model's own words: which text stands at which
 * path, which programs run. Written from the deployment documents' promise, not from the code.
 */
import type { Digest } from '#state/digest.ts';

export interface Wanted {
  /** absolute path → text; a directory target's files stand below it */
  readonly files: Readonly<Record<string, string>>;
  /** versions of the programs that run, one process each; `~` before one that ends now and then */
  readonly programs: readonly string[];
}

export interface Statement {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly digest: Digest;
  readonly wanted: Wanted;
  /** enough keys of the channel signed it, under a root that the device may hold */
  readonly valid: boolean;
  /** a good device would undo it */
  readonly bad: boolean;
  /** tries of one activation that it allows */
  readonly attemptsMax: number;
  /** it comes into force deployment by deployment */
  readonly inParts: boolean;
  /** deployments that a good device would undo */
  readonly badIds: readonly string[];
  /** id → what has to be in force before it */
  readonly needs: Readonly<Record<string, readonly string[]>>;
}

export const NOTHING_WANTED: Wanted = { files: {}, programs: [] };

export function nameOf({ epoch, sequence, digest }: Statement): string {
  return `${epoch}.${sequence} ${digest.slice(7, 13)}`;
}
