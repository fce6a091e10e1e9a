/**
 * When in the spread of a state a device fetches and activates: a place that follows from the state
 * and the device alone, so it is the same after a restart, and another one for the next state. Pure.
 */
import { sha256 } from '#state/digest.ts';

export interface Placed {
  readonly fleet: string;
  readonly channel: string;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly deviceId: string;
  /** ms: the whole spread */
  readonly spreadMs: number;
}

/** hex digits of a number that a double holds exactly */
const DIGITS = 13;

/** ms from 0 up to, not including, `spreadMs`: even over devices. */
export function placeInSpread(of: Placed): number {
  const { fleet, channel, epoch, sequence, deviceId, spreadMs } = of;
  // No part holds a line feed: ids are a-z 0-9 . -
  const text = ['holdfast.spread.v1', fleet, channel, `${epoch}.${sequence}`, deviceId].join('\n');
  const digits = sha256(new TextEncoder().encode(text)).slice(-DIGITS);
  return Math.floor((Number.parseInt(digits, 16) / 16 ** DIGITS) * spreadMs);
}
