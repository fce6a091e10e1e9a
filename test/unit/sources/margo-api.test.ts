/** The documents behind a manifest: both ways, every digest, own caps. */
import { describe, expect, test } from 'bun:test';
import { gzipSync } from 'node:zlib';
import { fault, ok, type Result, refused } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { fetchMargoDocuments } from '#sources/margo-api.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import type { MargoManifest } from '#state/margo.ts';
import { writeMargoBundle } from '#wire/margo-bundle.ts';
import { bytesOf, codeOf } from '../../support/wire-samples.ts';

const documents = ['a', 'b'].map((id) => ({ id, bytes: bytesOf(`id: ${id}\n`) }));
const archive = new Uint8Array(gzipSync(writeMargoBundle(documents)));
const manifestOf = (bundle: Uint8Array | null): MargoManifest => ({
  ...{ version: 2n, bundle: bundle && sha256(bundle), blobs: [], warnings: [] },
  deployments: documents.map(({ id, bytes }) => ({ id, digest: sha256(bytes), sizeHint: 7_000 })),
});
type Served = Result<Uint8Array | null>;
const none = ok(null);

/** What a manager serves, and what was asked of it. */
async function fetched(
  bundle: Served,
  document: (digest: Digest) => Served,
  manifest = manifestOf(archive),
) {
  const asked: string[] = [];
  const link = {
    bundle() {
      asked.push('bundle');
      return Promise.resolve(bundle);
    },
    document(id: string, digest: Digest) {
      asked.push(id);
      return Promise.resolve(document(digest));
    },
  };
  const source = { link, inflate: systemInflate(), known: () => null };
  const got = await fetchMargoDocuments(source, manifest, new AbortController().signal);
  return { code: codeOf(got), size: got.ok ? got.value.size : 0, asked };
}
const single = (digest: Digest): Served =>
  ok(documents.find(({ bytes }) => sha256(bytes) === digest)?.bytes ?? null);

describe('documents', () => {
  test('come by the bundle, whatever the size hints say (rule 39)', async () => {
    expect(await fetched(ok(archive), () => none)).toEqual({
      code: 'ok',
      size: 2,
      asked: ['bundle'],
    });
  });

  test('come one by one where there is no bundle, or none is served (rule 43)', async () => {
    expect((await fetched(none, single)).asked).toEqual(['bundle', 'a', 'b']);
    expect((await fetched(none, single, manifestOf(null))).asked).toEqual(['a', 'b']);
    const busy = fault('margo.answer', { what: 'the bundle', status: 500, title: 'x' });
    expect((await fetched(refused(busy), single)).code).toBe('ok');
    expect((await fetched(none, () => none)).code).toBe('margo.not-served');
  });

  test('of other bytes end the look (rule 37)', async () => {
    expect((await fetched(ok(bytesOf('x')), single)).code).toBe('source.digest-mismatch');
    expect((await fetched(none, () => ok(bytesOf('x')))).code).toBe('source.digest-mismatch');
  });

  test('a bomb ends at the cap, a stranger in the archive refuses it (rules 40, 41)', async () => {
    const bomb = new Uint8Array(gzipSync(new Uint8Array(LIMITS.documentsBytes * 4)));
    const got = await fetched(ok(bomb), single, manifestOf(bomb));
    expect(got.code).toMatch(/^(source\.too-large|format\.tar)$/);
    const strange = [...documents, { id: 'c', bytes: bytesOf('c') }];
    const more = new Uint8Array(gzipSync(writeMargoBundle(strange)));
    expect((await fetched(ok(more), single, manifestOf(more))).code).toBe('margo.bundle');
  });
});
