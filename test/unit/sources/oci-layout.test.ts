/** Bundles: an image layout, as a directory and as a tar, honest and hostile. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemFiles } from '#platform/node/files.ts';
import { ociLayout } from '#sources/oci-layout.ts';
import type { BlobPart } from '#sources/source.ts';
import { hexOf, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { layoutTar, type Published, publishState, writeLayout } from '../../support/published.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-layout-'));
afterAll(() => rmSync(folder, { recursive: true }));
const signal = new AbortController().signal;
const files = systemFiles();

function layoutOf(states: readonly { state: Published; name?: string }[]): string {
  const directory = mkdtempSync(join(folder, 'usb-'));
  writeLayout(directory, states);
  return directory;
}

async function headOf(path: string, channel?: string): Promise<unknown> {
  const source = ociLayout(files, path, channel === undefined ? {} : { channel });
  const head = await source.head(null, signal);
  return head.ok ? (head.value?.manifestDigest ?? null) : head.fault.code;
}

async function collect(parts: AsyncIterable<BlobPart>): Promise<string> {
  let text = '';
  for await (const part of parts) {
    if (part.kind === 'bytes') text += Buffer.from(part.bytes).toString();
    else text += part.kind === 'restart' ? '|' : `!${part.fault.code}`;
  }
  return text;
}

const canary = publishState({ mark: 'canary' });
const stable = publishState({ mark: 'stable', roots: 2 });

describe('which head a bundle has', () => {
  const both = layoutOf([
    { state: canary, name: 'canary' },
    { state: stable, name: 'stable' },
  ]);

  test('that with the name of the channel comes first; else the first', async () => {
    expect(await headOf(both, 'stable')).toBe(stable.digest);
    expect(await headOf(both, 'canary')).toBe(canary.digest);
    expect(await headOf(both, 'other')).toBe(canary.digest);
    expect(await headOf(both)).toBe(canary.digest);
  });

  test('all of them are offered: the statement alone names its channel', async () => {
    const digests: unknown[] = [];
    for await (const head of ociLayout(files, both, { channel: 'stable' }).heads(signal)) {
      digests.push(head.ok && head.value.manifestDigest);
    }
    expect(digests).toEqual([stable.digest, canary.digest]);
  });

  test('a manifest that is not of Holdfast is passed over', async () => {
    const foreign = publishState({ mark: 'foreign' });
    const json = JSON.parse(Buffer.from(foreign.manifest).toString());
    json.artifactType = 'application/vnd.example';
    const manifest = Buffer.from(JSON.stringify(json));
    const state = { ...foreign, manifest, digest: sha256(manifest) };
    expect(await headOf(layoutOf([{ state }, { state: stable }]))).toBe(stable.digest);
    expect(await headOf(layoutOf([{ state }]))).toBeNull();
  });

  test('one damaged manifest does not hide the next', async () => {
    const path = layoutOf([{ state: canary }, { state: stable }]);
    writeFileSync(join(path, 'blobs/sha256', hexOf(canary.digest)), 'damaged');
    expect(await headOf(path)).toBe(stable.digest);
    rmSync(join(path, 'blobs/sha256', hexOf(stable.digest)));
    expect(await headOf(path)).toBe('source.size-mismatch');
  });
});

describe('what is no bundle', () => {
  for (const [what, spoil, code] of [
    ['no oci-layout', (at: string) => rmSync(join(at, 'oci-layout')), 'platform.missing'],
    [
      'a layout of another version',
      (at: string) => writeFileSync(join(at, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}'),
      'source.layout',
    ],
    ['no index', (at: string) => rmSync(join(at, 'index.json')), 'platform.missing'],
    [
      'an index that is no JSON',
      (at: string) => writeFileSync(join(at, 'index.json'), '{'),
      'format.json',
    ],
    [
      'an index above 1 MiB',
      (at: string) => writeFileSync(join(at, 'index.json'), Buffer.alloc(LIMITS.indexBytes + 1)),
      'platform.too-large',
    ],
    [
      'a link as index',
      (at: string) => {
        renameSync(join(at, 'index.json'), join(at, 'other.json'));
        symlinkSync('other.json', join(at, 'index.json'));
      },
      'platform.link',
    ],
    [
      'C13: an envelope with other bytes',
      (at: string) => {
        const other = Buffer.from(stable.envelope);
        other[3] = 0x20;
        writeFileSync(join(at, 'blobs/sha256', hexOf(sha256(stable.envelope))), other);
      },
      'source.digest-mismatch',
    ],
    [
      'C07: an envelope that is longer',
      (at: string) =>
        writeFileSync(
          join(at, 'blobs/sha256', hexOf(sha256(stable.envelope))),
          Buffer.alloc(10_000),
        ),
      'source.too-large',
    ],
    [
      'an envelope that is a link',
      (at: string) => {
        const blob = join(at, 'blobs/sha256', hexOf(sha256(stable.envelope)));
        rmSync(blob);
        symlinkSync('/etc/passwd', blob);
      },
      'platform.link',
    ],
    [
      'an envelope that is missing',
      (at: string) => rmSync(join(at, 'blobs/sha256', hexOf(sha256(stable.envelope)))),
      'source.missing',
    ],
  ] as const) {
    test(`${what}: ${code}`, async () => {
      const path = layoutOf([{ state: stable }]);
      spoil(path);
      expect(await headOf(path)).toBe(code);
    });
  }

  test('more than 16 manifests', async () => {
    const states = Array.from({ length: 17 }, (_, index) => ({
      state: publishState({ mark: `${index}` }),
    }));
    expect(await headOf(layoutOf(states.slice(1)))).toBe(states[1]?.state.digest);
    expect(await headOf(layoutOf(states))).toBe('source.layout');
  });

  test('nothing, a file that is no tar, a fifo path', async () => {
    expect(await headOf(join(folder, 'missing'))).toBe('source.missing');
    writeFileSync(join(folder, 'text'), 'x'.repeat(2000));
    expect(await headOf(join(folder, 'text'))).toBe('source.layout');
    expect(await headOf('/dev/null')).toBe('source.layout');
  });
});

describe('a bundle in a tar', () => {
  const path = join(folder, 'bundle.tar');
  const large = Buffer.alloc(1_000_000, 'x');
  const state = publishState({ mark: 'tar', roots: 1, files: [large] });
  writeFileSync(path, layoutTar(layoutOf([{ state, name: 'stable' }])));

  test('has the same head, roots and blobs as its directory', async () => {
    const source = ociLayout(files, path);
    const head = await source.head(null, signal);
    expect(head).toEqual({
      ok: true,
      value: {
        manifestDigest: state.digest,
        envelope: new Uint8Array(state.envelope),
        roots: state.roots.map((root) => new Uint8Array(root)),
        inline: new Map(),
      },
    });
    const digest = sha256(large);
    expect(await collect(source.blob(digest, 0, large.length, signal))).toBe(large.toString());
    expect(await collect(source.blob(digest, 999_990, large.length, signal))).toBe('x'.repeat(10));
    expect(await collect(source.blob(digest, 0, 10, signal))).toBe('!source.too-large');
  });

  test('is found through a link that the owner made', async () => {
    const link = join(folder, 'link.tar');
    symlinkSync(path, link);
    expect(await headOf(link)).toBe(state.digest);
  });

  test('holds no handle when it was read', async () => {
    const open = (): number =>
      [...new Bun.Glob('*').scanSync({ cwd: '/proc/self/fd', onlyFiles: false })].length;
    await headOf(path);
    const before = open();
    for (let round = 0; round < 20; round += 1) {
      await headOf(path);
      for await (const _ of ociLayout(files, path).blob(sha256(large), 0, 1e6, signal)) break;
    }
    expect(open()).toBe(before);
  });
});

test('a reading that is stopped ends', async () => {
  const file = Buffer.alloc(1_000_000, 'y');
  const state = publishState({ files: [file] });
  const stop = new AbortController();
  const parts = ociLayout(files, layoutOf([{ state }])).blob(sha256(file), 0, 1e6, stop.signal);
  const seen: string[] = [];
  for await (const part of parts) {
    seen.push(part.kind);
    stop.abort();
  }
  expect(seen).toEqual(['bytes', 'failed']);
});
