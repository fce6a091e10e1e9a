/** A point on a channel's line of statements: (epoch, sequence) and the state digest there. */
import type { Digest } from './digest.ts';

export interface Point {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly digest: Digest;
}

/** Negative, zero or positive; epoch first (check 13). Digests are not compared. */
export function comparePoints(
  a: Pick<Point, 'epoch' | 'sequence'>,
  b: Pick<Point, 'epoch' | 'sequence'>,
): number {
  if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
  return a.sequence === b.sequence ? 0 : a.sequence < b.sequence ? -1 : 1;
}

/** `1.57`: how people read a point. */
export function pointText(point: Pick<Point, 'epoch' | 'sequence'>): string {
  return `${point.epoch}.${point.sequence}`;
}
