/** The index of a bundle in a tar: what two readers could see differently is refused. */
import { describe, expect, test } from 'bun:test';
import { ok, refuse } from '#errors/fault.ts';
import type { FileReader } from '#platform/files.ts';

import { writeHeader, writePax } from '#wire/tar-header.ts';
import { indexTar } from '#wire/tar-index.ts';

const HEX = 'ab'.repeat(32);

function entry(path: string, body: string, type = '0'): Uint8Array {
  const padded = Buffer.alloc(Math.ceil(body.length / 512) * 512);
  padded.write(body);
  return Buffer.concat([writeHeader({ type, path, mode: 0o644, size: body.length }), padded]);
}

function readerOf(bytes: Uint8Array): FileReader & { reads: number } {
  return {
    size: bytes.length,
    reads: 0,
    read(offset, count) {
      this.reads += 1;
      return ok(bytes.subarray(offset, offset + count));
    },
    close: () => undefined,
  };
}

const END = Buffer.alloc(1024);
const bad = (reason: string) => refuse('source.layout', { path: '/usb/b.tar', reason });

function index(...parts: readonly Uint8Array[]): unknown {
  const found = indexTar(readerOf(Buffer.concat(parts)), bad);
  return found.ok ? Object.fromEntries(found.value) : found.fault.code;
}

describe('the index of a tar', () => {
  test('has the files of a layout with their places, and passes over others', () => {
    expect(
      index(
        entry('./oci-layout', 'x'),
        entry('blobs/', '', '5'),
        entry(`blobs/sha256/${HEX}`, 'y'.repeat(600)),
        entry('readme', 'z'),
        entry('index.json', '{}'),
        END,
      ),
    ).toEqual({
      'oci-layout': { offset: 512, size: 1 },
      [`blobs/sha256/${HEX}`]: { offset: 2048, size: 600 },
      'index.json': { offset: 4608, size: 2 },
    });
  });

  test('of gigabytes is made by reading headers', () => {
    const header = writeHeader({ type: '0', path: `blobs/sha256/${HEX}`, mode: 0o644, size: 4e9 });
    const size = 512 + Math.ceil(4e9 / 512) * 512 + 1024;
    const sparse: FileReader = {
      size,
      read: (offset, count) => ok(offset === 0 ? header : new Uint8Array(count)),
      close: () => undefined,
    };
    const found = indexTar(sparse, bad);
    expect(found.ok && found.value.size).toBe(1);
  });

  test('a mode that repeats the file type, as skopeo writes it, is read', () => {
    const typed = (type: string, mode: number): Uint8Array =>
      writeHeader({ type, path: type === '5' ? 'blobs' : 'index.json', mode, size: 0 });
    expect(index(typed('0', 0o100644), typed('5', 0o040755), END)).toEqual({
      'index.json': { offset: 512, size: 0 },
    });
    expect(index(typed('0', 0o120644), END)).toBe('source.layout');
    expect(index(typed('0', 0o040755), END)).toBe('source.layout');
  });

  for (const [what, parts] of [
    ['no end', [entry('index.json', '{}')]],
    ['no tar', [Buffer.from('PK'.repeat(512))]],
    ['nothing', []],
    ['a name twice', [entry('index.json', '1'), entry('./index.json', '2'), END]],
    ['D04: a symbolic link', [entry('index.json', '', '2'), END]],
    ['D06: a hard link', [entry('index.json', '', '1'), END]],
    ['D08: a device', [entry('index.json', '', '3'), END]],
    ["GNU's long names", [entry('index.json', 'x', 'L'), END]],
    ["GNU's sparse files", [entry('index.json', 'x', 'S'), END]],
    ['a directory with content', [entry('blobs', 'x', '5'), END]],
    [
      'an extended header that renames',
      [entry('pax', Buffer.from(writePax('index.json')).toString(), 'x'), entry('a', '{}'), END],
    ],
    [
      'an extended header that resizes',
      [entry('pax', '10 size=1\n', 'x'), entry('index.json', '{}'), END],
    ],
    [
      'B08: an extended header of 64 KiB',
      [entry('pax', 'x'.repeat(65_536), 'x'), entry('index.json', '{}'), END],
    ],
    ['D15: data after the end', [entry('index.json', '{}'), END, entry('index.json', '!!')]],
    ['a cut inside a file', [entry('index.json', 'x'.repeat(600)).subarray(0, 1024)]],
    ['a cut inside a header', [entry('index.json', '{}'), END.subarray(0, 100)]],
  ] as const) {
    test(`is refused: ${what}`, () => expect(index(...parts)).toBe('source.layout'));
  }

  test('a changed byte in a header is noticed', () => {
    const bytes = Buffer.from(Buffer.concat([entry('index.json', '{}'), END]));
    for (const at of [0, 130, 156, 300]) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      expect(index(damaged)).toBe('source.layout');
    }
  });

  test('B06: a million empty files end at a bound', () => {
    const header = writeHeader({ type: '0', path: 'x', mode: 0o644, size: 0 });
    let reads = 0;
    const endless: FileReader = {
      size: 512 * 1_000_000,
      read: () => {
        reads += 1;
        return ok(header);
      },
      close: () => undefined,
    };
    const found = indexTar(endless, bad);
    expect(!found.ok && found.fault.code).toBe('source.layout');
    expect(reads).toBeLessThan(20_000);
  });
});
