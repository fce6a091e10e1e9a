/** A chain that is very long: what an artifact holds, and where a fleet ends. */
import { describe, expect, test } from 'bun:test';
import { makeArtifact, type Parts } from '#publisher/artifact.ts';
import type { Fleet } from '#publisher/fleet.ts';
import { VERSIONS_MAX } from '#publisher/root-folder.ts';
import { judgeRoom } from '#publisher/root-making.ts';
import { readArtifact, readHead } from '#sources/artifact.ts';
import type { BlobRef, DesiredState } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA, PAYLOAD } from '#state/media-types.ts';
import { root } from '../trust/world.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** A state with so many blobs, and a chain of so many roots beside the first. */
function made(blobCount: number, rootCount: number) {
  const blobs = Array.from({ length: blobCount }, (_, index): BlobRef => {
    const digest = sha256(bytesOf(`blob ${index}`));
    return { name: `${index}`, digest, size: 1, mediaType: MEDIA.file, unpackedSize: 1 };
  });
  const point = { epoch: 1n, sequence: 1n, digest: sha256(new Uint8Array()) };
  const state = { channel: 'stable', point, blobs } as unknown as DesiredState;
  const envelope = { payloadType: PAYLOAD.desiredState, payload: bytesOf('x'), signatures: [] };
  const roots = Array.from({ length: rootCount }, (_, index) => bytesOf(`root ${index + 2}`));
  const parts: Parts = { documents: null, contents: new Map(), roots };
  return makeArtifact(state, envelope, parts);
}

describe('an artifact', () => {
  test('R10: with 1,023 roots and 976 blobs is read; a device takes 64 roots above its own', async () => {
    const artifact = made(LIMITS.layersMax - 1 - (VERSIONS_MAX - 1), VERSIONS_MAX - 1);
    if (!artifact.ok) throw new Error(artifact.fault.message);
    const read = readArtifact(artifact.value.manifest, 'stable');
    if (!read.ok) throw new Error(read.fault.message);
    expect(read.value.roots).toHaveLength(1_023);
    const held = { version: 900n, digest: sha256(bytesOf('root 900')) };
    const asked: string[] = [];
    const head = await readHead(
      { ...read.value, roots: read.value.roots.map((layer) => ({ ...layer, data: null })) },
      artifact.value.manifestDigest,
      async (_, what) => {
        asked.push(what);
        return { ok: true, value: new Uint8Array() };
      },
      { heldRoot: () => held },
    );
    expect(head.ok && head.value.roots).toHaveLength(64);
    expect(asked.filter((what) => what.startsWith('root'))).toEqual(
      Array.from({ length: 64 }, (_, index) => `root ${901 + index}`),
    );
  });

  test('with one layer more than a device reads is not made: publish.too-large', () => {
    const artifact = made(LIMITS.layersMax - 100, 100);
    expect(artifact.ok ? '' : artifact.fault.code).toBe('publish.too-large');
    expect(artifact.ok ? '' : artifact.fault.message).toContain('roots, documents and blobs');
  });
});

describe('a fleet', () => {
  const room = (version: bigint) => judgeRoom({ root: root({ version }) } as Fleet);

  test('has at most 1,024 roots: the next is refused before anybody signs it', () => {
    expect(room(BigInt(VERSIONS_MAX - 1)).ok).toBe(true);
    const full = room(BigInt(VERSIONS_MAX));
    expect(full.ok ? '' : full.fault.code).toBe('publish.roots-full');
    expect(full.ok ? '' : full.fault.remedy).toContain('holdfast init');
  });
});
