/**
 * The writes of one transaction before they are committed: a view of the engine with them on top.
 * The work of a transaction runs on this once, so that the same writes can be committed a second
 * time when the disk was full, and so that what throws half-way never reaches the engine. A write
 * that changes nothing is dropped: it would wear the flash for nothing.
 */
import type { Engine, EngineTransaction } from './engine.ts';

export interface Overlay {
  get(key: string): Uint8Array | undefined;
  range(prefix: string): Iterable<readonly [key: string, value: Uint8Array]>;
  put(key: string, value: Uint8Array): void;
  remove(key: string): void;
  /** more bytes than its commit can write, on a file system that copies on write too */
  readonly roomNeeded: number;
  /** nothing to commit */
  readonly unchanged: boolean;
  apply(tx: EngineTransaction): void;
}

/** pages of the way down to the first row, of the free list, and room for others' writes */
const COMMIT_BYTES = 96 * 1024;
const ROW_BYTES = 4096;

export function overlayOn(engine: Engine): Overlay {
  /** null: removed */
  const writes = new Map<string, Uint8Array | null>();
  const set = (key: string, value: Uint8Array | null): void => {
    const stored = engine.get(key);
    const same =
      value === null ? stored === undefined : stored !== undefined && equal(stored, value);
    if (same) writes.delete(key);
    else writes.set(key, value);
  };
  return {
    get(key) {
      const written = writes.get(key);
      return written === undefined ? engine.get(key) : (written ?? undefined);
    },
    range(prefix) {
      const rows = new Map(engine.range(prefix));
      for (const [key, value] of writes) {
        if (!key.startsWith(prefix)) continue;
        if (value === null) rows.delete(key);
        else rows.set(key, value);
      }
      return [...rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    },
    put: (key, value) => set(key, value),
    remove: (key) => set(key, null),
    get roomNeeded() {
      let bytes = COMMIT_BYTES;
      for (const value of writes.values()) bytes += ROW_BYTES + 2 * (value?.length ?? 0);
      return bytes;
    },
    get unchanged() {
      return writes.size === 0;
    },
    apply(tx) {
      for (const [key, value] of writes) {
        if (value === null) tx.remove(key);
        else tx.put(key, value);
      }
    },
  };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
