/** What a manifest must look like to be a state (FORMATS: OCI artifact). */
import { expect, describe as suite, test } from 'bun:test';
import { ok } from '#errors/fault.ts';
import { readArtifact, readHead } from '#sources/artifact.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { describe, type OciDescriptor } from '#wire/oci.ts';
import { manifestOf, publishState } from '../../support/published.ts';

const layer = (type: string, text: string): OciDescriptor => describe(type, Buffer.from(text));
const envelope = layer(MEDIA.envelope, 'e');
const root = (version: number) => layer(MEDIA.root, `r${version}`);
const documents = layer(MEDIA.documents, 'd');
const file = layer(MEDIA.file, 'f');

function read(layers: readonly OciDescriptor[], changes = {}): string {
  const artifact = readArtifact(manifestOf(layers, changes), 'stable');
  if (!artifact.ok) return artifact.fault.code;
  const { roots, documents } = artifact.value;
  return `${roots.length} roots, ${documents === null ? 'no' : 'with'} documents`;
}

suite('the layers of a state', () => {
  for (const [what, layers, expected] of [
    ['envelope alone', [envelope], '0 roots, no documents'],
    [
      'envelope, roots, documents, files',
      [envelope, root(2), root(3), documents, file],
      '2 roots, with documents',
    ],
    ['documents behind a file', [envelope, file, documents], '0 roots, with documents'],
    [
      'a layer of a type from later',
      [envelope, documents, layer('x/later', 'l')],
      '0 roots, with documents',
    ],
    ['none', [], 'source.artifact'],
    ['a root first', [root(2), envelope], 'source.artifact'],
    ['documents first', [documents, envelope], 'source.artifact'],
    ['a root behind the documents', [envelope, documents, root(2)], 'source.artifact'],
    ['a second envelope', [envelope, documents, layer(MEDIA.envelope, 'e2')], 'source.artifact'],
    [
      'two layers of documents',
      [envelope, documents, layer(MEDIA.documents, 'd2')],
      'source.artifact',
    ],
    ['one digest twice', [envelope, file, { ...file }], 'format.oci'],
    [
      'an envelope above its limit',
      [{ ...envelope, size: LIMITS.envelopeBytes + 1 }],
      'source.artifact',
    ],
    [
      'a root above its limit',
      [envelope, { ...root(2), size: LIMITS.rootBytes + 1 }],
      'source.artifact',
    ],
    [
      'documents above their limit',
      [envelope, { ...documents, size: LIMITS.documentsBytes + 1 }],
      'source.artifact',
    ],
  ] as const) {
    test(`${what}: ${expected}`, () => expect(read(layers)).toBe(expected));
  }

  test('another artifact type is not ours', () => {
    expect(read([envelope], { artifactType: 'application/vnd.example' })).toBe('source.media-type');
    expect(read([envelope], { artifactType: '' })).toBe('source.media-type');
  });
  test('a config that is not empty is refused', () =>
    expect(read([envelope], { configType: 'application/vnd.oci.image.config.v1+json' })).toBe(
      'source.artifact',
    ));

  test('C17: a layer that lies at another URL is refused', () => {
    const json = JSON.parse(Buffer.from(manifestOf([envelope])).toString());
    json.layers[0].urls = ['https://evil.example/'];
    const artifact = readArtifact(Buffer.from(JSON.stringify(json)), 'stable');
    expect(!artifact.ok && artifact.fault.code).toBe('format.oci');
  });

  test('C01: manifests beside layers are refused', () => {
    const json = JSON.parse(Buffer.from(manifestOf([envelope])).toString());
    json.manifests = [];
    expect(readArtifact(Buffer.from(JSON.stringify(json)), 'stable').ok).toBe(false);
  });
});

suite('which layers are fetched', () => {
  async function fetched(
    version: bigint,
    roots: number,
    { inline = false, twin = false } = {},
  ): Promise<string[]> {
    const state = publishState({ roots, inline });
    const bytes = twin ? new Uint8Array() : state.roots[Number(version) - 2];
    const digest = sha256(bytes ?? new Uint8Array());
    const artifact = readArtifact(state.manifest, 'stable');
    if (!artifact.ok) throw new Error(artifact.fault.message);
    const names: string[] = [];
    const read = async (_: OciDescriptor, what: string) => {
      names.push(what);
      return ok(new Uint8Array());
    };
    const head = await readHead(artifact.value, state.digest, read, {
      heldRoot: () => ({ version, digest }),
    });
    if (inline && head.ok) expect([...head.value.inline.values()]).toEqual([state.documents]);
    return names;
  }

  test('the envelope and every root above the held one', async () => {
    expect(await fetched(1n, 3)).toEqual(['the envelope', 'root 2', 'root 3', 'root 4']);
    expect(await fetched(3n, 3)).toEqual(['the envelope', 'root 4']);
    expect(await fetched(4n, 3)).toEqual(['the envelope']);
    expect(await fetched(900n, 3)).toEqual(['the envelope']);
  });
  test('R10: at most 64 roots at once, the oldest ones first', async () => {
    const names = await fetched(5n, 1000);
    expect(names).toHaveLength(1 + LIMITS.rootStepsMax);
    expect(names[1]).toBe('root 6');
  });
  test('what stands in the manifest is not fetched again', async () => {
    expect(await fetched(1n, 1, { inline: true })).toEqual(['root 2']);
  });
  test('blobs that stand in the manifest come along, checked', async () => {
    const [small, other] = [Buffer.from('small'), Buffer.from('other')];
    const envelope = describe(MEDIA.envelope, Buffer.from('{}'), { inline: true });
    const layers = [envelope, describe(MEDIA.file, small, { inline: true })];
    const manifest = manifestOf([...layers, describe(MEDIA.file, other)]);
    const artifact = readArtifact(manifest, 'stable');
    if (!artifact.ok) throw new Error(artifact.fault.message);
    const read = async () => ok(new Uint8Array());
    const head = await readHead(artifact.value, sha256(manifest), read, {});
    if (!head.ok) throw new Error(head.fault.message);
    expect([...head.value.inline.keys()]).toEqual([sha256(small)]);
    const forged = Buffer.from(Buffer.from(manifest).toString().replace('c21hbGw=', 'c21hbGs='));
    expect(forged.equals(manifest)).toBe(false);
    expect(readArtifact(forged, 'stable').ok).toBe(false);
  });
  test('other bytes under the version that is held are fetched too', async () => {
    expect(await fetched(3n, 3, { twin: true })).toEqual(['the envelope', 'root 3', 'root 4']);
  });
});
