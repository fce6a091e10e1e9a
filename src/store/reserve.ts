/**
 * A file beside the store that holds room for a few commits: removed when the disk is full, so
 * that recovery can still write down what it does, and made again once there is room.
 * It is an aid: that it cannot be made is no fault.
 *
 * Room is looked at before each commit: LMDB's own handling of a failed write overruns a buffer of
 * 100 bytes with its message (lmdb 3.5.6, mdb_page_flush; 1 of 12 full disks ended in abort).
 */
import type { Directory } from '#platform/files.ts';

export const RESERVE_BYTES = 256 * 1024;
/** made only where at least this much stays free */
const ROOM_BYTES = 4 * RESERVE_BYTES;
const NAME = 'reserve';

export interface Reserve {
  /** At least this many bytes are free; true when that cannot be told. */
  hasRoom(bytes: number): boolean;
  /** Makes it when it is missing and there is room. One stat when it is known to be there. */
  ensure(): void;
  /** @returns whether there was anything to free */
  free(): boolean;
}

export function reserveIn(directory: Directory): Reserve {
  let there = false;
  return {
    hasRoom(bytes) {
      const space = directory.freeSpace();
      return !space.ok || space.value.bytes >= bytes;
    },
    ensure() {
      if (there) return;
      const entry = directory.stat(NAME);
      if (!entry.ok) return;
      there = entry.value?.kind === 'file' && entry.value.size === RESERVE_BYTES;
      if (!there) there = make(directory, entry.value !== null);
    },
    free() {
      there = false;
      return directory.unlink(NAME).ok;
    },
  };
}

function make(directory: Directory, old: boolean): boolean {
  if (old) directory.removeTree(NAME);
  const space = directory.freeSpace();
  if (!space.ok || space.value.bytes < ROOM_BYTES) return false;
  // Not zeros: a file system that compresses or punches holes would keep no room for them.
  const filling = new Uint8Array(RESERVE_BYTES);
  for (let at = 0; at < RESERVE_BYTES; at += 1) filling[at] = (at * 167 + (at >> 8) * 59) & 0xff;
  const made = directory.write(NAME, filling, 0o600);
  if (!made.ok) directory.unlink(NAME);
  return made.ok;
}
