/** The OCI form of Margo's desired state: the examples by their index, and a registry that is none. */
import { describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ok, refuse } from '#errors/fault.ts';
import { systemInflate } from '#platform/node/inflate.ts';
import { type MargoOciInput, margoOci } from '#sources/margo-oci.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import { writeMargoBundle } from '#wire/margo-bundle.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import {
  MARGO_OCI_LAYERS,
  MARGO_OCI_VERSION,
  readMargoOci,
  writeMargoOci,
} from '#wire/margo-oci.ts';
import { writeTar } from '#wire/tar.ts';
import { bytesOf } from '../../support/wire-samples.ts';

const SHARED = process.env.HOLDFAST_VECTORS ?? join(import.meta.dir, '../../../../shared');
const EXAMPLES = join(SHARED, 'margo/examples');
const present = existsSync(join(EXAMPLES, 'index.json'));
const inflate = systemInflate();
const { signal } = new AbortController();

const bytes = (file: string): Uint8Array => new Uint8Array(readFileSync(join(EXAMPLES, file)));

/** A repository with this manifest under its tag, and blobs by digest, as they are claimed to be. */
function repository(manifest: Uint8Array | null, blobs = new Map<Digest, Uint8Array>()) {
  const asked: string[] = [];
  const input: MargoOciInput = {
    ...{ tag: 'latest', inflate },
    repository: {
      name: 'registry.example/margo',
      async headManifest(reference) {
        asked.push(`HEAD ${reference}`);
        return ok(manifest && sha256(manifest));
      },
      async getManifest(reference) {
        asked.push(`GET ${reference}`);
        return ok(manifest && { bytes: manifest, digest: sha256(manifest) });
      },
      async *blob(digest, _offset, cap) {
        asked.push(digest);
        const content = blobs.get(digest);
        if (!content) {
          const missing = refuse('source.missing', { what: 'blob', source: 'r' });
          yield { kind: 'failed', fault: missing.fault };
        } else yield { kind: 'bytes', bytes: content.subarray(0, cap + 1) };
      },
    },
  };
  return { source: margoOci(input), asked };
}

const documents = ['a', 'b'].map((id) => ({ id, bytes: bytesOf(`id: ${id}\nmetadata: {}\n`) }));
const packed = inflate.gzip(writeMargoBundle(documents));
const sound = writeMargoOci(3n, packed);
interface Changing {
  config: unknown;
  layers: Record<string, unknown>[];
}
const changed = (how: (manifest: Changing) => void, of = sound): Uint8Array => {
  const manifest = JSON.parse(new TextDecoder().decode(of));
  how(manifest);
  return bytesOf(JSON.stringify(manifest));
};
const codeOf = async (manifest: Uint8Array | null, blobs?: Map<Digest, Uint8Array>) => {
  const answer = await repository(manifest, blobs).source.manifest(null, signal);
  return answer.ok ? answer.value.kind : `${answer.fault.code} ${answer.fault.message}`;
};

describe.skipIf(!present)(`the examples${present ? '' : ' (skipped: none here)'}`, () => {
  const blobs = present
    ? new Map([[sha256(bytes('bundle/many.tar.gz')), bytes('bundle/many.tar.gz')]])
    : undefined;
  for (const [file, wanted] of [
    ['manifest.json', 'manifest'],
    ['manifest-other-layer-type.json', 'manifest'],
    ['manifest-no-data.json', 'manifest'],
    ['invalid/data-differs.json', 'margo.oci'],
    ['invalid/no-version.json', 'margo.oci'],
    ['invalid/artifact-type.json', 'margo.oci'],
  ] as const) {
    test(`rule 76: ${file}: ${wanted}`, async () => {
      expect(await codeOf(bytes(`oci/${file}`), blobs)).toStartWith(wanted);
    });
  }
  test('rule 76: version-not-higher.json reads, so that it can be told as a step back', () => {
    const read = readMargoOci(bytes('oci/invalid/version-not-higher.json'));
    expect(read.ok && read.value.version).toBe(2n);
  });
});

describe('rule 76: the OCI form of desired state', () => {
  test('is a manifest of its version, with the documents by their own ids, and the layer as bundle', async () => {
    const { source, asked } = repository(sound);
    const answer = await source.manifest(null, signal);
    if (!answer.ok || answer.value.kind !== 'manifest') throw new Error('no manifest');
    const manifest = readMargoManifest(answer.value.bytes);
    if (!manifest.ok) throw new Error(manifest.fault.message);
    expect(manifest.value).toMatchObject({ version: 3n, bundle: sha256(packed), warnings: [] });
    expect(manifest.value.deployments.map(({ id }) => id)).toEqual(['a', 'b']);
    const bundle = await source.bundle(sha256(packed), signal);
    expect(bundle.ok && bundle.value && sha256(bundle.value)).toBe(sha256(packed));
    expect(asked).toEqual(['GET latest']);
    const again = await source.manifest(answer.value.etag, signal);
    expect(again.ok && again.value.kind).toBe('unchanged');
    expect(asked).toEqual(['GET latest', 'HEAD latest']);
  });

  test('with nothing in it says that nothing is deployed', async () => {
    const answer = await repository(
      writeMargoOci(4n, inflate.gzip(writeMargoBundle([]))),
    ).source.manifest(null, signal);
    const manifest =
      answer.ok && answer.value.kind === 'manifest' ? readMargoManifest(answer.value.bytes) : null;
    expect(manifest?.ok && manifest.value).toMatchObject({ bundle: null, deployments: [] });
  });

  for (const type of MARGO_OCI_LAYERS) {
    test(`is read as ${type}`, async () => {
      const other = changed((manifest) =>
        Object.assign(manifest.layers[0] ?? {}, { mediaType: type }),
      );
      expect(await codeOf(other)).toBe('manifest');
    });
  }

  for (const [what, version] of [
    ['a fraction', '3.0'],
    ['zero', '0'],
    ['a sign', '+3'],
    ['2^64', '18446744073709551616'],
    ['nothing', ''],
  ] as const) {
    test(`refuses a version that is ${what}, naming the annotation`, async () => {
      const other = changed((manifest) =>
        Object.assign(manifest, { annotations: { [MARGO_OCI_VERSION]: version } }),
      );
      expect(await codeOf(other)).toContain(`/annotations/${MARGO_OCI_VERSION}`);
    });
  }

  test('refuses another layer type, a second layer, a tag that is not there', async () => {
    const typed = changed((manifest) =>
      Object.assign(manifest.layers[0] ?? {}, { mediaType: 'x/y' }),
    );
    expect(await codeOf(typed)).toContain('/layers/0/mediaType');
    const two = changed((manifest) =>
      Object.assign(manifest, { layers: [manifest.config, manifest.layers[0]] }),
    );
    expect(await codeOf(two)).toContain('/layers');
    expect(await codeOf(null)).toContain('there is no tag latest');
  });

  test('takes no byte that its digest does not name, and no more than are declared', async () => {
    const bare = changed((manifest) => delete manifest.layers[0]?.data);
    const digest = sha256(packed);
    const flipped = packed.map((byte, at) => (at === 20 ? byte ^ 1 : byte));
    expect(await codeOf(bare, new Map([[digest, flipped]]))).toContain('source.digest-mismatch');
    const endless = new Uint8Array(packed.length * 4);
    expect(await codeOf(bare, new Map([[digest, endless]]))).toContain('source.size-mismatch');
    expect(await codeOf(bare, new Map([[digest, packed]]))).toBe('manifest');
  });

  for (const [what, entries, wanted] of [
    [
      'one id twice',
      [
        { id: 'a', bytes: bytesOf('id: a\n') },
        { id: 'b', bytes: bytesOf('id: A\n') },
      ],
      'stands twice',
    ],
    ['a document without id', [{ id: 'a', bytes: bytesOf('metadata: {}\n') }], 'config.invalid'],
  ] as const) {
    test(`refuses an archive with ${what}`, async () => {
      const archive = writeMargoOci(3n, inflate.gzip(writeMargoBundle(entries)));
      expect(await codeOf(archive)).toContain(wanted);
    });
  }

  test('refuses an archive with a file that is no YAML', async () => {
    const entries = [
      { path: 'a.yaml', bytes: bytesOf('id: a\n'), mode: 0o644, kind: 'file' },
      { path: 'run.sh', bytes: bytesOf('#!/bin/sh\n'), mode: 0o755, kind: 'file' },
    ] as const;
    expect(await codeOf(writeMargoOci(3n, inflate.gzip(writeTar(entries))))).toContain(
      'no YAML file',
    );
  });

  test('ends a bomb at the cap', async () => {
    const bomb = inflate.gzip(new Uint8Array(64 * 1024 * 1024));
    const code = await codeOf(writeMargoOci(3n, bomb));
    expect(code).toMatch(/^(?:source\.too-large|format\.|margo\.oci)/);
  });
});
