/** A channel's folder as documents and blobs: names, dialects, and what is refused with its place. */
import { afterEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '#platform/node/files.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { type Compiled, compileChannel } from '#publisher/compile.ts';
import { sha256 } from '#state/digest.ts';
import { readDocuments } from '#wire/documents.ts';

const platform = { files: systemFiles(), inflate: systemInflate() };
const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function channel(files: Readonly<Record<string, string>>): string {
  const path = mkdtempSync(join(tmpdir(), 'holdfast-channel-'));
  folders.push(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

function document(id: string, blob: string, dependsOn: readonly string[] = []): string {
  return `apiVersion: holdfast/v1
kind: Deployment
id: ${id}
spec:
  dependsOn: [${dependsOn.join(', ')}]
  deploymentProfile:
    type: files
    components:
      - { name: c, properties: { blob: ${JSON.stringify(blob)}, target: /opt/${id} } }
`;
}

function compiled(folder: string): Compiled {
  const result = compileChannel(platform, folder);
  if (!result.ok) throw new Error(result.fault.message);
  return result.value;
}

function faultOf(folder: string): { code: string; message: string } {
  const result = compileChannel(platform, folder);
  return result.ok ? { code: 'compiled', message: '' } : result.fault;
}

test('documents are kept byte for byte, blobs are named as they are written', () => {
  const text = document('a', 'files/x.conf');
  const { deployments, blobs, documents, uses } = compiled(
    channel({ 'a.yaml': text, 'files/x.conf': 'x=1' }),
  );
  const bytes = new TextEncoder().encode(text);
  expect(deployments).toEqual([
    {
      id: 'a',
      digest: sha256(bytes),
      size: bytes.length,
      mediaType: 'application/vnd.holdfast.deployment.v1+yaml',
    },
  ]);
  expect(blobs).toEqual([
    {
      name: 'files/x.conf',
      mediaType: 'application/octet-stream',
      digest: sha256(new TextEncoder().encode('x=1')),
      size: 3,
      unpackedSize: 3,
    },
  ]);
  const chunk = [...(documents?.chunks() ?? [])][0];
  const held = chunk?.ok ? readDocuments(chunk.value) : null;
  expect(held?.ok && held.value.get(sha256(bytes))).toEqual(bytes);
  expect(uses.get('a')).toEqual(['files/x.conf']);
});

test('a directory becomes a tree', () => {
  const { blobs } = compiled(channel({ 'a.yaml': document('a', 'site'), 'site/i': 'i' }));
  expect(blobs).toMatchObject([
    { name: 'site', mediaType: 'application/vnd.holdfast.tree.v1.tar+gzip', unpackedSize: 1 },
  ]);
});

test('one content under two names is sent once', () => {
  const files = { 'a.yaml': document('a', 'x'), 'b.yaml': document('b', 'y'), x: '1', y: '1' };
  const { blobs, contents } = compiled(channel(files));
  expect([blobs.length, contents.size]).toEqual([2, 1]);
});

test('a folder without documents, and no folder, are a state without deployments', () => {
  for (const folder of [channel({ 'notes.txt': 'x' }), '/nonexistent/holdfast']) {
    const { deployments, documents } = compiled(folder);
    expect([deployments.length, documents]).toEqual([0, null]);
  }
});

test('the same folder compiles to the same documents layer', () => {
  const files = { 'b.yaml': document('b', 'x'), 'a.yaml': document('a', 'x'), x: '1' };
  const digests = [channel(files), channel(files)].map((f) => compiled(f).documents?.digest);
  expect(digests[0]).toBeDefined();
  expect(digests[0]).toBe(digests[1]);
});

describe('mistakes are refused with their place', () => {
  const rows: readonly [string, Readonly<Record<string, string>>, string, string][] = [
    [
      'another id than the file’s name',
      { 'a.yaml': document('b', 'x'), x: '' },
      'config.invalid',
      'a.yaml',
    ],
    [
      'a name that is no id',
      { 'A_b.yaml': document('a', 'x'), x: '' },
      'publish.document-name',
      'A_b.yaml',
    ],
    ['.yml', { 'a.yml': document('a', 'x'), x: '' }, 'publish.document-name', 'a.yml'],
    ['a blob that is not there', { 'a.yaml': document('a', 'x') }, 'publish.blob-path', 'a.yaml'],
    ['a blob above the folder', { 'a.yaml': document('a', '../x') }, '', 'a.yaml'],
    ['an absolute blob', { 'a.yaml': document('a', '/etc/passwd') }, '', 'a.yaml'],
    [
      'a key nobody knows',
      { 'a.yaml': `${document('a', 'x')}extra: 1\n`, x: '' },
      'config.invalid',
      'a.yaml:',
    ],
    [
      'a dependency that is not there',
      { 'a.yaml': document('a', 'x', ['z']), x: '' },
      'plan.unknown-dependency',
      'z',
    ],
    [
      'a circle',
      { 'a.yaml': document('a', 'x', ['b']), 'b.yaml': document('b', 'x', ['a']), x: '' },
      'plan.dependency-cycle',
      'a',
    ],
  ];
  for (const [what, files, code, says] of rows) {
    test(`${what}: ${code || 'refused'}`, () => {
      const fault = faultOf(channel(files));
      if (code !== '') expect(fault.code).toBe(code);
      expect(fault.code).not.toBe('compiled');
      expect(fault.message).toContain(says);
    });
  }
  test('a fifo as a blob is not waited for', () => {
    const folder = channel({ 'a.yaml': document('a', 'x') });
    symlinkSync('/dev/zero', join(folder, 'x'));
    expect(faultOf(folder).code).toBe('publish.blob-path');
  });
});

test('a blob may be a link of the operator’s own', () => {
  const folder = channel({ 'a.yaml': document('a', 'x'), 'real/x': 'content' });
  symlinkSync('real/x', join(folder, 'x'));
  expect(compiled(folder).blobs[0]?.size).toBe(7);
});
