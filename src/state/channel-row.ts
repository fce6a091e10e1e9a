/** What the store holds of one channel. Decoded records; `wire/records.ts` has their bytes. */
import type { Code } from '#errors/fault.ts';
import type { Digest } from './digest.ts';
import type { Fleet } from './names.ts';
import type { Freshness, Phase, StatusPoint, Via } from './status.ts';
import type { SecretRef } from './values.ts';

/** One small row a channel: each transition of the phase table is one put of it. */
export interface ChannelRow {
  readonly fleet: Fleet;
  readonly channel: string;
  /** the highest (epoch, sequence, digest) ever accepted: check 13. Only rises. */
  readonly floor: StatusPoint | null;
  /** the transaction that is under way, or null when idle */
  readonly intent: Intent | null;
  /** the last proven state: what runs, the base of plans and the target of undo */
  readonly applied: StatusPoint | null;
  readonly appliedVia: Via | null;
  readonly appliedFreshness: Freshness;
  /** proven before `applied`, newest first: what `rollback` may go to */
  readonly previous: readonly StatusPoint[];
  /** an operator went back: `applied` is held there until `resume` */
  readonly hold: { readonly at: number; readonly reason: string } | null;
  /** why the channel is degraded (drift, stuck), for status and explain; cleared by a commit */
  readonly degraded: Code | null;
  /** the operator paused this channel alone; the device as a whole: DeviceRow */
  readonly paused?: OperatorMark;
  /** it is no longer followed, and that was told once */
  readonly left?: true;
  /** while it was not followed, another channel took over part of `applied`: not in force as signed */
  readonly taken?: true;
  /** a verified statement that waits for its place in the spread, or for a window; absent: none */
  readonly deferred?: Deferred;
  /** `applied` is in force in part: its state row says what of it is not (`StateRow.open`) */
  readonly partly?: Partly;
  /** the accepted state was given up without a verdict, and is not begun anew from nothing; absent: none */
  readonly tried?: Tried;
}

/** How often a state was begun that a newer one or a rollback ended before it was judged (I6). */
export interface Tried {
  readonly stateDigest: Digest;
  readonly tries: number;
  readonly attemptsMax: number;
}

/** The state that was in force whole before; null: there was none. */
export interface Partly {
  readonly whole: StatusPoint | null;
}

/** When the operator did it, and why. */
export interface OperatorMark {
  readonly at: number;
  readonly reason: string;
}

/** Not accepted: the floor is unmoved, and it is judged again before anything is done about it. */
export interface Deferred {
  readonly to: StatusPoint;
  readonly via: Via;
  /** ms: how long the spread is, and what was left of this device's place when this was written */
  readonly spreadMs: number;
  readonly leftMs: number;
  /** the boot of this machine that it was written in, and when it is due by its CLOCK_BOOTTIME */
  readonly bootId: string;
  readonly dueMs: number;
}

/** An accepted statement on its way to being applied (checks 19–21). */
export interface Intent {
  /** `values`: the applied state again, with other values of this device */
  readonly kind: 'apply' | 'rollback' | 'values';
  /** `waiting`: accepted and undone after a cut or a passing fault; the next try has not begun */
  readonly phase: Extract<Phase, 'waiting' | 'activating' | 'proving' | 'undoing' | 'stuck'>;
  readonly to: StatusPoint;
  readonly via: Via;
  readonly freshness: Freshness;
  readonly tries: number;
  readonly attemptsMax: number;
  /** why it is being undone */
  readonly failure: {
    readonly code: Code;
    readonly message: string;
    readonly deployment: string;
  } | null;
  /** the ways to the control plane that have to be open again before the commit; absent: none */
  readonly reach?: readonly string[];
  /** the agent ends in the middle of this try by its own will, or the operator's: that is no cut */
  readonly restarting?: true;
  /** how often the operator ended it by stopping what runs; absent: never */
  readonly stops?: number;
}

/** One statement's deployments as they are on this device; key: its state digest. */
export interface StateRow {
  readonly stateDigest: Digest;
  readonly generations: readonly GenerationRow[];
  /** while a change to the state that is applied is open: what was in force, and comes back when it is undone */
  readonly replaced?: readonly GenerationRow[];
  /** `atomicity: deployment`: what of the statement is not in force; absent: all of it is, or nothing */
  readonly open?: OpenParts;
}

/** A statement that comes into force deployment by deployment, and is not there yet. */
export interface OpenParts extends Partly {
  readonly parts: readonly PartRow[];
}

/** A deployment that is not as the statement wants it. */
export interface PartRow {
  readonly id: string;
  /** of the generation that is to come into force; null: it is to be removed */
  readonly digest: Digest | null;
  readonly documentDigest: Digest | null;
  readonly tries: number;
  /** it is not tried again */
  readonly ended: boolean;
  /** why it is not in force; null: its turn has not come */
  readonly failure: { readonly code: Code; readonly message: string } | null;
}

/** Enough to rebuild a `Generation` from the content store, without network. */
export interface GenerationRow {
  readonly id: string;
  readonly digest: Digest;
  readonly documentDigest: Digest;
  readonly documentMediaType: string;
  readonly blobs: readonly {
    readonly name: string;
    readonly digest: Digest;
    readonly size: number;
    readonly unpackedSize: number;
    readonly tree: boolean;
  }[];
  readonly values: readonly { readonly name: string; readonly value: string }[];
  /** sealed values: where they stand, by parameter */
  readonly secrets?: readonly ({ readonly parameter: string } & SecretRef)[];
  /** the statement that its document stands in; absent: the one of the row */
  readonly statement?: Digest;
}

export interface RejectedRow {
  readonly point: StatusPoint;
  readonly code: Code;
  readonly message: string;
  readonly deployment: string;
}

/** One line of `holdfast history`. */
export interface HistoryRow {
  readonly number: bigint;
  readonly at: number;
  readonly channel: string;
  readonly outcome: 'applied' | 'rejected' | 'undone' | 'rolled-back' | 'refused';
  readonly point: StatusPoint | null;
  readonly via: Via | null;
  readonly code: Code | null;
  readonly message: string;
  /** ms from wake to end */
  readonly tookMs: number;
  /** of a part of the statement: its deployments; absent: of all of it */
  readonly deployment?: string;
}

/** Counters and marks of this device. */
export interface DeviceRow {
  /** grows at each start of the agent (status.boot) */
  readonly boot: bigint;
  /** what identity is bound to (golden images) */
  readonly machine: string;
  /** starts in a row that ended in a crash; 0 after a clean stop or a commit */
  readonly crashes: number;
  readonly paused: { readonly at: number; readonly reason: string } | null;
  /** Unix ms of the time floor, and how it was last raised (check 0) */
  readonly timeFloorMs: number;
}
