/** What the signed statement says about how it is to be applied. */

export interface Policy {
  readonly urgent: boolean;
  readonly windows: readonly Window[];
  readonly spreadMs: number;
  readonly atomicity: 'state' | 'deployment';
  readonly healthWindowMs: number;
  /** tries of one activation before it is rejected as a crash loop (check 20) */
  readonly attemptsMax: number;
  /** The removal guard is off where the applied point is below this one's (epoch, sequence). */
  readonly allowRemoval: bigint;
  /** ms: how old it may be where the time is not attested; 0: no limit */
  readonly unattestedMaxMs: number;
  /** `reachable`: a change that cuts the device off from its control plane undoes itself */
  readonly commit: 'healthy' | 'reachable';
}

export interface Window {
  /** 1 = Monday */
  readonly weekdays: readonly number[];
  /** "02:30" */
  readonly start: string;
  readonly durationMs: number;
  /** IANA name */
  readonly timeZone: string;
}
