/**
 * States whose signature is right and whose content is hostile, offered to the compiled executable by
 * the broker, a real registry and a bundle: bombs, archives in archives, other compressions under a
 * name that we know. Each is refused with its code in bounded time and memory, the targets and the
 * floor stay what they were, and the next honest state is applied.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { DesiredState } from '#wire/generated/holdfast_pb.ts';
import { writeTar } from '#wire/tar.ts';
import { output } from '../support/command.ts';
import type { Device } from '../support/device.ts';
import { eventually } from '../support/eventually.ts';
import {
  type Artifact,
  changed,
  channelKey,
  digestOf,
  fetchArtifact,
  nudgeOf,
  pushBlob,
  putManifest,
  signState,
} from '../support/forge.ts';
import { program } from '../support/parts.ts';
import {
  filesSpec,
  makePlant,
  missing,
  type Parts,
  type Plant,
  startParts,
} from '../support/plant.ts';

const lacking = missing ?? (program('skopeo') === null ? 'no skopeo' : null);
const real = lacking === null ? test : test.skip;
const title = (what: string) => (lacking === null ? what : `${what} (${lacking})`);

const TREE = 'application/vnd.holdfast.tree.v1.tar+gzip';
const BOMB_BYTES = 64_000_000;
const RSS_MAX = 150 * 1024 * 1024;
const ENDS_WITHIN_MS = 20_000;

let parts: Parts;
let plant: Plant;
let device: Device;
let honest: Artifact;

beforeAll(async () => {
  if (lacking !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7', { channel: 'stable' });
  write(1);
  await plant.publish('stable');
  await device.start();
  await device.linked();
  await device.command(['apply']);
  await device.applied('1.1');
  honest = await fetchArtifact(plant.registry, 'stable');
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

function write(speed: number): void {
  plant.write('stable', 'site/speed.conf', `speed=${speed}\n`);
  const site = { blob: 'site', target: join(device.opt, 'site') };
  plant.deploy('stable', 'site', filesSpec({ site }));
}

const text = (content: string | Uint8Array) =>
  writeTar([{ path: 'x', mode: 0o755, kind: 'file', bytes: Buffer.from(content) }]);

/** A zstd frame (RFC 8878 section 3.1.1) that asks for a window of 2 GiB, then one empty block. */
const HUGE_WINDOW = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00);

interface Hostile {
  readonly what: string;
  readonly code: string;
  readonly bytes: () => Uint8Array;
  readonly mediaType?: string;
  /** as the statement says; default: as much as the honest tree */
  readonly unpackedSize?: bigint;
}

const ROWS: readonly Hostile[] = [
  {
    what: 'B01: an archive that unpacks to a thousand times what was signed',
    code: 'format.tar',
    bytes: () => gzipSync(text(Buffer.alloc(BOMB_BYTES))),
  },
  {
    what: 'B01: the same, signed as large as it is: more than any honest tree is packed',
    code: 'apply.unpack-ratio',
    bytes: () => gzipSync(text(Buffer.alloc(BOMB_BYTES))),
    unpackedSize: BigInt(BOMB_BYTES),
  },
  {
    what: 'B02: an archive packed twice, which is unpacked once and is no archive then',
    code: 'format.tar',
    bytes: () => gzipSync(gzipSync(text('x'))),
  },
  {
    what: 'B02: a bomb inside a bomb: only the outer one is opened, up to its cap',
    code: 'format.tar',
    bytes: () => gzipSync(gzipSync(gzipSync(Buffer.alloc(200_000_000)))),
  },
  {
    what: 'B03: a zstd frame with a window of 2 GiB, which nothing here allocates',
    code: 'format.gzip',
    bytes: () => HUGE_WINDOW,
  },
  {
    what: 'B03: an honest zstd archive under the type of gzip',
    code: 'format.gzip',
    bytes: () => new Uint8Array(zstdCompressSync(text('x'))),
  },
  {
    what: 'C19: a gzip body under a zstd media type',
    code: 'format.desired-state',
    mediaType: 'application/vnd.holdfast.tree.v1.tar+zstd',
    bytes: () => gzipSync(text('x')),
  },
  {
    what: 'C19: a zstd body under a zstd media type: unsupported, and said so',
    code: 'format.desired-state',
    mediaType: 'application/vnd.holdfast.tree.v1.tar+zstd',
    bytes: () => new Uint8Array(zstdCompressSync(text('x'))),
  },
];

/** The honest state with another tree, signed by the key of the channel, complete in the registry. */
async function push(row: Hostile, sequence: bigint) {
  const bytes = row.bytes();
  const { mediaType = TREE, unpackedSize } = row;
  const digest = digestOf(bytes);
  const blobs = honest.state.blobs.map((blob): DesiredState['blobs'][number] => {
    const raw = Buffer.from(digest.slice('sha256:'.length), 'hex');
    const size = BigInt(bytes.length);
    return {
      ...blob,
      mediaType,
      digest: raw,
      size,
      unpackedSize: unpackedSize ?? blob.unpackedSize,
    };
  });
  const envelope = signState(changed(honest.state, { sequence, blobs }), [
    channelKey(plant, 'stable'),
  ]);
  await pushBlob(plant.registry, bytes);
  await pushBlob(plant.registry, envelope);
  const layers = honest.manifest.layers.map((layer, index) => {
    if (index === 0) return { ...layer, digest: digestOf(envelope), size: envelope.length };
    return layer.mediaType === TREE ? { mediaType, digest, size: bytes.length } : layer;
  });
  const tag = `hostile-${sequence}`;
  const manifest = { ...honest.manifest, layers: layers.map(({ data: _, ...rest }) => rest) };
  const manifestDigest = await putManifest(plant.registry, tag, manifest);
  return { envelope, manifest, manifestDigest };
}

const rss = () =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${device.pid()}/status`, 'utf8'))?.[1]) * 1024;

/** How the state ended that was offered by a source: the code of its refusal. */
async function endOf(row: Hostile, sequence: bigint, source: string): Promise<string> {
  const { envelope, manifest, manifestDigest } = await push(row, sequence);
  const since = Date.now();
  if (source === 'mqtt') {
    await nudgeOf(plant, 'stable', { epoch: 1n, sequence, manifestDigest, envelope });
    return eventually('the nudge is judged', async () => {
      const { lastLook, channels } = await device.status();
      const looked = lastLook !== null && lastLook.wake === 'nudge' && lastLook.at >= since;
      if (looked && lastLook.fault) return lastLook.fault.code;
      // What the look found good is refused later, by its content.
      const refused = channels[0]?.refused;
      return looked && refused?.offered === `1.${sequence}` && refused.code;
    });
  }
  const layout = join(plant.folder, `layout-${sequence}`);
  if (source === 'registry') await putManifest(plant.registry, 'stable', manifest);
  else {
    const from = `docker://${plant.registry.slice('http://'.length)}@${manifestDigest}`;
    await output(['skopeo', 'copy', '-q', '--src-tls-verify=false', from, `oci:${layout}`]);
  }
  const offer = source === 'registry' ? [] : [layout];
  const ended = await device.command(['apply', ...offer, '-o', 'json']);
  const { fault } = JSON.parse(ended.out) as { readonly fault: { readonly code: string } | null };
  return fault?.code ?? 'accepted';
}

describe('a signed state with hostile content is refused, by whatever way it comes', () => {
  let sequence = 1n;
  for (const row of ROWS) {
    for (const source of ['mqtt', 'registry', 'bundle'] as const) {
      real(
        title(`${row.what}; by ${source}: ${row.code}`),
        async () => {
          sequence += 1n;
          const before = {
            tree: device.tree(),
            floor: (await device.status()).channels[0]?.desired,
          };
          const started = performance.now();
          expect(await endOf(row, sequence, source)).toBe(row.code);
          expect(performance.now() - started).toBeLessThan(ENDS_WITHIN_MS);
          expect(device.tree()).toEqual(before.tree);
          expect((await device.status()).channels[0]?.desired).toEqual(before.floor);
          expect(rss()).toBeLessThan(RSS_MAX);
        },
        60_000,
      );
    }
  }

  real(title('and the next honest state is applied'), async () => {
    await putManifest(plant.registry, 'stable', honest.text);
    write(2);
    const { point } = await plant.publish('stable');
    await device.applied(point);
    expect(device.read('site/speed.conf')).toBe('speed=2\n');
  });
});

describe('D12: a script that no digest covers', () => {
  beforeAll(async () => {
    if (lacking !== null) return;
    await putManifest(plant.registry, 'stable', honest.text);
    write(3);
    const { point } = await plant.publish('stable');
    await device.applied(point);
  });

  real(title('in a layer that the statement does not name is not even fetched'), async () => {
    const mark = join(plant.folder, 'ran');
    const script = Buffer.from(`#!/bin/sh\ntouch ${mark}\n`);
    const artifact = await fetchArtifact(plant.registry, 'stable');
    await pushBlob(plant.registry, script);
    const stray = {
      mediaType: 'application/octet-stream',
      digest: digestOf(script),
      size: script.length,
      annotations: { 'org.opencontainers.image.title': 'site/postinstall.sh' },
    };
    const layers = [...artifact.manifest.layers, stray];
    await putManifest(plant.registry, 'stable', { ...artifact.manifest, layers });
    const before = device.tree();
    const ended = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ fault: null });
    expect(device.tree()).toEqual(before);
    const held = Object.values(device.tree(device.stateDir)).join();
    expect(held).not.toContain(digestOf(script).slice('sha256:'.length));
    expect(existsSync(mark)).toBe(false);
  });

  real(title('under a name that only its document knows: plan.blob-missing'), async () => {
    const artifact = await fetchArtifact(plant.registry, 'stable');
    const sequence = artifact.state.sequence + 1n;
    const envelope = signState(changed(artifact.state, { sequence, blobs: [] }), [
      channelKey(plant, 'stable'),
    ]);
    await pushBlob(plant.registry, envelope);
    const [first, ...rest] = artifact.manifest.layers;
    const layer = { ...first, digest: digestOf(envelope), size: envelope.length };
    const { data: _, ...bare } = layer;
    await putManifest(plant.registry, 'stable', { ...artifact.manifest, layers: [bare, ...rest] });
    const before = device.tree();
    const ended = await device.command(['apply', '-o', 'json']);
    expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: 'plan.blob-missing' } });
    expect(device.tree()).toEqual(before);
  });
});
