/**
 * What a published state of one of several channels means on a device, by deployment, and what its
 * signed policy lets begin when. Written from docs/publish.md and docs/operate.md, not from the code.
 */
import { type Digest, sha256 } from '#state/digest.ts';
import type { Window } from '#state/policy.ts';
import type { Wanted } from './wanted.ts';

export interface FieldStatement {
  readonly channel: string;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly digest: Digest;
  /** deployment id → what it brings */
  readonly pieces: Readonly<Record<string, Wanted>>;
  /** the keys of the channel signed it */
  readonly valid: boolean;
  /** a good device would undo it */
  readonly bad: boolean;
  /** a good device never accepts it: it reaches beyond what its channel may do here */
  readonly outside: boolean;
  /** it names values of the device */
  readonly valued: boolean;
  /** who applies it is cut off from its control plane, and it is not to stay then */
  readonly severs: boolean;
  readonly urgent: boolean;
  readonly windows: readonly Window[];
  readonly spreadMs: number;
  /** ms of the run */
  readonly issuedAt: number;
  /** what is in no other statement of its place */
  readonly mark: string;
}

export function fieldNameOf({ channel, epoch, sequence, digest }: FieldStatement): string {
  return `${channel} ${epoch}.${sequence} ${digest.slice(7, 13)}`;
}

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Every day, UTC. @param lateMs  what has begun in a window may end after it */
export function isOpen(windows: readonly Window[], wallMs: number, lateMs: number): boolean {
  return windows.some(({ start, durationMs }) => {
    const [hours = 0, minutes = 0] = start.split(':').map(Number);
    const since = (((wallMs - (hours * 60 + minutes) * MINUTE) % DAY) + DAY) % DAY;
    return since < durationMs + lateMs;
  });
}

const DIGITS = 13;

/** docs/formats.md: a device's place in the spread of a state. @returns ms */
export function placeOf(of: FieldStatement, fleet: string, device: string): number {
  const { channel, epoch, sequence, spreadMs } = of;
  const named = ['holdfast.spread.v1', fleet, channel, `${epoch}.${sequence}`, device];
  const hex = sha256(new TextEncoder().encode(named.join('\n'))).slice(-DIGITS);
  return Math.floor((Number(`0x${hex}`) / 16 ** DIGITS) * spreadMs);
}
