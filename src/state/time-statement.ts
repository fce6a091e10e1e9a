/** What the role `time` signs, decoded: a lower bound of the time, an answer to a nonce, channels' heads. */
import type { Fleet } from './names.ts';
import type { Point } from './point.ts';

export interface TimeStatement {
  readonly fleet: Fleet;
  /** Unix ms: it is at least that */
  readonly at: number;
  /** what a device asked with; empty: for everyone */
  readonly nonce: Uint8Array;
  /** empty: of no device */
  readonly deviceId: string;
  /** what each channel's newest statement was then */
  readonly heads: readonly TimeHead[];
  /** the root that its signer knew */
  readonly rootVersion: bigint;
  /** Unix ms; 0: no end */
  readonly notAfter: number;
  readonly critical: readonly string[];
}

export interface TimeHead extends Point {
  readonly channel: string;
}

/** Unsigned: a device asks for the time. */
export interface TimeRequest {
  readonly nonce: Uint8Array;
  readonly deviceId: string;
}

/** The role of the root that signs the time, and nothing else. */
export const TIME_ROLE = 'time';
