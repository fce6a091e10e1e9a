/** gzip: one whole member, under a cap, pulled. */
import { describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';

const { gzip, gunzip } = systemInflate();

function* pieces(bytes: Uint8Array, size: number): Generator<Result<Uint8Array>> {
  for (let at = 0; at < bytes.length; at += size) yield ok(bytes.subarray(at, at + size));
}

/** The content, or the code of the fault. */
function unpack(bytes: Uint8Array, cap = 10_000_000, size = 1_000): Buffer | string {
  const chunks: Uint8Array[] = [];
  for (const chunk of gunzip(pieces(bytes, size), cap)) {
    if (!chunk.ok) return chunk.fault.code;
    chunks.push(chunk.value);
  }
  return Buffer.concat(chunks);
}

describe('gunzip', () => {
  test('gives back what gzip packed, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5_000 }),
        fc.integer({ min: 1, max: 100 }),
        (data, size) => {
          expect(unpack(gzip(data), 5_000, size)).toEqual(Buffer.from(data));
        },
      ),
      { numRuns: 100 },
    );
  });

  test('reads what other programs pack, with names and comments', () => {
    const packed = execFileSync('gzip', ['-c', import.meta.path]);
    expect(unpack(packed).toString()).toContain('gunzip');
    expect(unpack(packed, 10_000_000, 1).toString()).toContain('gunzip');
  });

  const plain = randomBytes(100_000);
  const packed = gzipSync(plain);
  const flipped = (at: number): Uint8Array => {
    const copy = new Uint8Array(packed);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  for (const [name, bytes] of [
    ['nothing', new Uint8Array(0)],
    ['half a header', packed.subarray(0, 5)],
    ['cut in the data', packed.subarray(0, 50_000)],
    ['cut in the trailer', packed.subarray(0, -3)],
    ['one byte after the end (D15)', Buffer.concat([packed, Buffer.from([0])])],
    ['a second member (D15)', Buffer.concat([packed, packed])],
    ['another magic number', flipped(0)],
    ['another method', flipped(2)],
    ['a reserved flag', Buffer.from([0x1f, 0x8b, 8, 0x80, 0, 0, 0, 0, 0, 3])],
    [
      'a name without end',
      Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(100_000, 97)]),
    ],
    ['a wrong checksum', flipped(packed.length - 8)],
    ['a wrong length', flipped(packed.length - 1)],
    ['a zstd frame', Buffer.from('28b52ffd2400', 'hex')],
  ] as const) {
    for (const size of [1, 1_000, 1_000_000]) {
      test(`${name}, in pieces of ${size}: format.gzip`, () => {
        expect(unpack(bytes, 1_000_000, size)).toBe('format.gzip');
      });
    }
  }

  test('a bomb ends at the cap, after little work (B01)', () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000));
    let produced = 0;
    let code = '';
    for (const chunk of gunzip(pieces(bomb, 1_000), 1_000_000)) {
      if (chunk.ok) produced += chunk.value.length;
      else code = chunk.fault.code;
    }
    expect(code).toBe('source.too-large');
    expect(produced).toBeLessThanOrEqual(1_000_000);
  });

  test('the cap is exact', () => {
    expect(unpack(gzipSync(Buffer.alloc(1_000)), 1_000)).toEqual(Buffer.alloc(1_000));
    expect(unpack(gzipSync(Buffer.alloc(1_001)), 1_000)).toBe('source.too-large');
  });

  test('pulls no input before its output is asked for', () => {
    let pulled = 0;
    function* counted(): Generator<Result<Uint8Array>> {
      for (const piece of pieces(packed, 1_000)) {
        pulled += 1;
        yield piece;
      }
    }
    const output = gunzip(counted(), 1_000_000)[Symbol.iterator]();
    expect(pulled).toBe(0);
    output.next();
    expect(pulled).toBeLessThan(10);
  });

  for (const [how, taken, cap] of [
    ['is read to its end', 99, 10_000_000],
    ['is left after its first piece', 1, 10_000_000],
    ['ends at its cap', 99, 100],
  ] as const) {
    test(`its input is closed when it ${how}: there is an open file behind it`, () => {
      let closed = false;
      function* input() {
        try {
          yield* pieces(gzip(randomBytes(300_000)), 1_000);
        } finally {
          closed = true;
        }
      }
      let left = taken;
      for (const _ of gunzip(input(), cap)) {
        left -= 1;
        if (left === 0) break;
      }
      expect(closed).toBe(true);
    });
  }

  test('a fault of the input is passed on', () => {
    function* broken(): Generator<Result<Uint8Array>> {
      yield ok(packed.subarray(0, 2_000));
      yield refuse('link.cut', { peer: 'mirror', reason: 'test' });
    }
    const last = [...gunzip(broken(), 1_000_000)].at(-1);
    expect(last?.ok === false && last.fault.code).toBe('link.cut');
  });
});

test('gzip is deterministic and carries neither time nor system', () => {
  const data = randomBytes(1_000);
  expect(gzip(data)).toEqual(gzip(data));
  expect([...gzip(data).subarray(4, 10)]).toEqual([0, 0, 0, 0, 2, 255]);
});
