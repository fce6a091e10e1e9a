/**
 * A forger with a registry account and a broker account: takes a published state apart, changes it,
 * signs it with whatever key, and pushes and nudges it. Plain fetch, node:crypto and the generated
 * messages; no code of the publisher.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
} from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type DesiredState,
  DesiredStateSchema,
  EnvelopeSchema,
  NudgeSchema,
  type Root,
  RootSchema,
} from '#wire/generated/holdfast_pb.ts';
import { run } from './command.ts';
import type { Plant } from './plant.ts';
import { preAuthentication } from './status-watch.ts';

const STATE_TYPE = 'application/vnd.holdfast.desired-state.v1+protobuf';
const ROOT_TYPE = 'application/vnd.holdfast.root.v1+protobuf';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  /** the content itself, base64 (image-spec: embedded content) */
  readonly data?: string;
}

interface Manifest {
  readonly layers: readonly Descriptor[];
}

export interface Artifact {
  readonly digest: string;
  /** the manifest as it is stored */
  readonly text: string;
  readonly manifest: Manifest;
  readonly envelope: Buffer;
  readonly state: DesiredState;
}

export interface SigningKey {
  readonly keyid: string;
  readonly pem: string;
}

export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The key that signs a channel, out of the fleet folder. */
export function channelKey(plant: Plant, name: string): SigningKey {
  return keyOf(readFileSync(join(plant.fleetFolder, 'keys/signing', `${name}.pem`), 'utf8'));
}

export function newKey(): SigningKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return keyOf(privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

export function keyOf(pem: string): SigningKey {
  const keyid = createHash('sha256').update(publicKeyOf({ pem })).digest('hex');
  return { keyid, pem };
}

/** SPKI DER */
export function publicKeyOf({ pem }: Pick<SigningKey, 'pem'>): Buffer {
  return createPublicKey(createPrivateKey(pem)).export({ type: 'spki', format: 'der' });
}

/** An artifact of a repository, by tag or digest. */
export async function fetchArtifact(registry: string, reference: string): Promise<Artifact> {
  const text = (await bytesAt(`${api(registry)}/manifests/${reference}`)).toString();
  const manifest = JSON.parse(text) as Manifest;
  const [first] = manifest.layers;
  const envelope = await bytesAt(`${api(registry)}/blobs/${first?.digest}`);
  const { payload } = JSON.parse(envelope.toString()) as { readonly payload: string };
  const state = fromBinary(DesiredStateSchema, Buffer.from(payload, 'base64'));
  return { digest: digestOf(text), text, manifest, envelope, state };
}

/** A DSSE envelope in JSON. */
export function signState(
  state: DesiredState | Uint8Array,
  keys: readonly SigningKey[],
  payloadType: string = STATE_TYPE,
): Buffer {
  const payload = state instanceof Uint8Array ? state : toBinary(DesiredStateSchema, state);
  const signatures = keys.map(({ keyid, pem }) => ({
    keyid,
    sig: sign(null, preAuthentication(payloadType, payload), pem).toString('base64'),
  }));
  const body = Buffer.from(payload).toString('base64');
  return Buffer.from(JSON.stringify({ payload: body, payloadType, signatures }));
}

/** The first root with other channels, signed by the root key of the folder; written in its place. */
export function rewriteRoot(plant: Plant, change: (root: Root) => Root): void {
  const { payload } = JSON.parse(readFileSync(plant.root, 'utf8')) as { readonly payload: string };
  const root = change(fromBinary(RootSchema, Buffer.from(payload, 'base64')));
  const key = keyOf(readFileSync(join(plant.fleetFolder, 'keys/root/root-1.pem'), 'utf8'));
  writeFileSync(plant.root, signState(toBinary(RootSchema, root), [key], ROOT_TYPE));
}

/** A copy with these fields replaced. */
export function changed(state: DesiredState, fields: Partial<DesiredState>): DesiredState {
  return { ...state, ...fields };
}

/** The artifact with another envelope, pushed under a tag; its other layers must be there. */
export async function pushEnvelope(
  registry: string,
  tag: string,
  { artifact, envelope }: { readonly artifact: Artifact; readonly envelope: Uint8Array },
): Promise<string> {
  await pushBlob(registry, envelope);
  const [first, ...rest] = artifact.manifest.layers;
  const layer = { mediaType: first?.mediaType, digest: digestOf(envelope), size: envelope.length };
  return putManifest(registry, tag, { ...artifact.manifest, layers: [layer, ...rest] });
}

export async function pushBlob(registry: string, bytes: Uint8Array): Promise<void> {
  const started = await fetch(`${api(registry)}/blobs/uploads/`, { method: 'POST' });
  const place = new URL(started.headers.get('location') ?? '', registry);
  place.searchParams.set('digest', digestOf(bytes));
  const put = await fetch(place, {
    method: 'PUT',
    body: bytes as Uint8Array<ArrayBuffer>,
    headers: { 'content-type': 'application/octet-stream' },
  });
  if (put.status !== 201) throw new Error(`blob: HTTP ${put.status} ${await put.text()}`);
}

export async function putManifest(
  registry: string,
  tag: string,
  manifest: unknown,
): Promise<string> {
  const body = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
  const put = await fetch(`${api(registry)}/manifests/${tag}`, {
    method: 'PUT',
    body,
    headers: { 'content-type': MANIFEST_TYPE },
  });
  if (put.status !== 201) throw new Error(`manifest: HTTP ${put.status} ${await put.text()}`);
  return digestOf(body);
}

/** Says on the channel's topic that there is something new; retained pushes carry the envelope. */
export async function nudgeOf(
  plant: Plant,
  channel: string,
  nudge: {
    readonly epoch: bigint;
    readonly sequence: bigint;
    readonly manifestDigest?: string;
    readonly envelope?: Buffer;
    readonly retain?: boolean;
  },
): Promise<void> {
  const raw = (digest: string | undefined) =>
    digest === undefined ? new Uint8Array() : Buffer.from(digest.slice(7), 'hex');
  const message = create(NudgeSchema, {
    channel,
    epoch: nudge.epoch,
    sequence: nudge.sequence,
    manifestDigest: raw(nudge.manifestDigest),
    ...(nudge.envelope ? { envelope: twin(nudge.envelope) } : {}),
  });
  const topic = `${plant.topicRoot}/c/${channel}/nudge`;
  await say(plant, topic, toBinary(NudgeSchema, message), nudge.retain === true);
}

/** The protobuf twin of a JSON envelope. */
export function twin(json: Buffer) {
  const { payload, payloadType, signatures } = JSON.parse(json.toString()) as {
    readonly payload: string;
    readonly payloadType: string;
    readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  };
  return create(EnvelopeSchema, {
    payloadType,
    payload: Buffer.from(payload, 'base64'),
    signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: Buffer.from(sig, 'base64') })),
  });
}

export async function say(plant: Plant, topic: string, payload: Uint8Array, retain: boolean) {
  const { port } = new URL(plant.mqtt);
  const flags = ['-p', port, '-t', topic, '-q', '1', '-s', ...(retain ? ['-r'] : [])];
  const said = await run(['mosquitto_pub', ...flags], { input: payload });
  if (said.code !== 0) throw new Error(`mosquitto_pub: ${said.err}`);
}

/** `http://host/name` → `http://host/v2/name` */
export function api(registry: string): string {
  const { origin, pathname } = new URL(registry);
  return `${origin}/v2${pathname}`;
}

export async function bytesAt(url: string): Promise<Buffer> {
  const got = await fetch(url, { headers: { accept: MANIFEST_TYPE } });
  if (!got.ok) throw new Error(`${url}: HTTP ${got.status}`);
  return Buffer.from(await got.arrayBuffer());
}
