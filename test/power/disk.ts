/**
 * A disk with a volatile cache, in memory: what was written and not flushed is kept, dropped or torn
 * in sectors at a cut, each write by itself, in any order. A write with FUA is durable when it has
 * returned, and older bytes that wait for the same place are not written over it later.
 */
export interface Disk {
  readonly size: number;
  /** What a cut leaves whatever happens; goes on changing with the disk. */
  readonly durable: Buffer;
  read(at: number, length: number): Buffer;
  write(at: number, bytes: Buffer, durable: boolean): void;
  /** All that was written so far is durable when it returns. */
  flush(): void;
  /** What of the waiting writes reaches the platters if the power goes now, in their order. */
  survivors(random: () => number): readonly Piece[];
  /** The power goes and comes back: of what waited the survivors are there, and nothing waits. */
  restart(random: () => number): void;
  readonly waiting: number;
}

/** Bytes and their place. */
export interface Piece {
  readonly at: number;
  readonly bytes: Buffer;
}

export const SECTOR = 512;

export function makeDisk(image: Buffer): Disk {
  const seen = Buffer.from(image);
  const durable = image;
  let waiting: Piece[] = [];
  const disk: Disk = {
    size: image.length,
    durable,
    get waiting() {
      return waiting.length;
    },
    read: (at, length) => seen.subarray(at, at + length),
    write(at, bytes, through) {
      bytes.copy(seen, at);
      if (through) {
        bytes.copy(durable, at);
        waiting = waiting.flatMap((old) => outside(old, at, at + bytes.length));
      } else waiting.push({ at, bytes: Buffer.from(bytes) });
    },
    flush() {
      for (const { at, bytes } of waiting) bytes.copy(durable, at);
      waiting = [];
    },
    survivors: (random) => scattered(waiting, random),
    restart(random) {
      for (const { at, bytes } of disk.survivors(random)) bytes.copy(durable, at);
      durable.copy(seen);
      waiting = [];
    },
  };
  return disk;
}

/** Some of the writes, some of their sectors. */
function scattered(writes: readonly Piece[], random: () => number): readonly Piece[] {
  const kept = random();
  const torn = random() * 0.5;
  const pieces: Piece[] = [];
  for (const { at, bytes } of writes) {
    const fate = random();
    const sectors = fate < torn ? random() : fate < torn + (1 - torn) * kept ? 1 : 0;
    if (sectors === 1) pieces.push({ at, bytes });
    if (sectors === 0 || sectors === 1) continue;
    for (let from = 0; from < bytes.length; from += SECTOR) {
      if (random() < sectors) {
        pieces.push({ at: at + from, bytes: bytes.subarray(from, from + SECTOR) });
      }
    }
  }
  return pieces;
}

function outside(old: Piece, from: number, to: number): readonly Piece[] {
  const end = old.at + old.bytes.length;
  if (to <= old.at || from >= end) return [old];
  const after = Math.max(0, to - old.at);
  return [
    { at: old.at, bytes: old.bytes.subarray(0, Math.max(0, from - old.at)) },
    { at: old.at + after, bytes: old.bytes.subarray(after) },
  ].filter(({ bytes }) => bytes.length > 0);
}
