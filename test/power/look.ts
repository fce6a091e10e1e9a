/**
 * One look at a disk after a cut, before any agent: every file whole, the store opened through its own
 * guard, as a start does, everything that its rows count on read, and all in it that was told outside.
 * It runs in a process of its own (judge-child.ts), because a damaged store might end that.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { contentStore } from '#store/content.ts';
import { openStore } from '#store/open.ts';
import type { LanePlace } from '../crash/lane-states.ts';
import { tornFiles } from '../crash/lane-witness.ts';
import { storePlatform, value } from '../support/store.ts';
import type { Outside } from './images.ts';

interface Look {
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

/** @param mount  where the disk is to be seen */
export function looked(outside: Outside, place: LanePlace, mount: string): readonly string[] {
  const states = [outside.applied.state, ...outside.offered.map(({ state }) => state)];
  const line = join(mount, 'opt/line');
  const faults = tornFiles({ ...place, line }, states).map((path) => `${path} is torn`);
  // Before the first boot was told, there may be no store yet.
  const stateDir = join(mount, 'state');
  if (!existsSync(stateDir)) {
    return outside.boot > 0 ? [...faults, 'no state directory'] : faults;
  }
  const look = lookAt(stateDir);
  const told = outside.applied.sequence;
  if (look.recovered !== 'opened' && (outside.boot > 0 || look.recovered !== 'created')) {
    faults.push(`the store: ${look.recovered}`);
  }
  if (look.applied < told) faults.push(`told applied ${told}, it has ${look.applied}`);
  if (look.floor < told) faults.push(`told applied ${told}, its floor is ${look.floor}`);
  if (look.boot < outside.boot) faults.push(`told boot ${outside.boot}, it has ${look.boot}`);
  return [...faults, ...look.missing];
}

function lookAt(stateDir: string): Look {
  try {
    return opened(stateDir);
  } catch (error) {
    const recovered = String(error).slice(0, 300);
    return { recovered, floor: 0, applied: 0, boot: 0, missing: [] };
  }
}

function opened(stateDir: string): Look {
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
