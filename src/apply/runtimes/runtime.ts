/**
 * What brings a generation into force. Every call is idempotent, because recovery repeats it after
 * a power cut, and reads the truth from the disk and the process table, never from intent.
 * Adding a runtime: a file here, a line in catalogue.ts, the contract suite (test/contract/runtime).
 */
import type { Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { Generation } from '#state/generation.ts';
import type { Packages } from './packages.ts';

export interface Runtime {
  /** the profile type of the documents it serves */
  readonly type: string;
  /**
   * Contents that no blob of the statement holds (images, packages): fetched, checked, and laid where
   * `prepare` and every later call find them without a network. Before windows and spread are asked,
   * with no visible effect. Absent: there is no such content.
   */
  fetch?(next: Generation, packages: Packages): Promise<Result<void>>;
  /** Blobs that generations in `keep` need beside those of their statement. */
  blobs?(keep: readonly Generation[]): ReadonlySet<Digest>;
  /**
   * Stages everything on the target's own file system, verified and fsynced, with no visible
   * effect (checks 16–19). Refuses what could not be activated: an occupied target, a missing user.
   */
  prepare(next: Generation): Promise<Result<void>>;
  /**
   * Makes `next` the one in force; `previous` is what may be in force now (null: nothing of ours).
   * Re-checks digests first (check 18). In force already: changes and restarts nothing.
   */
  activate(next: Generation, previous: Generation | null): Promise<Result<void>>;
  /** Stop and unlink; what stood there before our first activation comes back. Generations stay. */
  deactivate(previous: Generation): Promise<Result<void>>;
  /** Differences between `current` and the device; empty: in force as signed. */
  inspect(current: Generation, depth: 'stat' | 'hash'): Promise<Result<readonly Deviation[]>>;
  /** Before a repair: copies what drift put at the targets, capped; the copies' paths. */
  keepFound(current: Generation): Promise<Result<readonly string[]>>;
  /** What the check `alive` and status read: from the process table and the disk. */
  condition(current: Generation): Condition;
  /**
   * Removes generations of the deployment that are not in `keep` and that no live process uses.
   * With `keep` empty (removed for good), also what deactivate left.
   */
  sweep(id: string, keep: ReadonlySet<Digest>): Promise<Result<void>>;
  /**
   * Deployments that have anything here that `sweep` would remove, by the name of their folder: also
   * those of states that no row names any more.
   */
  left?(): Result<readonly string[]>;
  /** `holdfast stop`: what runs ends and stays where it is, for the next start. Absent: nothing does. */
  stopAll?(): Promise<Result<void>>;
}

export interface Deviation {
  /** path or component, for people */
  readonly what: string;
  readonly found: string;
}

export interface Condition {
  readonly running: 'yes' | 'no' | 'starting' | 'not-applicable';
  /** ms since the youngest program started, for `aliveFor`; 0 when not running */
  readonly upMs: number;
  readonly restarts: number;
  readonly message: string;
}
