/** Which blobs come along in the manifest: what is new and small. */
import { describe, expect, test } from 'bun:test';
import { makeArtifact } from '#publisher/artifact.ts';
import { bytesContent } from '#publisher/content.ts';
import type { BlobRef, DesiredState } from '#state/desired-state.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { MEDIA, PAYLOAD } from '#state/media-types.ts';
import { readManifest } from '#wire/oci.ts';

function blobOf(name: string, size: number) {
  const bytes = Buffer.alloc(size, name);
  const content = bytesContent(bytes);
  const ref: BlobRef = {
    name,
    digest: content.digest,
    size,
    mediaType: MEDIA.file,
    unpackedSize: size,
  };
  return { content, ref };
}

/** @returns the names of the blobs whose bytes stand in the manifest */
function along(sizes: Readonly<Record<string, number>>, before?: readonly string[]): string[] {
  const made = Object.entries(sizes).map(([name, size]) => blobOf(name, size));
  const blobs = made.map(({ ref }) => ref);
  const point = { epoch: 1n, sequence: 1n, digest: sha256(new Uint8Array()) };
  const state = { channel: 'stable', point, blobs } as unknown as DesiredState;
  const envelope = { payloadType: PAYLOAD.desiredState, payload: Buffer.from('x'), signatures: [] };
  const known = new Set<Digest>();
  for (const { ref } of made) if (before?.includes(ref.name)) known.add(ref.digest);
  const artifact = makeArtifact(state, envelope, {
    documents: null,
    contents: new Map(made.map(({ content }) => [content.digest, content])),
    ...(before ? { before: known } : {}),
  });
  if (!artifact.ok) throw new Error(artifact.fault.message);
  const manifest = readManifest(artifact.value.manifest);
  if (!manifest.ok) throw new Error(manifest.fault.message);
  expect(artifact.value.contents.length).toBe(2 + made.length);
  const embedded = manifest.value.layers.filter(({ data }) => data !== null);
  return blobs
    .filter(({ digest }) => embedded.some((layer) => layer.digest === digest))
    .map(({ name }) => name);
}

describe('blobs in the manifest', () => {
  test('small ones that the statement before had not; all are pushed as well', () => {
    expect(along({ a: 4_096, b: 1_024 }, [])).toEqual(['a', 'b']);
    expect(along({ a: 4_096, b: 1_024 }, ['a'])).toEqual(['b']);
  });

  test('at most 8 KiB together, the small ones first', () => {
    expect(along({ a: 6_000, b: 3_000, c: 2_000 }, [])).toEqual(['b', 'c']);
    expect(along({ a: 8_192 }, [])).toEqual(['a']);
    expect(along({ a: 8_193 }, [])).toEqual([]);
  });

  test('none where the statement before is not known', () => {
    expect(along({ a: 10 })).toEqual([]);
  });
});
