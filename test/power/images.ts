/**
 * What a disk may hold after a cut between any two entries of its log: all that was flushed, and of
 * what came after it some writes, some torn. The same recording and seed give the same images, in every
 * process that walks along them; no two are alike, unless more had been told outside in between. An image
 * is told as pieces over what is durable, so that a step costs what changes, not the size of the disk.
 */
import type { LaneState } from '../crash/lane-states.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type Disk, makeDisk, type Piece, SECTOR } from './disk.ts';
import type { DiskEntry } from './disk-log.ts';

/** What had happened outside by a place in the log. */
export interface Outside {
  /** the newest that a status had called applied, and its state */
  applied: { readonly sequence: number; readonly state: LaneState | null };
  /** the newest boot of a status */
  boot: number;
  /** published since, and not refused yet */
  offered: { readonly sequence: number; readonly state: LaneState }[];
}

export interface Recorded {
  /** the disk before the first entry */
  readonly base: Buffer;
  readonly entries: readonly DiskEntry[];
}

export interface Moment {
  readonly index: number;
  /** Both hold only until the next moment is asked for. */
  readonly durable: Buffer;
  readonly pieces: readonly Piece[];
  readonly outside: Outside;
  /** writes and flushes before it */
  readonly at: number;
}

/** cuts at one place until one gives what no other gave; where nothing waits there is but one */
const TRIES = 8;

/** Along the log, as many at each entry as the whole number asks for. */
export function* imagesOf(
  { base, entries }: Recorded,
  asked: { readonly images: number; readonly seed: number },
): Generator<Moment> {
  const { unit } = seededRandom(asked.seed);
  const disk = makeDisk(Buffer.from(base));
  const sums = makeSums(disk);
  const outside: Outside = { applied: { sequence: 0, state: null }, boot: 0, offered: [] };
  const total = entries.filter(({ kind }) => kind !== 'mark').length;
  const seen = new Set<string>();
  let [passed, index] = [0, 0];
  for (const entry of entries) {
    if (entry.kind === 'mark') {
      heard(outside, entry.text);
      continue;
    }
    if (entry.kind === 'write') sums.write(entry);
    passed += 1;
    const due = Math.floor((asked.images * passed) / total);
    const most = disk.waiting === 0 ? 1 : TRIES;
    for (let tries = 0; index < due && tries < most; tries += 1) {
      const pieces = disk.survivors(unit);
      // The same bytes are looked at again when more had been told outside.
      const key = `${sums.of(pieces)} ${outside.boot} ${outside.offered.length}`;
      if (seen.has(key)) continue;
      seen.add(key);
      const { durable } = disk;
      yield { index, durable, pieces, outside: structuredClone(outside), at: passed };
      index += 1;
    }
    if (entry.kind === 'flush') sums.flush();
  }
}

function heard(outside: Outside, text: string): void {
  const mark = JSON.parse(text);
  if (mark.offered) {
    outside.offered.push({ sequence: mark.sequence, state: mark.offered as LaneState });
    return;
  }
  const of = outside.offered.find(({ sequence }) => sequence === mark.told);
  outside.offered = outside.offered.filter(({ sequence }) => sequence > mark.told);
  outside.boot = mark.boot;
  if (of && mark.applied) outside.applied = of;
}

interface Sums {
  write(entry: { readonly at: number; readonly bytes: Buffer; readonly durable: boolean }): void;
  flush(): void;
  /** equal for equal images, whichever way they came about */
  of(pieces: readonly Piece[]): bigint;
}

/** The hashes of all sectors, each with its place, in one sum: what changes is taken out and put in. */
function makeSums(disk: Disk): Sums {
  const durable = new Map<number, bigint>();
  const waiting = new Set<number>();
  const known = new WeakMap<Buffer, readonly bigint[]>();
  let sum = 0n;
  const hashAt = (bytes: Buffer, from: number, sector: number) =>
    Bun.hash(bytes.subarray(from, from + SECTOR), sector) as bigint;
  const before = (sector: number): bigint => {
    const hash = durable.get(sector) ?? hashAt(disk.durable, sector * SECTOR, sector);
    durable.set(sector, hash);
    return hash;
  };
  const settle = (sectors: Iterable<number>): void => {
    for (const sector of sectors) {
      const now = hashAt(disk.durable, sector * SECTOR, sector);
      sum ^= before(sector) ^ now;
      durable.set(sector, now);
    }
  };
  const hashesOf = ({ at, bytes }: Piece): readonly bigint[] => {
    const first = at / SECTOR;
    const count = bytes.length / SECTOR;
    if (!Number.isInteger(first) || !Number.isInteger(count)) throw new Error('not whole sectors');
    const hashes =
      known.get(bytes) ??
      Array.from({ length: count }, (_, each) => hashAt(bytes, each * SECTOR, first + each));
    known.set(bytes, hashes);
    return hashes;
  };
  return {
    write({ at, bytes, durable: through }) {
      const count = bytes.length / SECTOR;
      const sectors = Array.from({ length: count }, (_, each) => at / SECTOR + each);
      for (const sector of sectors) before(sector);
      disk.write(at, bytes, through);
      if (through) settle(sectors);
      else for (const sector of sectors) waiting.add(sector);
    },
    flush() {
      disk.flush();
      settle(waiting);
      waiting.clear();
    },
    of(pieces) {
      const last = new Map<number, bigint>();
      for (const piece of pieces) {
        for (const [each, hash] of hashesOf(piece).entries()) {
          last.set(piece.at / SECTOR + each, hash);
        }
      }
      let of = sum;
      for (const [sector, hash] of last) of ^= before(sector) ^ hash;
      return of;
    },
  };
}
