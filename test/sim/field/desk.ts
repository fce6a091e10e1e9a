/**
 * The publishers of a fleet with several channels, each with a key of its own; two of them share a
 * place on devices (`canary` and `stable`), one is the device's own and carries values. What is signed
 * here is made by wire/ and trust/; what it means is in cargo.ts.
 */

import type { DesiredState } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { MEDIA, PAYLOAD } from '#state/media-types.ts';
import type { Policy } from '#state/policy.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { writeDocuments } from '#wire/documents.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeNudge } from '#wire/nudge.ts';
import { describe, writeIndex, writeManifest } from '#wire/oci.ts';
import type { FieldStatement } from '../model/field-wanted.ts';
import type { SimBroker } from '../world/broker.ts';
import type { Disk } from '../world/disk.ts';
import type { SimKey } from '../world/keys.ts';
import { EPOCH_START_MS, FLEET } from '../world/publisher.ts';
import type { SimRegistry } from '../world/registry.ts';
import { type FieldCargo, type FieldChoice, fieldCargo, markOf, type Place } from './cargo.ts';
import { channelKey, fieldRoot, type SignedRoot, signed } from './roots.ts';

export const DEVICE = 'press-7';
export const OWN = `device.${DEVICE}`;
export const CHANNELS = ['oem', 'canary', 'stable', 'site', OWN] as const;
export type Channel = (typeof CHANNELS)[number];

export function placeOfChannel(channel: string): Place {
  if (channel === 'oem') return 'machine';
  return channel === 'site' ? 'site' : 'line';
}

export interface Artifact {
  readonly channel: Channel;
  readonly manifest: Uint8Array;
  readonly envelope: SignedRoot['envelope'];
  readonly contents: readonly Uint8Array[];
  readonly blobs: readonly Uint8Array[];
}

export interface FieldIssued extends FieldStatement {
  readonly artifact: Artifact;
  readonly choice: FieldChoice;
  /** digests of contents that no other state has, unless it is promoted */
  readonly alone: readonly string[];
}

/** Values for the device. */
export interface ValuesIssued {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly digest: FieldStatement['digest'];
  readonly serial: string;
  readonly artifact: Artifact;
}

export interface FieldIssueOptions {
  readonly signer?: SimKey;
  readonly sequence?: bigint;
  readonly policy?: Partial<Policy>;
  readonly promotedFrom?: FieldIssued;
  /** once it is in force the control plane is out of reach */
  readonly severs?: boolean;
  /** ms of the run */
  readonly at: number;
}

export interface Counter {
  readonly epoch: bigint;
  readonly sequence: bigint;
}

export interface FieldDesk {
  readonly issued: FieldIssued[];
  readonly values: ValuesIssued[];
  readonly rootFile: Uint8Array;
  /** Signs the next statement; nothing leaves the desk. */
  issue(channel: Channel, choice: FieldChoice, options: FieldIssueOptions): FieldIssued;
  issueValues(serial: string): ValuesIssued;
  /** Blobs, the manifest, the lasting tag, then the channel's. */
  push(artifact: Artifact, point: Counter): void;
  nudge(of: Pointed, how: { readonly whole: boolean; readonly retain: boolean }): void;
  /** An image layout in a directory of the device. */
  bundle(disk: Disk, path: string, artifact: Artifact): void;
  /** A new root with another key for one channel; `epoch` begins a new line of it. */
  rotate(channel: Channel, epoch: boolean): void;
  copy(): DeskCopy;
}

export interface Pointed extends Counter {
  readonly digest: FieldStatement['digest'];
  readonly artifact: Artifact;
}

export interface DeskCopy {
  readonly issued: readonly FieldIssued[];
  readonly values: readonly ValuesIssued[];
  readonly roots: readonly SignedRoot[];
  readonly counters: ReadonlyMap<Channel, Counter>;
  readonly keys: ReadonlyMap<Channel, number>;
}

interface Desk {
  readonly registry: SimRegistry;
  readonly broker: SimBroker;
  readonly roots: SignedRoot[];
  readonly counters: Map<Channel, Counter>;
  /** how often a channel's key was changed */
  readonly keys: Map<Channel, number>;
}

const FIRST: Counter = { epoch: 1n, sequence: 0n };
const EMPTY = new TextEncoder().encode('{}');

export function fieldDesk(registry: SimRegistry, broker: SimBroker, from?: DeskCopy): FieldDesk {
  const keys = new Map(from?.keys ?? CHANNELS.map((channel) => [channel, 0] as const));
  const counters = new Map(from?.counters ?? CHANNELS.map((channel) => [channel, FIRST] as const));
  const desk: Desk = { registry, broker, roots: [...(from?.roots ?? [])], counters, keys };
  const first = desk.roots[0] ?? fieldRoot(1n, keys, counters);
  if (desk.roots.length === 0) desk.roots.push(first);
  const made: FieldDesk = {
    issued: [...(from?.issued ?? [])],
    values: [...(from?.values ?? [])],
    rootFile: first.json,
    issue(channel, choice, options) {
      const issued = issue(desk, channel, choice, options);
      made.issued.push(issued);
      return issued;
    },
    issueValues(serial) {
      const issued = issueValues(desk, serial);
      made.values.push(issued);
      return issued;
    },
    push({ channel, manifest, blobs }, { epoch, sequence }) {
      registry.push(`${channel}_${epoch}_${sequence}`, manifest, blobs);
      registry.push(channel, manifest, []);
    },
    nudge: (of, how) => nudge(desk, of, how),
    bundle,
    rotate(channel, epoch) {
      keys.set(channel, (keys.get(channel) ?? 0) + 1);
      const counter = counters.get(channel) ?? FIRST;
      if (epoch) counters.set(channel, { epoch: counter.epoch + 1n, sequence: 0n });
      desk.roots.push(fieldRoot(BigInt(desk.roots.length + 1), keys, counters));
    },
    copy: () => ({
      ...{ issued: [...made.issued], values: [...made.values], roots: [...desk.roots] },
      ...{ counters: new Map(counters), keys: new Map(keys) },
    }),
  };
  return made;
}

const PLAIN_POLICY: Policy = {
  ...{ urgent: false, windows: [], spreadMs: 0, atomicity: 'state', healthWindowMs: 0 },
  ...{ attemptsMax: 3, allowRemoval: 0n, unattestedMaxMs: 0, commit: 'healthy' },
};

type Content = Pick<DesiredState, 'policy' | 'promotedFrom'> &
  Pick<FieldCargo, 'deployments' | 'blobs' | 'documents' | 'contents'>;

interface Numbered extends Counter {
  readonly channel: Channel;
  readonly signer?: SimKey;
}

function sign(desk: Desk, at: Numbered, content: Content): Pointed {
  const { channel, epoch, sequence } = at;
  const { documents, contents, blobs } = content;
  const payload = writeDesiredState({
    ...{ fleet: FLEET, channel, epoch, sequence, previousDigest: null },
    promotedFrom: content.promotedFrom,
    issuedAt: EPOCH_START_MS + Number(sequence),
    ...{ notAfter: 0, rootVersion: BigInt(desk.roots.length), minAgentVersion: '' },
    ...{ critical: [], audience: { kind: 'everyone' }, policy: content.policy },
    ...{ deployments: content.deployments, blobs },
    documents: documents && { digest: sha256(documents), size: documents.length },
  });
  const key = at.signer ?? channelKey(channel, desk.keys.get(channel) ?? 0);
  const envelope = signed(PAYLOAD.desiredState, payload, [key]);
  const json = writeEnvelope(envelope);
  const chain = desk.roots.slice(1).map((root) => root.json);
  const layers = [
    describe(MEDIA.envelope, json),
    ...chain.map((root) => describe(MEDIA.root, root)),
    ...(documents ? [describe(MEDIA.documents, documents)] : []),
    ...blobs.map(({ mediaType, digest, size }) => ({
      ...{ mediaType, digest, size, data: null, annotations: {} },
    })),
  ];
  const config = describe(MEDIA.ociEmpty, EMPTY);
  const manifest = writeManifest({ artifactType: MEDIA.artifact, config, layers, annotations: {} });
  const all = [...(documents ? [documents] : []), ...contents];
  const artifact = { channel, manifest, envelope, contents: all };
  const digest = sha256(payload);
  return {
    epoch,
    sequence,
    digest,
    artifact: { ...artifact, blobs: [EMPTY, json, ...chain, ...all] },
  };
}

/** @param given  of who has no right to it, or says the same number twice */
function numbered(desk: Desk, channel: Channel, given?: bigint): Counter {
  const { epoch, sequence } = desk.counters.get(channel) ?? FIRST;
  if (given !== undefined) return { epoch, sequence: given };
  const next = { epoch, sequence: sequence + 1n };
  desk.counters.set(channel, next);
  return next;
}

function issue(
  desk: Desk,
  channel: Channel,
  choice: FieldChoice,
  { signer, sequence, policy: given, promotedFrom, severs = false, at }: FieldIssueOptions,
): FieldIssued {
  const cargo = fieldCargo(choice);
  const counter = numbered(desk, channel, sequence);
  // Who publishes here means it: what is missing is to go.
  const policy = { ...PLAIN_POLICY, allowRemoval: counter.sequence, ...given };
  const content = { ...cargo, policy, promotedFrom: promotedFrom?.digest ?? null };
  const pointed = sign(desk, { channel, ...counter, ...(signer && { signer }) }, content);
  const { check, endsAfterMs, beyond, valued } = choice;
  return {
    ...pointed,
    ...{ channel, pieces: cargo.pieces, valid: signer === undefined, choice, issuedAt: at },
    bad: check === 'ill' || (endsAfterMs !== null && endsAfterMs < 900),
    outside: beyond === 'outside',
    valued: valued && choice.program !== null,
    severs,
    ...{ urgent: policy.urgent, windows: policy.windows, spreadMs: policy.spreadMs },
    mark: markOf(choice),
    alone: cargo.alone,
  };
}

function issueValues(desk: Desk, serial: string): ValuesIssued {
  const document = { apiVersion: 'holdfast/v1', kind: 'Values', id: 'plain' };
  const text = JSON.stringify({ ...document, values: { serial: { value: serial } } });
  const bytes = new TextEncoder().encode(text);
  const refs = [
    { id: 'plain', digest: sha256(bytes), size: bytes.length, mediaType: MEDIA.values },
  ];
  const content = {
    deployments: refs,
    blobs: [],
    documents: writeDocuments([bytes]),
    contents: [],
  };
  const at = { channel: OWN as Channel, ...numbered(desk, OWN) };
  const policy = { ...PLAIN_POLICY, allowRemoval: at.sequence };
  return { ...sign(desk, at, { ...content, policy, promotedFrom: null }), serial };
}

function nudge(
  { broker, roots }: Desk,
  { epoch, sequence, digest, artifact }: Pointed,
  { whole, retain }: { readonly whole: boolean; readonly retain: boolean },
): void {
  const { channel, manifest, envelope, contents } = artifact;
  const payload = writeNudge({
    ...{ channel, epoch, sequence, stateDigest: digest, manifestDigest: sha256(manifest) },
    urgent: false,
    envelope: whole ? envelope : null,
    roots: whole ? roots.slice(1).map((root) => root.envelope) : [],
    contents: whole ? contents : [],
  });
  broker.publish(`holdfast/v1/${FLEET}/c/${channel}/nudge`, payload, retain);
}

function bundle(disk: Disk, path: string, { channel, manifest, blobs }: Artifact): void {
  for (const bytes of [manifest, ...blobs]) {
    disk.plant(`${path}/blobs/sha256/${sha256(bytes).slice(7)}`, bytes);
  }
  const annotations = { 'org.opencontainers.image.ref.name': channel };
  disk.plant(
    `${path}/index.json`,
    writeIndex([describe(MEDIA.ociManifest, manifest, { annotations })]),
  );
  disk.plant(`${path}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
}
