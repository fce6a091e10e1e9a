/** The images of a disk's log: what a cut allows and nothing else, each once, the same for everybody. */
import { describe, expect, test } from 'bun:test';
import { SECTOR } from '../power/disk.ts';
import type { DiskEntry } from '../power/disk-log.ts';
import { imagesOf } from '../power/images.ts';
import { seededRandom } from '../support/seeded-random.ts';

const SECTORS = 24;
const WANTED = 400;
const ENTRIES = 120;

/** Every write is of a value of its own, so that each sector tells which one it holds. */
function randomLog(seed: number): readonly DiskEntry[] {
  const { unit } = seededRandom(seed);
  return Array.from({ length: ENTRIES }, (_, index): DiskEntry => {
    const kind = unit();
    if (kind < 0.2) return { kind: 'flush' };
    if (kind < 0.25) return { kind: 'mark', text: JSON.stringify({ told: 0, boot: index }) };
    const length = 1 + Math.floor(unit() * 4);
    const at = Math.floor(unit() * (SECTORS - length)) * SECTOR;
    const bytes = Buffer.alloc(length * SECTOR, index + 1);
    return { kind: 'write', at, bytes, durable: unit() < 0.15 };
  });
}

interface Seen {
  readonly at: number;
  readonly boot: number;
  readonly image: Buffer;
}

function walked(entries: readonly DiskEntry[], seed: number): readonly Seen[] {
  const base = Buffer.alloc(SECTORS * SECTOR);
  return [...mapped(imagesOf({ base, entries }, { images: WANTED, seed }))];
}

/** A moment holds only until the next. */
function* mapped(moments: ReturnType<typeof imagesOf>): Generator<Seen> {
  for (const { durable, pieces, outside, at } of moments) {
    const image = Buffer.from(durable);
    for (const piece of pieces) piece.bytes.copy(image, piece.at);
    yield { at, boot: outside.boot, image };
  }
}

/** By sector: what it held at the last flush or durable write, and what was written since. */
function allowedAt(entries: readonly DiskEntry[], at: number): readonly ReadonlySet<number>[] {
  let allowed = Array.from({ length: SECTORS }, () => [0]);
  let passed = 0;
  for (const [index, entry] of entries.entries()) {
    if (passed === at) break;
    if (entry.kind === 'mark') continue;
    passed += 1;
    if (entry.kind === 'flush' && passed < at) {
      allowed = allowed.map((values) => values.slice(-1));
    } else if (entry.kind === 'write') {
      for (let each = 0; each < entry.bytes.length / SECTOR; each += 1) {
        const sector = entry.at / SECTOR + each;
        allowed[sector] = [...(entry.durable ? [] : (allowed[sector] ?? [])), index + 1];
      }
    }
  }
  return allowed.map((values) => new Set(values));
}

describe('the images of a log', () => {
  const entries = randomLog(7);
  const images = walked(entries, 3);

  test('are the same for everybody who walks along it with one seed, and others with another', () => {
    expect(images.length).toBeGreaterThan(WANTED / 2);
    expect(walked(entries, 3)).toEqual(images);
    expect(walked(entries, 4)).not.toEqual(images);
  });

  test('are never the same bytes twice while nothing more was told outside', () => {
    const keys = images.map(({ boot, image }) => `${boot} ${image.toString('base64')}`);
    expect(new Set(keys).size).toBe(images.length);
  });

  test('nor where the disk comes back to what it held before', () => {
    // Few sectors and few values: most images can come about in several ways, also across flushes.
    const few = Array.from({ length: 400 }, (_, index): DiskEntry => {
      if (index % 3 === 2) return { kind: 'flush' };
      const bytes = Buffer.alloc(SECTOR, (index * 7) % 3);
      return { kind: 'write', at: ((index * 5) % 4) * SECTOR, bytes, durable: index % 11 === 0 };
    });
    const keys = walked(few, 1).map(({ image }) => image.toString('base64'));
    expect(new Set(keys).size).toBe(keys.length);
    expect(keys.length).toBeGreaterThan(5);
  });

  test('hold in every sector what was flushed last, or what was written since', () => {
    for (const { at, image } of images) {
      const allowed = allowedAt(entries, at);
      for (const [sector, values] of allowed.entries()) {
        const held = image.subarray(sector * SECTOR, (sector + 1) * SECTOR);
        expect(values).toContain(held[0] ?? -1);
        expect(held.every((byte) => byte === held[0])).toBe(true);
      }
    }
  });
});
