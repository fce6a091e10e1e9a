/**
 * Forged states offered to the compiled executable over a real registry and a real broker, and as
 * bundles: each is refused with its code, told in the signed status, and targets, floor and contents
 * do not change by a byte. An honest state published afterwards is applied.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AudienceSchema,
  type DesiredState,
  DesiredStateSchema,
} from '#wire/generated/holdfast_pb.ts';
import { output } from '../support/command.ts';
import { type Device, treeOf } from '../support/device.ts';
import { blobFile } from '../support/docker-registry.ts';
import { eventually } from '../support/eventually.ts';
import {
  type Artifact,
  changed,
  channelKey,
  type Descriptor,
  digestOf,
  fetchArtifact,
  newKey,
  nudgeOf,
  pushEnvelope,
  putManifest,
  rewriteRoot,
  type SigningKey,
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
import { transactionId } from '../support/store-file.ts';

const real = missing === null ? test : test.skip;
const title = (what: string) => (missing === null ? what : `${what} (${missing})`);

let parts: Parts;
let plant: Plant;
let device: Device;
let honest: Artifact;
let stable: SigningKey;

beforeAll(async () => {
  if (missing !== null) return;
  parts = await startParts();
  plant = await makePlant(parts);
  device = plant.device('press-7', { channel: 'stable' });
  for (const channel of ['canary', 'stable']) write(channel, 1);
  await plant.publish('stable');
  await plant.publish('canary');
  await plant.publish('canary', '--renew');
  await device.start();
  await device.command(['apply']);
  await device.applied('1.1');
  honest = await fetchArtifact(plant.registry, 'stable');
  stable = channelKey(plant, 'stable');
});
afterAll(async () => {
  await plant?.remove();
  await parts?.remove();
});

function write(channel: string, speed: number): void {
  plant.write(channel, 'speed.conf', `speed=${speed}\n`);
  plant.write(channel, 'big.bin', Buffer.alloc(100_000, speed));
  const conf = { blob: 'speed.conf', target: join(device.opt, 'speed.conf') };
  const big = { blob: 'big.bin', target: join(device.opt, 'big.bin') };
  // Another document each time: one that is here already would not be fetched.
  const parameters = { speed: { value: `${speed}` } };
  plant.deploy(channel, 'conf', filesSpec({ conf, big }, { parameters }));
}

/**
 * Everything that is durable here: targets, blobs, statements, floor and history. Of the store's own
 * file only the number of commits is compared: the journal of refusals may add a bounded few.
 */
async function durable() {
  const state = Object.entries(treeOf(device.stateDir)).filter(
    ([path]) => !path.startsWith('store/'),
  );
  const [channel] = (await device.status()).channels;
  const { desired, applied, deployments } = channel ?? {};
  const rows = { desired, applied, deployments, history: await device.history() };
  return { opt: device.tree(), state: Object.fromEntries(state), rows };
}

/** Runs an offer; afterwards nothing durable is another. */
async function unchanged(offer: () => Promise<unknown>): Promise<void> {
  const before = { durable: await durable(), commits: transactionId(device.stateDir) };
  await offer();
  expect(await durable()).toEqual(before.durable);
  // One entry for the refusal, one for the operator's request that came to nothing.
  const commits = Number(transactionId(device.stateDir) - before.commits);
  expect(commits).toBeLessThanOrEqual(2);
}

/** The next state, changed and signed by the forger. */
function forged(fields: Partial<DesiredState>, keys: readonly SigningKey[] = [stable]): Buffer {
  const { epoch, sequence } = honest.state;
  return signState(changed(honest.state, { epoch, sequence: sequence + 1n, ...fields }), keys);
}

/** Refused with this code by whatever way it comes, nothing durable changed. */
async function refuses(code: string, offer: () => Promise<unknown>): Promise<void> {
  await unchanged(async () => {
    await offer();
    const ended = await device.command(['apply', '-o', 'json']);
    const end = JSON.parse(ended.out) as { readonly fault: { readonly code: string } | null };
    expect(end.fault?.code ?? 'accepted').toBe(code);
    expect(ended.code).toBe(3);
  });
  const report = await device.reports(
    code,
    ({ refused, waitingFor }) => refused?.code === code || waitingFor === code,
  );
  expect(report.applied).toBe('1.1');
  expect(report.refused?.attack ?? false).toBe(code === 'trust.equivocation');
}

/** Under the channel's tag, and nudged by digest. */
async function offerAs(tag: string, envelope: Buffer): Promise<void> {
  const manifestDigest = await pushEnvelope(plant.registry, tag, { artifact: honest, envelope });
  await nudgeOf(plant, tag, { epoch: 1n, sequence: 99n, manifestDigest });
}

const flipped = (bytes: Uint8Array, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
};

describe('R18, S: forged statements under the tag and nudge of stable', () => {
  const rows: readonly (readonly [
    what: string,
    code: string,
    envelope: () => Buffer | Promise<Buffer>,
  ])[] = [
    [
      'signed by a key that the root does not know',
      'trust.threshold',
      () => forged({}, [newKey()]),
    ],
    [
      'signed by a stranger under the keyid of the right key',
      'trust.threshold',
      () => forged({}, [{ ...newKey(), keyid: stable.keyid }]),
    ],
    [
      "signed by another channel's role",
      'trust.threshold',
      () => forged({}, [channelKey(plant, 'canary')]),
    ],
    ['S01: with no signature', 'trust.threshold', () => forged({}, [])],
    ['of another fleet', 'trust.wrong-fleet', () => forged({ fleet: Buffer.alloc(16, 7) })],
    [
      'a valid canary state',
      'trust.threshold',
      async () => (await fetchArtifact(plant.registry, 'canary')).envelope,
    ],
    [
      'that names canary, signed by the key of stable',
      'trust.wrong-channel',
      () => forged({ channel: 'canary' }),
    ],
    ['of the epoch 0', 'format.desired-state', () => forged({ epoch: 0n, sequence: 99n })],
    [
      'R02: the same number, other content',
      'trust.equivocation',
      () => forged({ sequence: 1n, issuedAt: 5n }),
    ],
    ['R12: for nobody', 'format.desired-state', () => forged({ audience: create(AudienceSchema) })],
    [
      'S25: with a critical feature that is unknown',
      'trust.critical',
      () => forged({ critical: ['policy.moon'] }),
    ],
    ['that names a root to come', 'trust.root-missing', () => forged({ rootVersion: 2n })],
    [
      'that needs a newer agent',
      'trust.agent-too-old',
      () => forged({ minAgentVersion: '99.0.0' }),
    ],
    [
      'that expired before this program was built',
      'trust.expired',
      () => forged({ notAfter: 1_000_000n }),
    ],
    [
      'R21: that removes everything',
      'trust.removal-guard',
      () => forged({ deployments: [], blobs: [] }),
    ],
    [
      'S14: with another payload type',
      'trust.payload-type',
      () =>
        signState(
          changed(honest.state, { sequence: 2n }),
          [stable],
          'application/vnd.holdfast.root.v1+protobuf',
        ),
    ],
    [
      'one byte of the payload flipped',
      'trust.threshold',
      () => {
        const bytes = toBinary(DesiredStateSchema, changed(honest.state, { sequence: 2n }));
        const good = JSON.parse(signState(bytes, [stable]).toString()) as Record<string, unknown>;
        const payload = flipped(bytes, bytes.length - 1).toString('base64');
        return Buffer.from(JSON.stringify({ ...good, payload }));
      },
    ],
    [
      'S24: with the payload twice',
      'format.json',
      () => {
        const text = forged({}).toString();
        return Buffer.from(text.replace('{"payload":', '{"payload":"","payload":'));
      },
    ],
  ];
  for (const [what, code, envelope] of rows) {
    real(title(`a state ${what}: ${code}`), async () => {
      const bytes = await envelope();
      await refuses(code, () => offerAs('stable', bytes));
    });
  }

  const bundled = program('skopeo') === null ? test.skip : real;
  bundled(
    title('a bundle is judged the same: wrong key, wrong channel, flipped byte'),
    async () => {
      const before = await durable();
      for (const [code, envelope] of [
        ['trust.threshold', forged({}, [newKey()])],
        ['trust.wrong-channel', forged({ channel: 'canary' })],
        ['source.digest-mismatch', null],
      ] as const) {
        const tag = `bundle-${code}`;
        const bytes = envelope ?? forged({});
        const digest = await pushEnvelope(plant.registry, tag, {
          artifact: honest,
          envelope: bytes,
        });
        const layout = join(plant.folder, code);
        const from = `docker://${plant.registry.slice('http://'.length)}@${digest}`;
        await output(['skopeo', 'copy', '-q', '--src-tls-verify=false', from, `oci:${layout}`]);
        if (envelope === null) {
          const blob = join(layout, 'blobs/sha256', digestOf(bytes).slice('sha256:'.length));
          writeFileSync(blob, flipped(readFileSync(blob), 40));
        }
        const ended = await device.command(['apply', layout, '-o', 'json']);
        expect(JSON.parse(ended.out)).toMatchObject({ fault: { code } });
        expect(ended.code).toBe(3);
        expect(await durable()).toEqual(before);
      }
    },
  );

  afterAll(async () => {
    if (missing === null) await putManifest(plant.registry, 'stable', honest.text);
  });
});

describe('C13: one byte flipped where the registry keeps it', () => {
  const DOCUMENTS = 'application/vnd.holdfast.documents.v1+tar';
  const layer = ({ manifest }: Artifact, wanted: (of: Descriptor) => boolean) =>
    manifest.layers.find(wanted)?.digest ?? '';
  const rows: readonly (readonly [string, string, (next: Artifact) => string])[] = [
    // The tag's own bytes are hashed, not compared: a manifest only says where things are.
    ['the manifest', 'format.oci', ({ digest }) => digest],
    ['the envelope', 'source.digest-mismatch', ({ manifest }) => manifest.layers[0]?.digest ?? ''],
    [
      'the documents',
      'source.digest-mismatch',
      (next) => layer(next, ({ mediaType }) => mediaType === DOCUMENTS),
    ],
    ['a blob', 'source.digest-mismatch', (next) => layer(next, ({ size }) => size === 100_000)],
  ];
  for (const [index, [what, code, digest]] of rows.entries()) {
    real(title(`${what}: ${code}, and healed the state is applied`), async () => {
      write('stable', 10 + index);
      const { point } = await plant.publish('stable', '--no-nudge');
      const next = await fetchArtifact(plant.registry, 'stable');
      // Without the copies of small layers inside it, each has to be fetched.
      if (what !== 'the manifest') await putManifest(plant.registry, 'stable', bare(next));
      const file = blobFile(parts.registry, digest(next));
      const good = readFileSync(file);
      writeFileSync(file, flipped(good, good.length >> 1));
      const before = device.tree();
      const ended = await device.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code } });
      expect(ended.code).toBe(3);
      expect(device.tree()).toEqual(before);
      expect((await device.status()).channels[0]?.desired?.point).not.toBe(point);
      writeFileSync(file, good);
      const again = await device.command(['apply', '-o', 'json']);
      expect(JSON.parse(again.out)).toMatchObject({ result: 'applied', offered: point });
      expect(device.read('speed.conf')).toBe(`speed=${10 + index}\n`);
    });
  }

  function bare({ manifest }: Artifact): string {
    const layers = manifest.layers.map(({ mediaType, digest, size }) => ({
      mediaType,
      digest,
      size,
    }));
    return JSON.stringify({ ...manifest, layers });
  }
});

describe('R18: nudges decide nothing', () => {
  real(title('a nudge of stable with the digest of a valid canary state is refused'), async () => {
    const canary = await fetchArtifact(plant.registry, 'canary');
    const before = await durable();
    await nudgeOf(plant, 'stable', { epoch: 1n, sequence: 99n, manifestDigest: canary.digest });
    await device.reports('trust.threshold', ({ refused }) => refused?.code === 'trust.threshold');
    await eventually(
      'the look is over',
      async () => (await device.status()).lastLook?.wake === 'nudge',
    );
    expect(await durable()).toEqual(before);
  });

  real(
    title('M08: a nudge for a digest that nobody has ends at the tag, which is applied already'),
    async () => {
      const before = await durable();
      const at = Date.now();
      const manifestDigest = `sha256:${'ab'.repeat(32)}`;
      await nudgeOf(plant, 'stable', { epoch: 1n, sequence: 1_000n, manifestDigest });
      await eventually('the look is over', async () => {
        const { lastLook } = await device.status();
        return lastLook?.wake === 'nudge' && lastLook.at >= at && lastLook.result === 'current';
      });
      expect(await durable()).toEqual(before);
    },
  );
});

describe('R01: an older state with a valid signature', () => {
  real(
    title('under the tag again: trust.rollback, and an attack, since it was newer before'),
    async () => {
      const before = await durable();
      await putManifest(plant.registry, 'stable', honest.text);
      const ended = await device.command(['apply', '-o', 'json']);
      expect(JSON.parse(ended.out)).toMatchObject({ fault: { code: 'trust.rollback' } });
      const report = await device.reports(
        'it',
        ({ refused }) => refused?.code === 'trust.rollback',
      );
      expect(report.refused?.attack).toBe(true);
      expect(await durable()).toEqual(before);
    },
  );

  real(
    title('of an old epoch: refused by the floor, and by the root where there is no floor'),
    async () => {
      const other = await makePlant(parts);
      try {
        rewriteRoot(other, (root) => ({
          ...root,
          channels: root.channels.map((channel) => ({ ...channel, epoch: 2n })),
        }));
        const held = other.device('held', { channel: 'stable' });
        const fresh = other.device('fresh', { channel: 'stable' });
        other.write('stable', 'a', 'text');
        other.deploy('stable', 'a', filesSpec({ a: { blob: 'a', target: join(held.opt, 'a') } }));
        expect((await other.publish('stable')).point).toBe('2.1');
        await Promise.all([held.start(), fresh.start()]);
        await held.command(['apply']);
        await held.applied('2.1');
        const artifact = await fetchArtifact(other.registry, 'stable');
        const old = changed(artifact.state, { epoch: 1n, sequence: 99n });
        const envelope = signState(old, [channelKey(other, 'stable')]);
        await pushEnvelope(other.registry, 'stable', { artifact, envelope });
        for (const [device, code] of [
          [held, 'trust.rollback'],
          [fresh, 'trust.epoch'],
        ] as const) {
          const before = device.tree();
          const ended = await device.command(['apply', '-o', 'json']);
          expect(JSON.parse(ended.out)).toMatchObject({ fault: { code } });
          expect(ended.code).toBe(3);
          expect(device.tree()).toEqual(before);
        }
      } finally {
        await other.remove();
      }
    },
  );
});
