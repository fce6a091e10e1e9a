/**
 * What an attacker does who can write to the registry and the broker, but has none of the fleet's
 * keys: takes the newest statement, makes it a newer one, signs it with a key of his own under the
 * name of the right one, moves the channel's tag to it and nudges the fleet.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { DesiredStateSchema, NudgeSchema } from '#wire/generated/holdfast_pb.ts';

export interface Forgery {
  readonly point: string;
  /** the unsigned hint that would make devices look */
  readonly nudge: Uint8Array;
  /** Puts the channel's tag back to what it was. */
  undo(): Promise<void>;
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const AHEAD = 50n;

interface Manifest {
  readonly layers: readonly {
    readonly mediaType: string;
    readonly digest: string;
    readonly size: number;
  }[];
}

interface Dsse {
  readonly payloadType: string;
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string }[];
}

/** @param repository  as `http://127.0.0.1:5000/v2/plant/state` */
export async function forge(repository: string, channel: string): Promise<Forgery> {
  const tag = `${repository}/manifests/${channel}`;
  const honest = await bytesOf(tag, { accept: MANIFEST });
  const manifest: Manifest = JSON.parse(honest.toString());
  const [layer] = manifest.layers;
  if (layer === undefined) throw new Error('a manifest without layers');
  const dsse: Dsse = JSON.parse((await bytesOf(`${repository}/blobs/${layer.digest}`)).toString());
  const state = fromBinary(DesiredStateSchema, Buffer.from(dsse.payload, 'base64'));
  state.sequence += AHEAD;
  const payload = toBinary(DesiredStateSchema, state);
  const envelope = Buffer.from(JSON.stringify(signedByAnother(dsse, payload)));
  const data = 'data' in layer ? { data: envelope.toString('base64') } : {};
  const forged = { ...layer, digest: digestOf(envelope), size: envelope.length, ...data };
  await push(repository, envelope);
  const {
    layers: [, ...rest],
    ...head
  } = manifest;
  const bytes = Buffer.from(JSON.stringify({ ...head, layers: [forged, ...rest] }));
  await putManifest(tag, bytes);
  const nudge = create(NudgeSchema, {
    channel,
    epoch: state.epoch,
    sequence: state.sequence,
    stateDigest: hash(payload),
    manifestDigest: hash(bytes),
  });
  return {
    point: `${state.epoch}.${state.sequence}`,
    nudge: toBinary(NudgeSchema, nudge),
    undo: () => putManifest(tag, honest),
  };
}

function signedByAnother({ payloadType, signatures }: Dsse, payload: Uint8Array) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  const sig = sign(null, Buffer.concat([Buffer.from(head), payload]), privateKey);
  return {
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid: signatures[0]?.keyid ?? '', sig: sig.toString('base64') }],
  };
}

async function push(repository: string, blob: Buffer): Promise<void> {
  const begun = await answered(fetch(`${repository}/blobs/uploads/`, { method: 'POST' }));
  const url = new URL(begun.headers.get('location') ?? '', repository);
  url.searchParams.set('digest', digestOf(blob));
  const headers = { 'content-type': 'application/octet-stream' };
  await answered(fetch(url, { method: 'PUT', headers, body: blob }));
}

async function putManifest(tag: string, body: Buffer): Promise<void> {
  const headers = { 'content-type': MANIFEST };
  await answered(fetch(tag, { method: 'PUT', headers, body }));
}

async function bytesOf(url: string, headers: Record<string, string> = {}): Promise<Buffer> {
  const answer = await answered(fetch(url, { headers }));
  return Buffer.from(await answer.arrayBuffer());
}

async function answered(asked: Promise<Response>): Promise<Response> {
  const answer = await asked;
  if (answer.ok) return answer;
  throw new Error(`the registry answers ${answer.status} to ${answer.url}: ${await answer.text()}`);
}

function hash(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${hash(bytes).toString('hex')}`;
}
