/** Targets: gzip, tar, the index of a bundle, the documents layer. */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { readDocuments, writeDocuments } from '#wire/documents.ts';
import { readTar, type TarEntry, writeTar } from '#wire/tar.ts';
import { indexTar } from '#wire/tar-index.ts';
import { bytesOf } from '../support/wire-samples.ts';
import type { Target } from './engine.ts';
import { answerOf, promise } from './promises.ts';

const CAPS = { entries: 50, bytes: 100_000 };
const UNPACKED_MAX = 1_000_000;
const inflate = systemInflate();
const entries: readonly TarEntry[] = [
  { path: 'a', mode: 0o755, kind: 'directory' },
  { path: 'a/plain.conf', mode: 0o644, kind: 'file', bytes: bytesOf('speed=1\n') },
  { path: `a/${'long'.repeat(40)}/x`, mode: 0o755, kind: 'file', bytes: bytesOf('y'.repeat(700)) },
];
const tree = writeTar(entries);
const layout = writeTar([
  { path: 'index.json', mode: 0o644, kind: 'file', bytes: bytesOf('{}') },
  { path: `blobs/sha256/${'ab'.repeat(32)}`, mode: 0o644, kind: 'file', bytes: bytesOf('blob') },
]);
const PATHS = ['a/../b', '/a', 'C:\\x', '.wh.a', 'CON', 'A', 'a/', './a', '././@LongLink', 'ustar'];

function tar(input: Uint8Array): string {
  const seen = new Set<string>();
  let [items, bytes, left] = [0, 0, 0];
  for (const item of readTar([ok(input)], CAPS)) {
    if (!item.ok) return answerOf(item);
    const entry = item.value;
    if (entry.kind === 'data') {
      left -= entry.bytes.length;
      promise(left >= 0, 'no more data than was said');
      continue;
    }
    promise(left === 0, 'all the data that was said');
    const path = entry.path.join('/');
    const inside =
      entry.path.length > 0 && entry.path.every((part) => !/^\.{0,2}$|[/\0\\]/.test(part));
    promise(inside, `a path inside the tree, not ${JSON.stringify(path)}`);
    promise((entry.mode & ~0o777) === 0, 'no setuid, setgid, sticky');
    promise(!seen.has(path) || entry.kind === 'directory', `each path once: ${path}`);
    seen.add(path);
    left = entry.kind === 'file' ? entry.size : 0;
    items += 1;
    bytes += left;
    promise(items <= CAPS.entries && bytes <= CAPS.bytes, 'the caps');
  }
  return 'ok';
}

function gzip(input: Uint8Array): string {
  let size = 0;
  const chunks: Uint8Array[] = [];
  for (const chunk of inflate.gunzip([ok(input)], UNPACKED_MAX)) {
    if (!chunk.ok) return answerOf(chunk);
    size += chunk.value.length;
    chunks.push(chunk.value);
    promise(size <= UNPACKED_MAX, 'the cap');
  }
  promise(Bun.gunzipSync(new Uint8Array(input)).length === size, 'as much as zlib unpacks');
  return 'ok';
}

function bundleIndex(input: Uint8Array): string {
  const size = input.length;
  const read = (offset: number, count: number): Result<Uint8Array> =>
    ok(input.subarray(offset, offset + count));
  const index = indexTar({ size, read }, (reason) =>
    refuse('source.layout', { path: 'bundle.tar', reason }),
  );
  if (index.ok)
    for (const [, file] of index.value) promise(file.offset + file.size <= size, 'inside the file');
  return answerOf(index);
}

export const ARCHIVES: readonly Target[] = [
  { name: 'tar', shape: 'tar', seeds: [tree, layout], words: PATHS, run: tar },
  {
    name: 'gzip',
    shape: 'bytes',
    seeds: [inflate.gzip(tree), inflate.gzip(bytesOf('x'))],
    run: gzip,
  },
  { name: 'bundle index', shape: 'tar', seeds: [layout, tree], words: PATHS, run: bundleIndex },
  {
    name: 'documents',
    shape: 'tar',
    seeds: [writeDocuments([bytesOf('a: 1'), bytesOf('b: 2')])],
    run: (input) => answerOf(readDocuments(input)),
  },
];
