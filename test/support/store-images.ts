/** The header damage table of attack row L06: data files that kill LMDB, or might. */
const PAGE = 4096;

export interface HeaderDamage {
  readonly name: string;
  damage(image: Buffer): Buffer;
  /** the damage hits nothing that is in use */
  readonly sound?: true;
}

/** The same bytes for the same seed. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = seed;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

function changed(image: Buffer, change: (bytes: Buffer) => void): Buffer {
  change(image);
  return image;
}

export const headerDamages: readonly HeaderDamage[] = [
  { name: '0 bytes', damage: () => Buffer.alloc(0) },
  {
    name: 'all-zero metas',
    damage: (image) => changed(image, (bytes) => bytes.fill(0, 0, 2 * PAGE)),
  },
  { name: 'all zero', damage: (image) => Buffer.alloc(image.length) },
  { name: 'one page only', damage: (image) => image.subarray(0, PAGE) },
  { name: 'half a page', damage: (image) => image.subarray(0, PAGE / 2) },
  { name: 'metas only', damage: (image) => image.subarray(0, 2 * PAGE) },
  { name: 'meta 0 zero', damage: (image) => changed(image, (bytes) => bytes.fill(0, 0, PAGE)) },
  {
    name: 'meta 1 zero',
    damage: (image) => changed(image, (bytes) => bytes.fill(0, PAGE, 2 * PAGE)),
  },
  { name: 'random file', damage: (image) => noise(image.length, 1) },
  { name: 'random short file', damage: () => noise(300, 2) },
  {
    name: 'bad version in meta 0',
    damage: (image) => changed(image, (bytes) => bytes.writeUInt32LE(999, 28)),
  },
  {
    name: 'bad version in meta 1',
    damage: (image) => changed(image, (bytes) => bytes.writeUInt32LE(1, PAGE + 28)),
  },
  {
    name: 'bad magic in meta 1',
    damage: (image) => changed(image, (bytes) => bytes.writeUInt32LE(0, PAGE + 24)),
  },
  {
    name: 'page size 65536',
    damage: (image) => changed(image, (bytes) => bytes.writeUInt32LE(65_536, 48)),
  },
  {
    name: 'page size 0',
    damage: (image) =>
      changed(image, (bytes) => {
        bytes.writeUInt32LE(0, 48);
        bytes.writeUInt32LE(0, PAGE + 48);
      }),
  },
  {
    name: 'a map of 2^60 bytes',
    damage: (image) =>
      changed(image, (bytes) => {
        bytes.writeBigUInt64LE(1n << 60n, 40);
        bytes.writeBigUInt64LE(1n << 60n, PAGE + 40);
      }),
  },
  {
    name: 'truncated to half',
    damage: (image) => image.subarray(0, Math.floor(image.length / 2 / PAGE) * PAGE),
  },
  { name: 'odd truncation', damage: (image) => image.subarray(0, 2 * PAGE + 1_234) },
  {
    name: 'random data pages',
    damage: (image) =>
      changed(image, (bytes) => noise(bytes.length - 2 * PAGE, 3).copy(bytes, 2 * PAGE)),
  },
  {
    name: 'zero data pages',
    damage: (image) => changed(image, (bytes) => bytes.fill(0, 2 * PAGE)),
  },
  {
    name: 'noise behind the last page',
    damage: (image) => Buffer.concat([image, noise(3 * PAGE + 5, 4)]),
    sound: true,
  },
];
