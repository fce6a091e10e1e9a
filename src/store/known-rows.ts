/**
 * Rows that were read before. A change reads its channel's row a dozen times; what was opened once
 * from the same bytes, under the same key and as the same kind, is the same value. Bytes decide, so
 * a row that was written or damaged since is opened anew, checksum first. Values are never changed
 * in place. Bounded by bytes, the oldest leave first.
 */
import { ok, type Result } from '#errors/fault.ts';
import type { RecordKind } from '#wire/records.ts';
import { openRecord } from './record.ts';

/** bytes of rows whose values are kept, together and each */
const KEPT_BYTES = 128 * 1024;
const ROW_BYTES = 32 * 1024;

interface Known {
  readonly framed: Uint8Array;
  readonly kind: unknown;
  readonly value: unknown;
}

export interface KnownRows {
  /** Opened by its checksum and read, or known from before. */
  open<T>(key: string, framed: Uint8Array, kind: RecordKind<T>): Result<T>;
}

export function knownRows(): KnownRows {
  const known = new Map<string, Known>();
  let held = 0;

  function keep(key: string, row: Known): void {
    known.set(key, row);
    held += row.framed.length;
    for (const [oldest, { framed }] of known) {
      if (held <= KEPT_BYTES) return;
      known.delete(oldest);
      held -= framed.length;
    }
  }

  return {
    open<T>(key: string, framed: Uint8Array, kind: RecordKind<T>): Result<T> {
      const before = known.get(key);
      if (before?.kind === kind && Buffer.compare(before.framed, framed) === 0) {
        return ok(before.value as T);
      }
      if (before) {
        known.delete(key);
        held -= before.framed.length;
      }
      const read = openRow(key, framed, kind);
      if (read.ok && framed.length <= ROW_BYTES) keep(key, { framed, kind, value: read.value });
      return read;
    },
  };
}

/** The checksum comes first. */
export function openRow<T>(key: string, framed: Uint8Array, kind: RecordKind<T>): Result<T> {
  const body = openRecord(key, framed);
  return body.ok ? kind.read(body.value, key) : body;
}
