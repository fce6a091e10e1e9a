/**
 * One agent a state directory. The lock is the kernel's (platform/locks.ts): it is held as long as
 * the process lives, by whatever name or container it runs, and never stale. LMDB's own locks let a
 * second process in, and its reader table goes by pid, which two containers may share.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { HeldLock, Locks } from '#platform/locks.ts';

const NAME = 'agent.lock';

/** `store.locked` when another agent holds it. */
export function lockStateDir(locks: Locks, stateDir: string): Result<HeldLock> {
  const taken = locks.take(`${stateDir}/${NAME}`);
  if (!taken.ok) return taken;
  return taken.value ? ok(taken.value) : refuse('store.locked', { path: stateDir });
}
