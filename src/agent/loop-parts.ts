/**
 * What the loop of one channel (agent.ts) is made of, and what the device does with it
 * (device-agent.ts, line.ts).
 */
import type { ApplyContext, Change } from '#apply/transaction.ts';
import type { Fault, Result } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Generation } from '#state/generation.ts';
import type { Gate } from '#triggers/gate.ts';
import type { Wake } from '#triggers/trigger.ts';
import type { CycleEnd, CycleParts } from './cycle.ts';
import type { Deferral } from './deferral.ts';
import type { Drift } from './drift.ts';
import type { Found } from './found.ts';
import type { NamedAgain } from './named-again.ts';

export interface AgentParts extends CycleParts {
  readonly context: ApplyContext;
  readonly clock: Clock;
  readonly log: Log;
  readonly gate: Gate;
  readonly drift: Drift;
  readonly deferral: Deferral;
  /** the health window of a statement on disk, for recovery */
  healthWindowOf(stateDigest: Generation['digest']): number;
  /** A look ended: the schedule learns whether its source was reached. */
  looked(end: CycleEnd): void;
  /** what a nudge named and nobody had */
  readonly again: NamedAgain;
  /** what is in force with the values of this device that are; null: it has them */
  makeValuesChange(signal: AbortSignal): Promise<Result<Change | null>>;
  /** These values cannot be used by what is in force. */
  rejectValues(why: Fault): void;
  wake(wake: Wake): void;
  /** a change of some channel of this device is under way */
  deviceBusy(): boolean;
  /** Unreferenced blobs, statements and generations, of all channels; only called when idle. */
  collect(): Promise<void>;
  /** What runs is watched by its health checks from now on; unchanged watches go on. */
  watchHealth(current: readonly Generation[]): void;
}

export interface Agent {
  /** What a cut left open is ended: the channel is in the old or the new state, whole. */
  recover(): Promise<Result<void>>;
  /** What is in force runs, and is as it was signed. */
  bringIntoForce(): Promise<Result<void>>;
  /** The proof that a cut interrupted, once the device is ready; nothing where there is none. */
  proveOn(): void;
  /** Until `signal` aborts. Rejects on a broken assumption. */
  run(signal: AbortSignal): Promise<void>;
  /** One look now; resolves with its end. */
  look(wake: Wake): Promise<CycleEnd>;
  /** The same in two steps: what was found, and how what follows of it ends. */
  glance(wake: Wake): Glance;
  /** What waited for the spread or a window is due. */
  goOn(): Promise<void>;
  /** A state on disk that is accepted and not applied goes on (after a cut, after a hold). */
  resume(): Promise<CycleEnd | null>;
  current(): Result<readonly Generation[]>;
  /** Other values of this device are in force: what names them follows. Resolves when it has. */
  valuesChanged(): Promise<void>;
  /**
   * Programs are about to be stopped: what is missing from now on is no drift, nothing is begun or repaired
   * any more, and a change that is under way is left open. Resolves when nothing is.
   */
  leaveAlone(): Promise<void>;
}

export interface Glance {
  /** null: the agent ends before it was looked */
  readonly found: Promise<Found | null>;
  readonly ended: Promise<CycleEnd>;
}
