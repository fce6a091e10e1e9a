/**
 * Roots and pushes as anybody could make them who has the keys, or has not: root documents signed
 * with plain node:crypto, artifacts with a chain in them, nudges that carry everything, bundles.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  KeySchema,
  NudgeSchema,
  RoleSchema,
  type Root,
  RootSchema,
  Scheme,
} from '#wire/generated/holdfast_pb.ts';
import {
  type Artifact,
  api,
  bytesAt,
  digestOf,
  keyOf,
  publicKeyOf,
  pushBlob,
  putManifest,
  type SigningKey,
  say,
  signState,
  twin,
} from './forge.ts';
import type { Plant } from './plant.ts';

const ROOT_TYPE = 'application/vnd.holdfast.root.v1+protobuf';
const ROOT_LAYER = 'application/vnd.holdfast.root.v1+json';

/** The root key that `init` made. */
export function rootKey(plant: Plant): SigningKey {
  return keyOf(readFileSync(join(plant.fleetFolder, 'keys/root/root-1.pem'), 'utf8'));
}

export function firstRoot(plant: Plant): Root {
  const { payload } = JSON.parse(readFileSync(plant.root, 'utf8')) as { readonly payload: string };
  return fromBinary(RootSchema, Buffer.from(payload, 'base64'));
}

export function signRoot(root: Root, keys: readonly SigningKey[]): Buffer {
  return signState(toBinary(RootSchema, root), keys, ROOT_TYPE);
}

/** The next version with another key in a role: `root`, `channel.stable`. */
export function withKey(root: Root, role: string, key: SigningKey, more: Partial<Root> = {}): Root {
  const record = create(KeySchema, {
    keyid: key.keyid,
    scheme: Scheme.ED25519,
    publicKey: publicKeyOf(key),
  });
  const ruled = create(RoleSchema, { name: role, threshold: 1, keyids: [key.keyid] });
  return {
    ...root,
    version: root.version + 1n,
    keys: [...root.keys, record],
    roles: root.roles.map((one) => (one.name === role ? ruled : one)),
    ...more,
  };
}

/** The next version with this in it. */
export function nextVersion(root: Root, more: Partial<Root> = {}): Root {
  return { ...root, version: root.version + 1n, ...more };
}

export interface Offered {
  readonly artifact: Artifact;
  readonly envelope: Buffer;
  /** from version 2 on */
  readonly roots: readonly Buffer[];
}

/** The artifact with this envelope and chain, under a tag. */
export async function pushChain(registry: string, tag: string, offered: Offered): Promise<string> {
  const { artifact, envelope, roots } = offered;
  const layers = [envelope, ...roots];
  for (const layer of layers) await pushBlob(registry, layer);
  const [first, ...rest] = artifact.manifest.layers;
  const others = rest.filter(({ mediaType }) => mediaType !== ROOT_LAYER);
  const described = layers.map((layer, index) => ({
    mediaType: index === 0 ? first?.mediaType : ROOT_LAYER,
    digest: digestOf(layer),
    size: layer.length,
  }));
  return putManifest(registry, tag, { ...artifact.manifest, layers: [...described, ...others] });
}

/** Documents and blobs of the artifact, to be sent along. */
export async function contentsOf(registry: string, artifact: Artifact): Promise<readonly Buffer[]> {
  const [, ...rest] = artifact.manifest.layers;
  const layers = rest.filter(({ mediaType }) => mediaType !== ROOT_LAYER);
  return Promise.all(layers.map(({ digest }) => bytesAt(`${api(registry)}/blobs/${digest}`)));
}

export interface Pushed {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly envelope?: Buffer;
  readonly roots?: readonly Buffer[];
  readonly contents?: readonly Buffer[];
  readonly retain?: boolean;
  /** default: the channel's */
  readonly topic?: string;
}

/** Says it all on the channel's topic. */
export async function pushNudge(plant: Plant, channel: string, pushed: Pushed): Promise<void> {
  const { epoch, sequence, envelope, roots = [], contents = [], retain = false } = pushed;
  const message = create(NudgeSchema, {
    channel,
    epoch,
    sequence,
    roots: roots.map(twin),
    contents: [...contents],
    ...(envelope ? { envelope: twin(envelope) } : {}),
  });
  const topic = pushed.topic ?? `c/${channel}/nudge`;
  await say(plant, `${plant.topicRoot}/${topic}`, toBinary(NudgeSchema, message), retain);
}

/** An image layout: a copy of `from`, whose one manifest has this envelope and chain. */
export function forgeBundle(
  from: string,
  to: string,
  { artifact, envelope, roots }: Offered,
): void {
  cpSync(from, to, { recursive: true });
  const put = (bytes: Uint8Array | string) =>
    writeFileSync(join(to, 'blobs/sha256', digestOf(bytes).slice(7)), bytes);
  const [first, ...rest] = artifact.manifest.layers;
  const layers = [envelope, ...roots];
  for (const layer of layers) put(layer);
  const described = layers.map((layer, index) => ({
    mediaType: index === 0 ? first?.mediaType : ROOT_LAYER,
    digest: digestOf(layer),
    size: layer.length,
  }));
  const others = rest.filter(({ mediaType }) => mediaType !== ROOT_LAYER);
  const manifest = JSON.stringify({ ...artifact.manifest, layers: [...described, ...others] });
  put(manifest);
  const index = JSON.parse(readFileSync(join(to, 'index.json'), 'utf8')) as {
    manifests: Record<string, unknown>[];
  };
  const [entry] = index.manifests;
  index.manifests = [{ ...entry, digest: digestOf(manifest), size: Buffer.byteLength(manifest) }];
  writeFileSync(join(to, 'index.json'), JSON.stringify(index));
}
