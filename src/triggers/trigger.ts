/**
 * What wakes the agent. A trigger is a hint: it never carries authority. Adding one: a file here,
 * a line in catalogue.ts, the contract suite.
 */
import type { Digest } from '#state/digest.ts';

export interface Trigger {
  readonly name: string;
  /** Calls `wake` until the returned function is called. */
  start(wake: (wake: Wake) => void): () => void;
}

export type Wake =
  | { readonly kind: 'schedule' }
  | { readonly kind: 'reconnect' }
  | { readonly kind: 'start' }
  /** a time statement: what waited for the time, or names a head that was not seen */
  | { readonly kind: 'time' }
  /** `holdfast apply`, or the end of a pause */
  | { readonly kind: 'command'; readonly now?: boolean }
  /** `holdfast apply <bundle>`: an image layout, directory or tar */
  | { readonly kind: 'bundle'; readonly path: string; readonly now?: boolean }
  | {
      readonly kind: 'nudge';
      readonly channel: string;
      readonly epoch: bigint;
      readonly sequence: bigint;
      readonly stateDigest: Digest | null;
      readonly manifestDigest: Digest | null;
      readonly urgent: boolean;
    };
