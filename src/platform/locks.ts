/** A lock on a file that the kernel holds for this process, and drops with it however it ends. */
import type { Result } from '#errors/fault.ts';

export interface Locks {
  /**
   * Takes the exclusive lock on a file, made with mode 0600 when missing. Null: another process
   * holds it, whatever its process or network namespace. Never waits.
   */
  take(path: string): Result<HeldLock | null>;
}

export interface HeldLock {
  release(): void;
}
