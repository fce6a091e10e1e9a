/** The tag `time` of a registry, and what lies under that name instead: checks 2, 3 and 4. */
import { describe, expect, test } from 'bun:test';
import { refuse } from '#errors/fault.ts';
import { taggedTime } from '#sources/time-statements.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA } from '#state/media-types.ts';
import { describe as descriptor, type OciManifest, writeManifest } from '#wire/oci.ts';
import { codeOf, value } from '../../support/store.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const statement = bytes('{"payload":"…"}');
const good: OciManifest = {
  artifactType: MEDIA.time,
  config: descriptor(MEDIA.ociEmpty, bytes('{}')),
  layers: [descriptor(MEDIA.time, statement, { inline: true })],
  annotations: {},
};
const fetched: string[] = [];

async function read(manifest: OciManifest | Uint8Array | null, blob: Uint8Array = statement) {
  fetched.length = 0;
  const body = manifest instanceof Uint8Array || !manifest ? manifest : writeManifest(manifest);
  return taggedTime(
    {
      name: 'registry.example/plant',
      getManifest: async (tag) => {
        fetched.push(tag);
        return { ok: true, value: body && { bytes: body, digest: sha256(body) } };
      },
      async *blob(digest) {
        fetched.push(digest);
        yield { kind: 'bytes', bytes: blob };
      },
    },
    new AbortController().signal,
  );
}

test('a statement in its manifest is one request', async () => {
  expect(value(await read(good))).toEqual(statement);
  expect(fetched).toEqual(['time']);
});

test('one beside its manifest is two, checked by its digest', async () => {
  const apart = { ...good, layers: [descriptor(MEDIA.time, statement)] };
  expect(value(await read(apart))).toEqual(statement);
  expect(fetched).toHaveLength(2);
  expect(codeOf(await read(apart, bytes('{"payload":"!"} ')))).toBe('source.size-mismatch');
  const other = Uint8Array.from(statement, (byte) => byte ^ 1);
  expect(codeOf(await read(apart, other))).toBe('source.digest-mismatch');
});

describe('what is no statement', () => {
  const rows: readonly [string, OciManifest | Uint8Array | null, string][] = [
    ['a state of a channel that is called time', { ...good, artifactType: MEDIA.artifact }, 'none'],
    ['nothing', null, 'none'],
    [
      'a config',
      { ...good, config: descriptor('application/json', bytes('{}')) },
      'source.artifact',
    ],
    ['another layer', { ...good, layers: [descriptor(MEDIA.root, statement)] }, 'source.artifact'],
    [
      'two layers',
      { ...good, layers: [...good.layers, descriptor(MEDIA.time, bytes('x'))] },
      'source.artifact',
    ],
    ['no layer', { ...good, layers: [] }, 'source.artifact'],
    [
      'a layer of a megabyte',
      { ...good, layers: [{ ...descriptor(MEDIA.time, statement), size: 1_000_000 }] },
      'source.artifact',
    ],
    ['no manifest', bytes('{'), 'format.json'],
  ];
  for (const [what, manifest, code] of rows) {
    test(`${what}: ${code}`, async () => {
      const found = await read(manifest);
      expect(found.ok && found.value === null ? 'none' : codeOf(found)).toBe(code);
    });
  }
  test('a registry that cannot be reached says so', async () => {
    const down = async () => refuse('link.down', { peer: 'x' });
    const registry = { name: 'x', getManifest: down, blob: async function* () {} };
    expect(codeOf(await taggedTime(registry, new AbortController().signal))).toBe('link.down');
  });
});
