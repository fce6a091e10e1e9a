/** OCI manifests and indexes (checks 3–5). */
import { describe, expect, test } from 'bun:test';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import {
  describe as describeBytes,
  type OciManifest,
  readIndex,
  readManifest,
  writeIndex,
  writeManifest,
} from '#wire/oci.ts';
import { bytesOf, codeOf, granted, messageOf } from '../../support/wire-samples.ts';

const empty = bytesOf('{}');
const layer = { mediaType: MEDIA.file, digest: sha256(bytesOf('x')), size: 1 };
const config = { mediaType: MEDIA.ociEmpty, digest: sha256(empty), size: 2 };
const base = {
  schemaVersion: 2,
  mediaType: MEDIA.ociManifest,
  artifactType: MEDIA.artifact,
  config,
  layers: [layer],
};
const manifest = (change: Record<string, unknown>) =>
  readManifest(bytesOf(JSON.stringify({ ...base, ...change })));
const withLayer = (change: Record<string, unknown>) =>
  manifest({ layers: [{ ...layer, ...change }] });
const index = (change: Record<string, unknown>) =>
  readIndex(
    bytesOf(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA.ociIndex,
        manifests: [layer],
        ...change,
      }),
    ),
  );

describe('manifests and indexes survive their bytes', () => {
  test('a manifest with inline content and annotations', () => {
    const written: OciManifest = {
      artifactType: MEDIA.artifact,
      config: describeBytes(MEDIA.ociEmpty, empty, { inline: true }),
      layers: [
        describeBytes(MEDIA.envelope, bytesOf('{"a":1}'), { inline: true }),
        describeBytes(MEDIA.file, bytesOf(''), { annotations: { title: 'empty' } }),
      ],
      annotations: { 'org.opencontainers.image.created': 'now', ['__proto__']: 'x' },
    };
    const bytes = writeManifest(written);
    const read = granted(readManifest(bytes));
    expect(JSON.stringify(read)).toBe(JSON.stringify(written));
    expect(writeManifest(read)).toEqual(bytes);
  });

  test('an index, with and without a media type of its own', () => {
    const entries = [describeBytes(MEDIA.ociManifest, bytesOf('m'))];
    expect(granted(readIndex(writeIndex(entries)))).toMatchObject(entries);
    expect(granted(index({ mediaType: undefined }))).toHaveLength(1);
  });

  test('an artifact type may be missing, annotations null', () => {
    expect(granted(manifest({ artifactType: undefined })).artifactType).toBe('');
    expect(granted(manifest({ annotations: null })).annotations).toEqual({});
  });
});

describe('manifests that are refused', () => {
  const digest = (text: unknown) => withLayer({ digest: text });
  const hex = 'ab'.repeat(32);
  for (const [title, result, code, reason] of [
    ['manifests beside layers (C01)', manifest({ manifests: [] }), 'format.oci', 'beside'],
    ['an index as the body (C02)', readManifest(writeIndex([])), 'format.oci', 'beside'],
    [
      'the media type of an index (C02)',
      manifest({ mediaType: MEDIA.ociIndex }),
      'format.media-type',
      'index',
    ],
    ['no media type (C03)', manifest({ mediaType: undefined }), 'format.media-type', 'none'],
    [
      'the media type of docker (C03)',
      manifest({ mediaType: 'application/vnd.docker.distribution.manifest.v2+json' }),
      'format.media-type',
      'docker',
    ],
    [
      'a media type that is a list',
      manifest({ mediaType: [MEDIA.ociManifest] }),
      'format.media-type',
      'none',
    ],
    ['schema version 1', manifest({ schemaVersion: 1 }), 'format.oci', 'schemaVersion'],
    ['schema version "2"', manifest({ schemaVersion: '2' }), 'format.oci', 'schemaVersion'],
    [
      'an upper-case digest (C06)',
      digest(`sha256:${hex.toUpperCase()}`),
      'format.oci',
      'lowercase',
    ],
    ['a sha1 digest (C06)', digest(`sha1:${'ab'.repeat(20)}`), 'format.oci', 'sha256'],
    ['an md5 digest (C06)', digest(`md5:${'ab'.repeat(16)}`), 'format.oci', 'sha256'],
    ['a sha512 digest (C06)', digest(`sha512:${'ab'.repeat(64)}`), 'format.oci', 'sha256'],
    ['a short digest (C06)', digest(`sha256:${'ab'.repeat(31)}`), 'format.oci', 'sha256'],
    [
      'a digest with a path in it (C06)',
      digest(`sha256:../../../${'ab'.repeat(27)}x`),
      'format.oci',
      'sha256',
    ],
    ['a digest with a line break (C06)', digest(`sha256:${hex}\n`), 'format.oci', 'sha256'],
    ['a digest that is a number (C06)', digest(5), 'format.oci', 'nothing'],
    ['a negative size (C07)', withLayer({ size: -1 }), 'format.oci', 'size'],
    ['a size with a fraction (C07)', withLayer({ size: 1.5 }), 'format.oci', 'size'],
    ['a size that is text (C07)', withLayer({ size: '1' }), 'format.oci', 'size'],
    [
      'a size of 2^63 (C07)',
      readManifest(
        bytesOf(JSON.stringify({ ...base }).replace('"size":1', '"size":9223372036854775808')),
      ),
      'format.oci',
      'size',
    ],
    ['a size of 2^50 (C07)', withLayer({ size: 2 ** 50 }), 'format.oci', 'above'],
    ['no size (C07)', withLayer({ size: undefined }), 'format.oci', 'size'],
    [
      'urls of a foreign layer (C17)',
      withLayer({ urls: ['http://169.254.169.254/'] }),
      'format.oci',
      'URL',
    ],
    ['empty urls (C17)', withLayer({ urls: [] }), 'format.oci', 'URL'],
    ['a subject (C10, C11)', manifest({ subject: layer }), 'format.oci', 'subject'],
    ['data of another content', withLayer({ data: 'eQ==' }), 'format.oci', 'digest beside it'],
    ['data longer than its size', withLayer({ data: 'eHg=' }), 'format.oci', 'digest beside it'],
    ['data that is no base64', withLayer({ data: 'eA' }), 'format.oci', 'base64'],
    ['a layer twice', manifest({ layers: [layer, layer] }), 'format.oci', 'twice'],
    ['layers that are no list', manifest({ layers: {} }), 'format.oci', 'layers'],
    ['no layers', manifest({ layers: undefined }), 'format.oci', 'layers'],
    ['a layer that is null', manifest({ layers: [null] }), 'format.oci', 'layers[0]'],
    ['no config', manifest({ config: undefined }), 'format.oci', 'config'],
    ['a layer without media type', withLayer({ mediaType: undefined }), 'format.oci', 'mediaType'],
    [
      'an artifact type that is a list',
      manifest({ artifactType: [] }),
      'format.oci',
      'artifactType',
    ],
    ['an annotation that is a number', manifest({ annotations: { a: 1 } }), 'format.oci', '"a"'],
    [
      '257 annotations (C21)',
      manifest({
        annotations: Object.fromEntries(Array.from({ length: 257 }, (_, at) => [`a${at}`, ''])),
      }),
      'format.oci',
      '257',
    ],
    [
      '257 annotations of a layer (C21)',
      withLayer({
        annotations: Object.fromEntries(Array.from({ length: 257 }, (_, at) => [`a${at}`, ''])),
      }),
      'format.oci',
      '257',
    ],
    [
      '2,001 layers',
      manifest({ layers: Array.from({ length: 2_001 }, () => layer) }),
      'format.oci',
      '2001',
    ],
    ['more than 1 MiB', readManifest(new Uint8Array(1_048_577)), 'format.oci', '1048577 bytes'],
    [
      'duplicate keys',
      readManifest(bytesOf('{"schemaVersion":2,"schemaVersion":2}')),
      'format.json',
      'twice',
    ],
    ['a list', readManifest(bytesOf('[]')), 'format.oci', 'no JSON object'],
  ] as const) {
    test(title, () => {
      expect(codeOf(result)).toBe(code);
      expect(messageOf(result)).toContain(reason);
    });
  }
});

describe('indexes that are refused', () => {
  for (const [title, result, code] of [
    ['layers beside manifests (C01)', index({ layers: [] }), 'format.oci'],
    ['config beside manifests (C01)', index({ config }), 'format.oci'],
    [
      'the media type of a manifest (C02)',
      index({ mediaType: MEDIA.ociManifest }),
      'format.media-type',
    ],
    ['no manifests', index({ manifests: undefined }), 'format.oci'],
    ['an entry with urls (C17)', index({ manifests: [{ ...layer, urls: ['x'] }] }), 'format.oci'],
  ] as const) {
    test(title, () => expect(codeOf(result)).toBe(code));
  }
});
