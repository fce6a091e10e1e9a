/** Directories as blobs: the same bytes everywhere, nothing in them that a device would refuse. */
import { afterEach, describe, expect, test } from 'bun:test';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ok } from '#errors/fault.ts';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { packTree } from '#publisher/tree.ts';
import { sha256 } from '#state/digest.ts';
import { readTar } from '#wire/tar.ts';

const platform = { files: systemFiles(), inflate: systemInflate() };
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-tree-'));
  folders.push(path);
  return path;
}

function filled(names: readonly string[]): string {
  const path = folder();
  for (const name of names) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), name);
  }
  return path;
}

function codeOf(path: string): string {
  const packed = packTree(platform, path);
  return packed.ok ? 'packed' : packed.fault.code;
}

test('the same files give the same bytes, whenever and by whomever they were written', () => {
  const [a, b] = [filled(['x/one', 'two']), filled(['two', 'x/one'])];
  utimesSync(join(b, 'two'), 1, 1);
  chmodSync(join(b, 'two'), 0o666);
  chmodSync(join(b, 'x'), 0o700);
  const digests = [a, b].map((path) => {
    const packed = packTree(platform, path);
    if (!packed.ok) throw new Error(packed.fault.message);
    return sha256(packed.value.packed);
  });
  expect(digests[0]).toBe(digests[1] ?? sha256(new Uint8Array()));
});

test('programs stay programs, and what comes out is what went in', () => {
  const path = filled(['bin/run', 'conf']);
  chmodSync(join(path, 'bin/run'), 0o4755);
  const packed = packTree(platform, path);
  if (!packed.ok) throw new Error(packed.fault.message);
  const chunks = platform.inflate.gunzip([ok(packed.value.packed)], 1e6);
  const seen: string[] = [];
  for (const item of readTar(chunks, { entries: 10, bytes: 1e6 })) {
    if (!item.ok) throw new Error(item.fault.message);
    if (item.value.kind === 'data') seen.push(new TextDecoder().decode(item.value.bytes));
    else seen.push(`${item.value.path.join('/')} ${item.value.mode.toString(8)}`);
  }
  expect(seen).toEqual(['bin 755', 'bin/run 755', 'bin/run', 'conf 644', 'conf']);
  expect(packed.value.unpackedSize).toBe('bin/run'.length + 'conf'.length);
});

describe('what no device would unpack is refused before it is signed', () => {
  test('a symbolic link', () => {
    const path = filled(['a']);
    symlinkSync('a', join(path, 'b'));
    expect(codeOf(path)).toBe('publish.tree-entry');
  });
  test('a fifo', () => {
    const path = filled(['a']);
    execFileSync('mkfifo', [join(path, 'pipe')]);
    expect(codeOf(path)).toBe('publish.tree-entry');
  });
  for (const [what, names] of [
    ['names that differ only in case', ['Readme', 'README']],
    ['names that differ only in composition', ['caf\u00e9', 'cafe\u0301']],
    ['a backslash', ['a\\b']],
    ['a whiteout', ['.wh.a']],
    ['a newline', ['a\nb']],
    ['a device name', ['CON']],
  ] as const) {
    test(what, () => expect(codeOf(filled(names))).toBe('publish.tree-entry'));
  }
  test('bytes that pack more than 200 to 1', () => {
    const path = folder();
    writeFileSync(join(path, 'zeros'), new Uint8Array(8 * 1024 * 1024));
    expect(codeOf(path)).toBe('publish.too-large');
  });
});

test('an empty directory is a tree of nothing', () => {
  const packed = packTree(platform, folder());
  expect(packed.ok && packed.value.unpackedSize).toBe(0);
});
