/**
 * File locks by way of SQLite, which both runtimes carry: neither has flock or fcntl, an addon of
 * our own for one call is not worth it, and bun:ffi needs the JIT that MemoryDenyWriteExecute
 * turns off. `BEGIN EXCLUSIVE` on an empty database takes fcntl record locks on the file: the
 * kernel keeps them by inode, so a second agent in another container on the same volume is seen
 * (process and network namespaces do not matter), and drops them with the process, so that nothing
 * is stale after kill -9 or a power cut. Nothing is ever written: the file stays empty.
 *
 * POSIX locks end when the process closes any descriptor of the file: nobody else here opens it.
 */
import { Database, SQLiteError } from 'bun:sqlite';
import { chmodSync } from 'node:fs';
import { ok, refuse } from '#errors/fault.ts';
import type { HeldLock, Locks } from '#platform/locks.ts';

/** held databases: an unreferenced one would be closed by the collector, and its lock with it */
const held = new Set<Database>();

export function sqliteLocks(): Locks {
  return {
    take(path) {
      let database: Database | null = null;
      try {
        database = new Database(path, { create: true, readwrite: true });
        database.run('BEGIN EXCLUSIVE');
        chmodSync(path, 0o600);
        held.add(database);
        return ok(heldLock(database));
      } catch (error) {
        database?.close();
        if (error instanceof SQLiteError && error.code?.startsWith('SQLITE_BUSY')) return ok(null);
        const errno = error instanceof Error ? error.message : String(error);
        return refuse('platform.io', { operation: 'lock', path, errno });
      }
    },
  };
}

function heldLock(database: Database): HeldLock {
  return {
    release() {
      if (!held.delete(database)) return;
      database.run('ROLLBACK');
      database.close();
    },
  };
}
