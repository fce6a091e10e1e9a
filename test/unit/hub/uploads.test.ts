/** hub/uploads.ts and hub/disk.ts: bounds, one writer an upload, content under its own digest. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { readdirSync, writeFileSync } from 'node:fs';
import { type Disk, openDisk } from '#hub/disk.ts';
import { type Uploads, uploadsOn } from '#hub/uploads.ts';
import { systemRandom } from '#platform/node/random.ts';
import { hexOf, sha256 } from '#state/digest.ts';
import { manualClock } from '../../support/manual-clock.ts';
import { codeOf, scratch, storePlatform, value } from '../../support/store.ts';

let place: ReturnType<typeof scratch>;
let disk: Disk;
let uploads: Uploads;
let clock: ReturnType<typeof manualClock>;

beforeEach(() => {
  place = scratch('uploads');
  disk = value(openDisk(storePlatform.files, place.path));
  clock = manualClock();
  uploads = uploadsOn(disk, clock, systemRandom(), 1_000);
});
afterEach(() => {
  disk.close();
  place.remove();
});

const left = () => readdirSync(`${place.path}/uploads`);

async function* bodyOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

test('what arrives in pieces becomes a blob under its digest', async () => {
  const upload = value(uploads.begin('a/b'));
  value(await uploads.append(upload, bodyOf(Buffer.from('12'), Buffer.from('3'))));
  value(await uploads.append(upload, bodyOf(Buffer.from('45'))));
  const digest = sha256(Buffer.from('12345'));
  value(uploads.finish(upload, digest));
  expect(disk.hasBlob('a/b', digest)).toBe(true);
  expect(disk.hasBlob('a/c', digest)).toBe(false);
  expect(left()).toEqual([]);
});

test('another digest is hub.digest-mismatch and leaves nothing', async () => {
  const upload = value(uploads.begin('a'));
  value(await uploads.append(upload, bodyOf(Buffer.from('x'))));
  expect(codeOf(uploads.finish(upload, sha256(Buffer.from('y'))))).toBe('hub.digest-mismatch');
  expect(uploads.find('a', upload.id)).toBeNull();
  expect(left()).toEqual([]);
});

test('C07: the first byte past the cap is hub.too-large and ends it', async () => {
  const upload = value(uploads.begin('a'));
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield Buffer.alloc(100);
  };
  expect(codeOf(await uploads.append(upload, endless()))).toBe('hub.too-large');
  expect(left()).toEqual([]);
});

test('a second writer is hub.busy while the first still sends', async () => {
  const upload = value(uploads.begin('a'));
  const gate = Promise.withResolvers<void>();
  const slow = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('1');
    await gate.promise;
    yield Buffer.from('2');
  };
  const first = uploads.append(upload, slow());
  expect(codeOf(await uploads.append(upload, bodyOf(Buffer.from('x'))))).toBe('hub.busy');
  expect(codeOf(uploads.finish(upload, sha256(Buffer.from('1'))))).toBe('hub.busy');
  uploads.cancel(upload);
  gate.resolve();
  value(await first);
  value(uploads.finish(upload, sha256(Buffer.from('12'))));
});

test('a client that goes away leaves what arrived: link.cut', async () => {
  const upload = value(uploads.begin('a'));
  const cut = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('12');
    throw new Error('aborted');
  };
  expect(codeOf(await uploads.append(upload, cut()))).toBe('link.cut');
  expect(uploads.find('a', upload.id)?.size).toBe(2);
  expect(uploads.find('other', upload.id)).toBeNull();
});

test('64 at a time; those idle for an hour make room', async () => {
  for (let at = 0; at < 64; at += 1) value(uploads.begin('a'));
  expect(codeOf(uploads.begin('a'))).toBe('hub.busy');
  await clock.advance(3_600_001);
  value(uploads.begin('a'));
  expect(left()).toHaveLength(1);
});

test('what was under way is thrown away at the next start', () => {
  value(uploads.begin('a'));
  value(openDisk(storePlatform.files, place.path)).close();
  expect(left()).toEqual([]);
});

test('L07: a manifest that rotted is hub.damaged', () => {
  const bytes = Buffer.from('{"a":1}');
  const digest = sha256(bytes);
  const stored = { digest, bytes, mediaType: 'm/t', tag: 'x', subject: null };
  value(disk.putManifest('a', stored));
  expect(value(disk.manifest('a', digest))?.mediaType).toBe('m/t');
  writeFileSync(`${place.path}/blobs/${hexOf(digest)}`, '{"a":2}');
  expect(codeOf(disk.manifest('a', digest))).toBe('hub.damaged');
  value(disk.putManifest('a', stored));
  expect(disk.manifest('a', digest).ok).toBe(true);
});
