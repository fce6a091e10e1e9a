/** store/guard.ts: what LMDB may see, from bytes alone (attack row L06). */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { checkDataFile, damageIn, MAP_BYTES, PAGE_BYTES } from '#store/guard.ts';
import { lmdbKind } from '#store/lmdb.ts';
import { codeOf, scratch, storePlatform, value } from '../../support/store.ts';
import { headerDamages } from '../../support/store-images.ts';

const place = scratch('guard');
afterAll(() => place.remove());

/** A data file with branch pages, overflow pages and a used free list. */
let image: Buffer;
beforeAll(() => {
  const directory = value(storePlatform.files.open(place.path));
  const engine = value(lmdbKind.open(directory));
  for (let round = 0; round < 40; round += 1) {
    engine.transaction((tx) => {
      for (let row = 0; row < 12; row += 1) {
        const key = `row/${(round * 7 + row * 31) % 200}`;
        if (row % 5 === 4) tx.remove(key);
        else tx.put(key, new Uint8Array(row === 0 ? 9_000 : 300).fill(round));
      }
    });
    const bytes = readFileSync(`${place.path}/data.mdb`);
    expect(damageIn(bytes)).toBeNull();
  }
  engine.close();
  directory.close();
  image = readFileSync(`${place.path}/data.mdb`);
});

describe('a sound file passes', () => {
  test('with a tail that is no whole page, as a full disk leaves it', () => {
    expect(damageIn(Buffer.concat([image, Buffer.alloc(1_000, 7)]))).toBeNull();
  });
});

describe('L06: a damaged header is told from bytes alone', () => {
  for (const { name, damage, sound } of headerDamages) {
    test(`${name}: ${sound ? 'nothing that is used' : 'store.damaged'}`, () => {
      const reason = damageIn(damage(Buffer.from(image)));
      if (sound) expect(reason).toBeNull();
      else expect(reason).toBeString();
    });
  }
});

describe('no page reference leads outside', () => {
  const newer = (bytes: Buffer) =>
    bytes.readBigUInt64LE(24 + 128) > bytes.readBigUInt64LE(PAGE_BYTES + 24 + 128) ? 0 : PAGE_BYTES;
  const root = (bytes: Buffer) => Number(bytes.readBigUInt64LE(newer(bytes) + 24 + 72 + 40));
  for (const [name, change] of [
    ['root past the end', (b: Buffer) => b.writeBigUInt64LE(999n, newer(b) + 24 + 72 + 40)],
    ['root is a meta page', (b: Buffer) => b.writeBigUInt64LE(1n, newer(b) + 24 + 72 + 40)],
    [
      'free root is the main root',
      (b: Buffer) => b.writeBigUInt64LE(BigInt(root(b)), newer(b) + 24 + 24 + 40),
    ],
    [
      'one entry too many',
      (b: Buffer) => b.writeBigUInt64LE(b.readBigUInt64LE(newer(b) + 128) + 1n, newer(b) + 128),
    ],
    ['depth 0', (b: Buffer) => b.writeUInt16LE(0, newer(b) + 24 + 72 + 6)],
    ['depth 60000', (b: Buffer) => b.writeUInt16LE(60_000, newer(b) + 24 + 72 + 6)],
    ['duplicate-sort flag', (b: Buffer) => b.writeUInt16LE(4, newer(b) + 24 + 72 + 4)],
    ['last page before the root', (b: Buffer) => b.writeBigUInt64LE(1n, newer(b) + 24 + 120)],
    ['last page beyond the map', (b: Buffer) => b.writeBigUInt64LE(1n << 40n, newer(b) + 24 + 120)],
    ['page of another kind', (b: Buffer) => b.writeUInt16LE(4, root(b) * PAGE_BYTES + 18)],
    ['page with another number', (b: Buffer) => b.writeUInt8(99, root(b) * PAGE_BYTES)],
    ['bounds outside the page', (b: Buffer) => b.writeUInt16LE(65_534, root(b) * PAGE_BYTES + 22)],
    ['node outside the page', (b: Buffer) => b.writeUInt16LE(65_534, root(b) * PAGE_BYTES + 24)],
    [
      'child page loops to its parent',
      (b: Buffer) => {
        const node = root(b) * PAGE_BYTES + 24 + b.readUInt16LE(root(b) * PAGE_BYTES + 24);
        b.writeUInt32LE(root(b), node);
      },
    ],
  ] as const) {
    test(`${name}: store.damaged`, () => {
      const bytes = Buffer.from(image);
      change(bytes);
      expect(damageIn(bytes)).toBeString();
    });
  }
});

describe('only a regular file of sane size is read', () => {
  const directory = () => value(storePlatform.files.open(`${place.path}/d`));
  beforeAll(() => {
    mkdirSync(`${place.path}/d/sub.mdb`, { recursive: true });
    symlinkSync(`${place.path}/data.mdb`, `${place.path}/d/link.mdb`);
    writeFileSync(`${place.path}/d/huge.mdb`, '');
    writeFileSync(`${place.path}/d/sound.mdb`, image);
    Bun.spawnSync(['truncate', '-s', String(MAP_BYTES + 1), `${place.path}/d/huge.mdb`]);
  });
  for (const [name, code] of [
    ['sound', 'ok'],
    ['absent', 'store.damaged'],
    ['sub', 'store.damaged'],
    ['link', 'store.damaged'],
    ['huge', 'store.damaged'],
  ] as const) {
    test(`${name}: ${code}`, () => {
      const opened = directory();
      expect(codeOf(checkDataFile(opened, `${name}.mdb`))).toBe(code);
      opened.close();
    });
  }
});
