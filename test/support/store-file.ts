/** What a store's file says about itself, read without the store. */
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The newest transaction id in the two metas of LMDB's file.
 * @see lmdb's mdb.c, MDB_meta: after the page header of 24 bytes (of lmdb-js) magic, version, address, size,
 *     two MDB_db of 48 bytes, last page, then the id
 */
export function transactionId(stateDir: string): bigint {
  const file = openSync(join(stateDir, 'store/data.mdb'), 'r');
  const ids = [0, 4096].map((page) => {
    const meta = Buffer.alloc(160);
    readSync(file, meta, 0, meta.length, page);
    return meta.readBigUInt64LE(24 + 4 + 4 + 8 + 8 + 48 * 2 + 8);
  });
  closeSync(file);
  return ids.toSorted((a, b) => Number(a - b)).at(-1) ?? 0n;
}
