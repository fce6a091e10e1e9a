/**
 * What a Margo manager is told of a manifest that this device has not accepted, and of deployments that
 * it cannot get (MARGO.md section 7): failed where somebody has to act, with code and message, and pending
 * with the reason where time alone may cure it. What runs is not touched by either, and what a registry
 * lacks is asked for again all the while: once it is there, the deployment comes into force.
 */
import { type Code, FAULTS, type Fault } from '#errors/fault.ts';
import type { ChannelRow } from '#state/channel-row.ts';
import type { Digest } from '#state/digest.ts';
import type { MargoReportRow, MargoState } from '#state/margo.ts';
import type { Refusal } from '#state/status.ts';
import { isDeferred } from './deferral.ts';
import type { MargoDeployment } from './margo-state.ts';

/** A manifest that the manager serves, as far as it was read. */
export interface MargoOffer {
  readonly version: bigint;
  /** of the manifest */
  readonly digest: Digest;
  /** all that it lists */
  readonly deployments: readonly MargoDeployment[];
  /** why it does not read as a whole; null: it does */
  readonly why: Fault | null;
}

export interface MargoRefused {
  readonly version: bigint;
  readonly deployments: readonly MargoDeployment[];
  /** of those that nothing is wrong with by themselves */
  readonly state: MargoState;
  readonly why: Why;
}

interface Why {
  readonly code: string;
  readonly message: string;
}

/** Tried again, and yet nobody but who publishes can cure it. */
const ABSENT: ReadonlySet<Code> = new Set([
  'package.missing',
  'source.missing',
  'source.digest-mismatch',
  'source.size-mismatch',
]);

/** Of what is tried again: failed, or pending with the reason. */
export function endOf<T extends Pick<Fault, 'code' | 'message'>>(
  why: T,
): { readonly state: MargoState; readonly why: T } {
  const { code } = why;
  // The owner's pause, hold or hour: nothing is wrong.
  const waits = code.startsWith('agent.') || isDeferred(code);
  const failed = !waits && (FAULTS[code].retry === 'operator' || ABSENT.has(code));
  return { state: failed ? 'failed' : 'pending', why };
}

export interface MargoOffers {
  take(offer: MargoOffer): void;
  /** Null: what is served is accepted, waits for the owner's hour, or is under way; undefined: unread */
  refused(row: Pick<ChannelRow, 'floor' | 'deferred'>): MargoRefused | null | undefined;
}

/** @param judged  what became of the newest candidate of the channel */
export function margoOffers(
  judged: () => { readonly refusal: Refusal | null; readonly waiting: Fault | null },
): MargoOffers {
  let offer: MargoOffer | null = null;
  let before: Fault | null = null;
  return {
    take(now) {
      // Why the one before waited says nothing of this one.
      if (now.digest !== offer?.digest) before = judged().waiting;
      offer = now;
    },
    refused({ floor, deferred }) {
      if (!offer) return undefined;
      const { version, deployments, digest } = offer;
      if (digest === floor?.stateDigest || digest === deferred?.to.stateDigest) return null;
      const of = { version, deployments };
      // M48: nothing of it comes into force before all of it reads.
      if (offer.why) return { ...of, state: 'pending', why: offer.why };
      const { refusal, waiting } = judged();
      if (refusal?.offered?.stateDigest === digest) return { ...of, state: 'failed', why: refusal };
      return waiting && waiting !== before ? { ...of, ...endOf(waiting) } : null;
    },
  };
}

interface Stated {
  readonly row: MargoReportRow;
  readonly state: MargoState;
  readonly why: Why;
}

/**
 * What is new in it; of the rest this manifest says nothing new.
 * @param now  how each deployment is told without it
 * @param rowOf  a first row of one, at the version
 */
export function refusedRows(
  { version, deployments, ...whole }: MargoRefused,
  now: ReadonlyMap<string, MargoReportRow>,
  rowOf: (one: MargoDeployment, version: bigint) => MargoReportRow,
): readonly Stated[] {
  return deployments.flatMap((one) => {
    const before = now.get(one.id);
    if (before?.digest === one.digest) return [];
    const { state, why } = one.refused ? { state: 'failed' as const, why: one.refused } : whole;
    // M60: that it was begun and failed is of this version; what waits runs the one before.
    const row = state === 'failed' ? rowOf(one, version) : (before ?? rowOf(one, version));
    return [{ row, state, why }];
  });
}

/**
 * After a start, until the manifest is read again: what was told of one that was refused stands.
 * @param floor  of the accepted manifest; null: none
 */
export function stillRefused(told: MargoReportRow | undefined, floor: bigint | null): boolean {
  return told?.state === 'failed' && told.version > (floor ?? 0n);
}
