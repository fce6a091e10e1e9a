/** Checks 16–18 for trees and files: what is written is what was signed, or nothing. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type ShelfTools, stageTree, sweepShelf, type WantedTree } from '#apply/generations.ts';
import { durablePlaces } from '#apply/places.ts';
import { type Blobs, pace, pristine, stageFile } from '#apply/stage.ts';
import { treeDiffers } from '#apply/tree-differs.ts';
import { ratioFault, unpack } from '#apply/unpack.ts';
import type { Directory } from '#platform/files.ts';
import { systemClock } from '#platform/node/clock.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { sha256 } from '#state/digest.ts';
import type { GenerationBlob } from '#state/generation.ts';
import { contentStore } from '#store/content.ts';
import { type TarEntry, writeTar } from '#wire/tar.ts';
import { codeOf, scratch, value } from '../../support/store.ts';

let world: ReturnType<typeof scratch>;
let into: Directory;
let blobs: Blobs;
let tools: ShelfTools;
beforeEach(() => {
  world = scratch('unpack');
  mkdirSync(`${world.path}/into`);
  into = value(systemFiles().open(`${world.path}/into`));
  blobs = value(contentStore(systemFiles(), `${world.path}/state`));
  const clock = systemClock();
  const self = { uid: process.getuid?.() ?? 0 };
  tools = { blobs, inflate: systemInflate(), spend: pace(clock), self, clock, seen: new Map() };
});
afterEach(() => {
  into.close();
  world.remove();
});

function stored(bytes: Uint8Array, more: Partial<GenerationBlob> = {}): GenerationBlob {
  const digest = sha256(bytes);
  const content = value(contentStore(systemFiles(), `${world.path}/state`));
  value(content.putBlob(digest, bytes));
  return { digest, size: bytes.length, unpackedSize: bytes.length, tree: false, ...more };
}

function archive(entries: readonly TarEntry[], change = (tar: Uint8Array) => tar): GenerationBlob {
  const tar = change(writeTar(entries));
  return stored(systemInflate().gzip(tar), { tree: true, unpackedSize: tar.length });
}

const source = (blob: GenerationBlob) => ({ blob, fileName: 'program', owner: null });
const entry = (path: string, text = 'x', mode = 0o644): TarEntry => ({
  path,
  kind: 'file',
  mode,
  bytes: Buffer.from(text),
});

describe('pristine', () => {
  test('gives the bytes, and nothing after them, when they are the signed ones', () => {
    const bytes = new Uint8Array(700_000).fill(7);
    const blob = stored(bytes);
    const chunks = [...pristine(blobs, blob)].map((chunk) => value(chunk));
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
    expect(chunks.length).toBe(3);
  });

  for (const [what, spoil] of [
    ['another byte', (path: string) => writeFileSync(path, 'xthree')],
    ['fewer bytes', (path: string) => writeFileSync(path, 'one')],
    ['more bytes', (path: string) => writeFileSync(path, 'onetwo+')],
  ] as const) {
    test(`${what} on the disk end in store.blob-damaged, and the blob is dropped`, async () => {
      const blob = stored(Buffer.from('onetwo'));
      const path = `${world.path}/state/content/${blob.digest.slice(7)}.blob`;
      spoil(path);
      const want = { blob, mode: 0o644, owner: null };
      expect(codeOf(await stageFile(tools, into, 'target', want))).toBe('store.blob-damaged');
      expect(readdirSync(into.path)).toEqual([]);
      expect(existsSync(path)).toBe(false);
    });
  }
});

describe('unpack', () => {
  test('writes bytes, modes and directories as in the archive, and finds them equal', async () => {
    const blob = archive([
      { path: 'closed', kind: 'directory', mode: 0o500 },
      entry('closed/deep/file', 'deep', 0o400),
      entry('run', '#!/bin/sh', 0o755),
      { path: 'empty', kind: 'directory', mode: 0o755 },
    ]);
    value(await unpack(tools, source(blob), into));
    expect(readFileSync(`${into.path}/closed/deep/file`, 'utf8')).toBe('deep');
    expect(statSync(`${into.path}/closed`).mode & 0o7777).toBe(0o500);
    expect(statSync(`${into.path}/closed/deep`).mode & 0o7777).toBe(0o755);
    expect(statSync(`${into.path}/closed/deep/file`).mode & 0o7777).toBe(0o400);
    expect(value(await treeDiffers(tools, source(blob), into))).toBeNull();
  });

  test('many files in many directories take no handles with them', async () => {
    const handles = () => readdirSync('/proc/self/fd').length;
    const entries = Array.from({ length: 400 }, (_, index) =>
      entry(`d${index % 20}/e${index % 7}/f${index}`),
    );
    const blob = archive(entries);
    const before = handles();
    value(await unpack(tools, source(blob), into));
    expect(value(await treeDiffers(tools, source(blob), into))).toBeNull();
    expect(handles()).toBe(before);
  });

  for (const [row, entries] of [
    ['D01 ..', [entry('../outside')]],
    ['D02 absolute', [entry('/etc/passwd')]],
    ['D11 two names that a file system may take for one', [entry('Readme'), entry('readme')]],
    ['D17 a control character', [entry('a\nb')]],
    ['D23 a dot', [entry('./.')]],
  ] as const) {
    test(`${row}: refused, and nothing outside the directory`, async () => {
      let blob: GenerationBlob;
      try {
        blob = archive(entries);
      } catch {
        // The writer refuses to make it: rename inside a good archive instead.
        blob = archive([entry('aaaaaaaaaaa')], (tar) =>
          renamed(tar, 'aaaaaaaaaaa', entries[0].path),
        );
      }
      expect(codeOf(await unpack(tools, source(blob), into))).toStartWith('format.');
      expect(readdirSync(world.path).sort()).toEqual(['into', 'state']);
    });
  }

  for (const [row, type] of [
    ['D04 a symbolic link', '2'],
    ['D06 a hard link', '1'],
    ['D08 a device', '3'],
    ['D08 a fifo', '6'],
  ] as const) {
    test(`${row}: refused`, async () => {
      const blob = archive([entry('link', '')], (tar) => {
        const changed = Buffer.from(tar);
        changed.write(type, 156);
        changed.write('/etc/passwd', 157);
        return checksummed(changed);
      });
      expect(codeOf(await unpack(tools, source(blob), into))).toStartWith('format.');
      expect(existsSync(`${into.path}/link`)).toBe(false);
    });
  }

  test('B01: more than was signed is not written', async () => {
    const blob = archive([entry('zeros', '\0'.repeat(4 * 1024 * 1024))]);
    const small = { ...blob, unpackedSize: 1024 * 1024 };
    expect((await unpack(tools, source(small), into)).ok).toBe(false);
    const { size } = statSync(`${into.path}/zeros`, { throwIfNoEntry: false }) ?? { size: 0 };
    expect(size).toBeLessThanOrEqual(1024 * 1024 + 512 * 1024);
  });

  test('B01: a size that no honest tree has is refused before it is fetched', () => {
    const blob = { digest: sha256(new Uint8Array()), size: 1_000, tree: true };
    const bomb = ratioFault('line', { ...blob, unpackedSize: 10 * 1024 ** 3 });
    expect(bomb && codeOf(bomb)).toBe('apply.unpack-ratio');
    expect(ratioFault('line', { ...blob, unpackedSize: 1024 * 1024 })).toBeNull();
  });

  test('an archive that is cut is refused', async () => {
    const blob = archive([entry('a', 'x'.repeat(5_000))]);
    const bytes = readFileSync(`${world.path}/state/content/${blob.digest.slice(7)}.blob`);
    const cut = stored(bytes.subarray(0, bytes.length - 20), { tree: true, unpackedSize: 9_000 });
    expect(codeOf(await unpack(tools, source(cut), into))).toStartWith('format.');
  });
});

describe('shelves', () => {
  const want = (blob: GenerationBlob): WantedTree => ({
    ...source(blob),
    generation: sha256(Buffer.from('generation')),
    component: 'site',
  });
  const hex = sha256(Buffer.from('generation')).slice(7);

  test('a tree that is intact is used, a damaged one is replaced in its place', async () => {
    const blob = archive([entry('a', 'good')]);
    expect(value(await stageTree(tools, into, want(blob), new Set()))).toBe(hex);
    writeFileSync(`${into.path}/${hex}/site/a`, 'evil');
    expect(value(await stageTree(tools, into, want(blob), new Set()))).toBe(hex);
    expect(readFileSync(`${into.path}/${hex}/site/a`, 'utf8')).toBe('good');
  });

  test('a damaged tree that is in use is left, and the second place is made', async () => {
    const blob = archive([entry('a', 'good')]);
    value(await stageTree(tools, into, want(blob), new Set()));
    writeFileSync(`${into.path}/${hex}/site/a`, 'evil');
    expect(value(await stageTree(tools, into, want(blob), new Set([hex])))).toBe(`${hex}~`);
    expect(readFileSync(`${into.path}/${hex}/site/a`, 'utf8')).toBe('evil');
    writeFileSync(`${into.path}/${hex}~/site/a`, 'evil');
    const both = new Set([hex, `${hex}~`]);
    expect(codeOf(await stageTree(tools, into, want(blob), both))).toBe('apply.generation-in-use');
  });

  test('a single file becomes a tree of one program', async () => {
    const blob = stored(Buffer.from('#!/bin/sh\n'));
    value(await stageTree(tools, into, want(blob), new Set()));
    expect(statSync(`${into.path}/${hex}/site/program`).mode & 0o777).toBe(0o755);
  });

  test('what a cut left half unpacked is swept, what is kept or used stays', async () => {
    const blob = archive([entry('a')]);
    value(await stageTree(tools, into, want(blob), new Set()));
    mkdirSync(`${into.path}/${hex}/.part-site/half`, { recursive: true });
    const [other, used] = ['0'.repeat(64), '1'.repeat(64)];
    mkdirSync(`${into.path}/${other}`);
    mkdirSync(`${into.path}/${used}`);
    mkdirSync(`${into.path}/origin`);
    value(sweepShelf(into, new Set([want(blob).generation]), new Set([used])));
    expect(readdirSync(into.path).sort()).toEqual([used, hex, 'origin'].sort());
    expect(readdirSync(`${into.path}/${hex}`)).toEqual(['site']);
  });
});

describe('places', () => {
  test('are found again by id alone; a torn record is none', () => {
    const state = `${world.path}/state`;
    const first = durablePlaces(systemFiles(), state);
    value(first.add('line', 'shelf', '/opt/line'));
    value(first.add('line', 'shelf', '/opt/line'));
    value(first.add('line.b', 'made', '/opt/other'));
    const again = durablePlaces(systemFiles(), state);
    expect(value(again.list('line'))).toEqual([{ kind: 'shelf', path: '/opt/line' }]);
    expect(value(again.list('line.b'))).toEqual([{ kind: 'made', path: '/opt/other' }]);
    const [name = ''] = readdirSync(`${state}/places`);
    writeFileSync(`${state}/places/${name}`, '/opt/li');
    const torn = durablePlaces(systemFiles(), state);
    expect([...value(torn.list('line')), ...value(torn.list('line.b'))]).toHaveLength(1);
    value(torn.add('line', 'shelf', '/opt/line'));
    expect(value(torn.list('line'))).toHaveLength(1);
    value(torn.drop('line', 'shelf', '/opt/line'));
    value(torn.drop('line', 'shelf', '/opt/line'));
    expect(value(torn.list('line'))).toEqual([]);
  });
});

function renamed(tar: Uint8Array, from: string, to: string): Uint8Array {
  const changed = Buffer.from(tar);
  const at = changed.indexOf(from);
  changed.fill(0, at, at + from.length);
  changed.write(to, at);
  return checksummed(changed);
}

/** The first header's sum over itself, with blanks in the place of the sum. */
function checksummed(tar: Buffer): Uint8Array {
  tar.fill(' ', 148, 156);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return tar;
}
