/**
 * The publisher of a fleet, and whoever else has an account at registry or broker: signs the next
 * statement of a channel, rotates roots, raises the epoch, equivocates, turns the tag back, pushes
 * what nobody may sign. Bytes are made by wire/ and trust/; what they mean is in states.ts.
 */
import type { Digest } from '#state/digest.ts';
import { sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { MEDIA, PAYLOAD } from '#state/media-types.ts';
import type { Policy } from '#state/policy.ts';
import { pae } from '#trust/dsse.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { writeEnvelope } from '#wire/envelope.ts';
import { writeNudge } from '#wire/nudge.ts';
import { describe, writeIndex, writeManifest } from '#wire/oci.ts';
import { writeRoot } from '#wire/root.ts';
import type { Statement } from '../model/wanted.ts';
import type { SimBroker } from './broker.ts';
import type { Disk } from './disk.ts';
import { rootKeyOf, type SimKey, simKey } from './keys.ts';
import type { SimRegistry } from './registry.ts';
import { type Cargo, type Choice, cargoOf } from './states.ts';

export const FLEET = '00112233445566778899aabbccddeeff';
export const CHANNEL = 'stable';
export const EPOCH_START_MS = Date.UTC(2026, 10, 23);
const TOPIC = `holdfast/v1/${FLEET}/c/${CHANNEL}/nudge`;
const EMPTY = new TextEncoder().encode('{}');

export interface Issued extends Statement {
  readonly manifest: Uint8Array;
  readonly manifestDigest: Digest;
  readonly envelope: Envelope;
  readonly cargo: Cargo;
  readonly blobs: readonly Uint8Array[];
  readonly choice: Choice;
  readonly allowRemoval: bigint;
}

export interface IssueOptions {
  readonly signer?: SimKey;
  readonly sequence?: bigint;
  readonly healthWindowMs?: number;
  readonly attemptsMax?: number;
  /** another payload of the same number */
  readonly mark?: string;
  readonly notAfter?: number;
  readonly policy?: Partial<Policy>;
}

export interface Publisher {
  readonly issued: Issued[];
  readonly rootFile: Uint8Array;
  epoch: bigint;
  sequence: bigint;
  rootVersion: bigint;
  /** Signs the next statement; nothing leaves the desk. */
  issue(choice: Choice, options?: IssueOptions): Issued;
  /** Pushes blobs, then the manifest, then moves the tag. */
  push(issued: Issued): void;
  nudge(issued: Issued, how: { readonly whole: boolean; readonly retain: boolean }): void;
  /** The tag names this one again. */
  turnBack(issued: Issued): void;
  /** A new root with another channel key; `epoch` begins a new line. */
  rotate(how: { readonly epoch: boolean }): void;
  /** An image layout in a directory of the device. */
  bundle(disk: Disk, path: string, issued: Issued): void;
  copy(): PublisherCopy;
}

export interface PublisherCopy {
  readonly issued: readonly Issued[];
  readonly roots: Desk['roots'];
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly rootVersion: bigint;
}

interface Desk {
  readonly registry: SimRegistry;
  readonly broker: SimBroker;
  /** from version 1 on, envelopes in JSON */
  readonly roots: { readonly envelope: Envelope; readonly json: Uint8Array }[];
}

export function publisher(
  registry: SimRegistry,
  broker: SimBroker,
  from?: PublisherCopy,
): Publisher {
  const first = rootOf({ version: 1n, epoch: 1n });
  const desk: Desk = { registry, broker, roots: from ? [...from.roots] : [first] };
  const made: Publisher = {
    issued: [...(from?.issued ?? [])],
    rootFile: first.json,
    epoch: from?.epoch ?? 1n,
    sequence: from?.sequence ?? 0n,
    rootVersion: from?.rootVersion ?? 1n,
    issue: (choice, options = {}) => issue(made, desk, choice, options),
    push(issued) {
      registry.push(CHANNEL, issued.manifest, issued.blobs);
    },
    nudge: (issued, how) => nudge(desk, issued, how),
    turnBack(issued) {
      registry.tags.set(CHANNEL, issued.manifestDigest);
    },
    rotate({ epoch }) {
      made.rootVersion += 1n;
      if (epoch) {
        made.epoch += 1n;
        made.sequence = 0n;
      }
      desk.roots.push(rootOf({ version: made.rootVersion, epoch: made.epoch }));
    },
    bundle: (disk, path, issued) => bundle(disk, path, issued),
    copy: () => ({
      ...{ issued: [...made.issued], roots: [...desk.roots] },
      ...{ epoch: made.epoch, sequence: made.sequence, rootVersion: made.rootVersion },
    }),
  };
  return made;
}

/** The key that signs the channel under a version of the root. */
function channelKey(version: bigint): SimKey {
  return simKey(`channel ${version}`);
}

function signed(payloadType: string, payload: Uint8Array, keys: readonly SimKey[]): Envelope {
  const bytes = pae(payloadType, payload);
  const signatures = keys.map((key) => ({ keyid: key.keyid, sig: key.sign(bytes) }));
  return { payloadType, payload, signatures };
}

const rootsMade = new Map<string, Desk['roots'][number]>();

/** Two root keys, both needed; the channel's key changes with each version. */
function rootOf({ version, epoch }: { version: bigint; epoch: bigint }): Desk['roots'][number] {
  const at = `${version}/${epoch}`;
  const known = rootsMade.get(at);
  if (known) return known;
  const roots = [simKey('root a'), simKey('root b')];
  const signer = channelKey(version);
  const document = {
    fleet: FLEET,
    version,
    issuedAt: EPOCH_START_MS,
    notAfter: 0,
    keys: [...roots, signer].map(rootKeyOf),
    roles: [
      { name: 'root', threshold: 2, keyids: roots.map(({ keyid }) => keyid) },
      { name: 'signers', threshold: 1, keyids: [signer.keyid] },
    ],
    channels: [{ name: CHANNEL, role: 'signers', epoch }],
    timeReset: null,
    demo: false,
    critical: [],
    tls: null,
  };
  const envelope = signed(PAYLOAD.root, writeRoot(document), roots);
  const made = { envelope, json: writeEnvelope(envelope) };
  rootsMade.set(at, made);
  return made;
}

function issue(on: Publisher, desk: Desk, choice: Choice, options: IssueOptions): Issued {
  const cargo = cargoOf(choice);
  const sequence = options.sequence ?? on.sequence + 1n;
  if (options.sequence === undefined) on.sequence = sequence;
  const { documents } = cargo;
  const policy = {
    urgent: false,
    windows: [],
    spreadMs: 0,
    atomicity: 'state' as const,
    healthWindowMs: options.healthWindowMs ?? 0,
    attemptsMax: options.attemptsMax ?? 3,
    // Who publishes here means it: what is missing is to go.
    allowRemoval: sequence,
    unattestedMaxMs: 0,
    commit: 'healthy' as const,
    ...options.policy,
  };
  const payload = writeDesiredState({
    fleet: FLEET,
    channel: CHANNEL,
    epoch: on.epoch,
    sequence,
    previousDigest: null,
    promotedFrom:
      options.mark === undefined ? null : sha256(new TextEncoder().encode(options.mark)),
    issuedAt: EPOCH_START_MS + Number(sequence),
    notAfter: options.notAfter ?? 0,
    rootVersion: on.rootVersion,
    minAgentVersion: '',
    critical: [],
    audience: { kind: 'everyone' },
    policy,
    deployments: cargo.deployments,
    blobs: cargo.blobs,
    documents: documents && { digest: sha256(documents), size: documents.length },
  });
  const key = options.signer ?? channelKey(on.rootVersion);
  const envelope = signed(PAYLOAD.desiredState, payload, [key]);
  const json = writeEnvelope(envelope);
  const chain = desk.roots.slice(1).map((root) => root.json);
  const layers = [
    describe(MEDIA.envelope, json),
    ...chain.map((root) => describe(MEDIA.root, root)),
    ...(documents ? [describe(MEDIA.documents, documents)] : []),
    ...distinct(cargo.blobs),
  ];
  const config = describe(MEDIA.ociEmpty, EMPTY);
  const manifest = writeManifest({ artifactType: MEDIA.artifact, config, layers, annotations: {} });
  const issued: Issued = {
    epoch: on.epoch,
    sequence,
    digest: sha256(payload),
    wanted: cargo.wanted,
    valid: options.signer === undefined,
    bad: cargo.bad,
    attemptsMax: policy.attemptsMax,
    manifest,
    manifestDigest: sha256(manifest),
    envelope,
    cargo,
    blobs: [EMPTY, json, ...chain, ...(documents ? [documents] : []), ...cargo.contents],
    choice,
    allowRemoval: policy.allowRemoval,
  };
  on.issued.push(issued);
  return issued;
}

function distinct(blobs: Cargo['blobs']) {
  return blobs.map(({ mediaType, digest, size }) => ({
    mediaType,
    digest,
    size,
    data: null,
    annotations: {},
  }));
}

function nudge(
  { broker, roots }: Desk,
  issued: Issued,
  { whole, retain }: { readonly whole: boolean; readonly retain: boolean },
): void {
  const { epoch, sequence, digest, manifestDigest, envelope, cargo } = issued;
  const payload = writeNudge({
    channel: CHANNEL,
    epoch,
    sequence,
    stateDigest: digest,
    manifestDigest,
    urgent: false,
    envelope: whole ? envelope : null,
    roots: whole ? roots.slice(1).map((root) => root.envelope) : [],
    contents: whole ? [...(cargo.documents ? [cargo.documents] : []), ...cargo.contents] : [],
  });
  broker.publish(TOPIC, payload, retain);
}

function bundle(disk: Disk, path: string, issued: Issued): void {
  for (const bytes of [issued.manifest, ...issued.blobs]) {
    disk.plant(`${path}/blobs/sha256/${sha256(bytes).slice(7)}`, bytes);
  }
  const annotations = { 'org.opencontainers.image.ref.name': CHANNEL };
  const entry = describe(MEDIA.ociManifest, issued.manifest, { annotations });
  disk.plant(`${path}/index.json`, writeIndex([entry]));
  disk.plant(`${path}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}');
}
