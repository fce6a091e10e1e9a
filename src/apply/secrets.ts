/**
 * Opens sealed values of this device. Whoever calls it holds the text for as long as it takes to
 * start one program, and keeps it in nothing that outlives that.
 */
import { type Result, refuse } from '#errors/fault.ts';
import type { SecretRef } from '#state/values.ts';

export interface Secrets {
  /** `values.unopened`; faults of the store, where the statement that brought it is gone */
  open(secret: SecretRef): Result<string>;
}

/** For those who have no channel of their own: nothing was ever sealed to them. */
export const NO_SECRETS: Secrets = {
  open: ({ name }) =>
    refuse('values.unopened', { name, channel: 'this device', reason: 'it has no sealing key' }),
};
