/** hub/manifests.ts: what the registry keeps as a manifest. */
import { describe, expect, test } from 'bun:test';
import { checkManifest } from '#hub/manifests.ts';
import { codeOf, value } from '../../support/store.ts';

const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const part = (letter: string) => ({ mediaType: 'x/y', digest: digest(letter), size: 1 });
const image = { schemaVersion: 2, mediaType: IMAGE, config: part('a'), layers: [part('b')] };
const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));

test('an image names its config and layers, an index its manifests', () => {
  const checked = value(
    checkManifest(bytes({ ...image, subject: part('c'), annotations: { k: 'v', n: 1 } }), IMAGE),
  );
  expect<unknown>(checked).toEqual({
    mediaType: IMAGE,
    blobs: [digest('a'), digest('b')],
    manifests: [],
    subject: digest('c'),
    artifactType: 'x/y',
    annotations: { k: 'v' },
  });
  const index = { schemaVersion: 2, mediaType: INDEX, manifests: [part('d')] };
  expect<unknown>(value(checkManifest(bytes(index), INDEX)).manifests).toEqual([digest('d')]);
});

describe('refused', () => {
  for (const [name, document, type, code] of [
    ['C01: both manifests and layers', { ...image, manifests: [part('d')] }, IMAGE, 'hub.manifest'],
    ['C02: an image sent as an index', image, INDEX, 'hub.manifest'],
    ['C03: no media type anywhere', { ...image, mediaType: undefined }, null, 'hub.manifest'],
    ['an unknown media type', { ...image, mediaType: 'a/b' }, 'a/b', 'hub.manifest'],
    [
      'C06: a digest in upper case',
      { ...image, config: { digest: `sha256:${'A'.repeat(64)}` } },
      IMAGE,
      'hub.manifest',
    ],
    [
      'C06: sha1',
      { ...image, config: { digest: `sha1:${'a'.repeat(40)}` } },
      IMAGE,
      'hub.manifest',
    ],
    [
      'a path as a digest',
      { ...image, layers: [{ digest: 'sha256:../../x' }] },
      IMAGE,
      'hub.manifest',
    ],
    ['no layers', { ...image, layers: undefined }, IMAGE, 'hub.manifest'],
    ['no config', { ...image, config: undefined }, IMAGE, 'hub.manifest'],
    ['a list', [], IMAGE, 'hub.manifest'],
    [
      '10,001 layers',
      { ...image, layers: Array.from({ length: 10_001 }, () => part('b')) },
      IMAGE,
      'hub.manifest',
    ],
  ] as const) {
    test(`${name}: ${code}`, () => expect(codeOf(checkManifest(bytes(document), type))).toBe(code));
  }

  test('P09: a duplicate key: format.json', () => {
    const twice = Buffer.from(`{"mediaType":"${IMAGE}","mediaType":"${INDEX}"}`);
    expect(codeOf(checkManifest(twice, IMAGE))).toBe('format.json');
  });
});
