/**
 * Looks at one state directory after the other, named on standard input: opened through the store's
 * guard, as a start does, and everything that its rows count on read. One JSON line each; the process
 * is its own because a damaged store might end it.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { contentStore } from '#store/content.ts';
import { openStore } from '#store/open.ts';
import { storePlatform, value } from '../support/store.ts';

export interface Look {
  /** how the store came up, or the fault that kept it shut */
  readonly recovered: string;
  /** sequences; 0: none */
  readonly floor: number;
  readonly applied: number;
  /** made at each start */
  readonly boot: number;
  /** what a row counts on and is not there */
  readonly missing: readonly string[];
}

function look(stateDir: string): Look {
  const { store, recovered } = value(openStore(storePlatform, stateDir));
  const content = value(contentStore(storePlatform.files, stateDir));
  try {
    const missing: string[] = [];
    const [row] = value(store.channels());
    if (row?.floor) {
      const statement = content.readStatement(row.floor.stateDigest);
      if (!statement.ok) missing.push(`the statement of the floor: ${statement.fault.code}`);
    }
    for (const { generations } of row ? value(store.states(row.fleet, row.channel)) : []) {
      for (const { blobs } of generations) {
        for (const { name, digest, size } of blobs) {
          if (!content.hasBlob(digest, size)) continue; // fetched again at need, or swept
          const blob = content.readBlob(digest, size);
          if (!blob.ok) missing.push(`the blob ${name}: ${blob.fault.code}`);
        }
      }
    }
    const point = (of: { readonly sequence: bigint } | null | undefined) =>
      Number(of?.sequence ?? 0);
    const boot = Number(value(store.device())?.boot ?? 0n);
    return { recovered, floor: point(row?.floor), applied: point(row?.applied), boot, missing };
  } finally {
    content.close();
    store.close();
  }
}

for await (const stateDir of createInterface({ input: process.stdin })) {
  let told: Look;
  try {
    told = look(stateDir);
  } catch (error) {
    told = { recovered: String(error).slice(0, 300), floor: 0, applied: 0, boot: 0, missing: [] };
  }
  writeSync(1, `${JSON.stringify(told)}\n`);
}
