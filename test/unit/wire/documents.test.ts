/** The documents layer: each entry is named by the digest of its bytes. */
import { describe, expect, test } from 'bun:test';
import { hexOf, sha256 } from '#state/digest.ts';
import { readDocuments, writeDocuments } from '#wire/documents.ts';
import { writeTar } from '#wire/tar.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const one = bytesOf('id: one\n');
const two = bytesOf('id: two\n');
const name = hexOf(sha256(one));
const archive = (path: string, bytes: Uint8Array) =>
  readDocuments(writeTar([{ path, bytes, mode: 0o644, kind: 'file' }]));

describe('the documents layer', () => {
  test('documents come back by digest; the order and repeats given do not matter', () => {
    const layer = writeDocuments([one, two, one]);
    expect(writeDocuments([two, one])).toEqual(layer);
    const read = granted(readDocuments(layer));
    expect([...read.keys()].sort()).toEqual([sha256(one), sha256(two)].sort());
    expect(read.get(sha256(two))).toEqual(two);
  });

  test('500 documents, and none', () => {
    const documents = Array.from({ length: 500 }, (_, index) => bytesOf(`id: d${index}\n`));
    expect(granted(readDocuments(writeDocuments(documents))).size).toBe(500);
    expect(granted(readDocuments(writeDocuments([]))).size).toBe(0);
  });

  for (const [title, result, reason] of [
    ['a name that is another digest (S17)', archive(name, two), 'its bytes are'],
    ['an upper-case name (C06)', archive(name.toUpperCase(), one), '64 lowercase hex'],
    ['a name with an extension', archive(`${name}.yaml`, one), '64 lowercase hex'],
    ['a document of 300 KB', archive(name, new Uint8Array(300_000)), 'at most 262144'],
    ['more than 16 MiB', readDocuments(new Uint8Array(16 * 1_048_576 + 1)), 'at most 16777216'],
    [
      'a directory',
      readDocuments(writeTar([{ path: 'a', mode: 0o755, kind: 'directory' }])),
      'no file',
    ],
    ['a document in a directory', archive(`a/${name}`, one), 'no file'],
  ] as const) {
    test(`refused: ${title}`, () => {
      expect(codeOf(result)).toBe('format.documents');
      expect(messageOf(result)).toContain(reason);
    });
  }

  test('refused: a cut layer, and one with data after its end (D15)', () => {
    const layer = writeDocuments([one]);
    expect(codeOf(readDocuments(layer.subarray(0, 700)))).toBe('format.tar');
    expect(codeOf(readDocuments(new Uint8Array([...layer, 1])))).toBe('format.tar');
  });
});
