/** What a look finds, before anything is done about it. */
import type { Fault } from '#errors/fault.ts';
import type { Source } from '#sources/source.ts';
import type { DesiredState } from '#state/desired-state.ts';
import type { Digest } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import type { Point } from '#state/point.ts';
import type { Freshness, Via } from '#state/status.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { CheckTrace } from '#trust/outcome.ts';

/** An acceptable statement, not yet accepted. */
export interface Candidate {
  readonly state: DesiredState;
  readonly envelope: Envelope;
  readonly freshness: Freshness;
  readonly via: Via;
  readonly manifestDigest: Digest | null;
  /** contents that came with it, by digest */
  readonly inline: ReadonlyMap<Digest, Uint8Array>;
  /** the source it came from, asked first for its blobs; null: from this device's disk */
  readonly source: Source | null;
  /** monotonic ms of the wake */
  readonly startedAt: number;
  /** ms until its head was here; 0: it came from this device's disk */
  readonly headMs: number;
  /** why it is acceptable: evidence for the audit journal */
  readonly checks: readonly CheckTrace[];
  /** a local operator wants it now: neither spread nor window holds it up */
  readonly now?: boolean;
}

export type Found =
  | { readonly kind: 'candidate'; readonly candidate: Candidate }
  /** the head is what was settled before, or is applied */
  | { readonly kind: 'current'; readonly source: string }
  | { readonly kind: 'nothing'; readonly source: string }
  | {
      readonly kind: 'refused' | 'waiting';
      readonly fault: Fault;
      readonly offered: Point | null;
      readonly via: Via;
      readonly attack: boolean;
      readonly source: string;
      /** seen before: no second report */
      readonly again: boolean;
    }
  | { readonly kind: 'unreachable'; readonly fault: Fault; readonly source: string };

/** Of another channel: its signers are not those of this one, so it is not even read (checks 10–12). */
export function isForeign(found: Found): boolean {
  if (found.kind !== 'refused') return false;
  return found.offered === null || found.fault.code === 'trust.wrong-channel';
}

/** What the owner has to know before any other refusal: nothing that anybody can send is told over it. */
export function isAttack(found: Found): boolean {
  return found.kind === 'refused' && found.attack;
}

/** What `explain` shows of the last look. */
export interface Look {
  /** Unix ms by the wall clock */
  readonly at: number;
  readonly wake: Wake['kind'];
  readonly source: string;
  readonly result: Found['kind'];
  readonly fault: Fault | null;
  readonly checks: readonly CheckTrace[];
  readonly point: Point | null;
}
