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
import { type Unsigned, writeDesiredState } from '#wire/desired-state.ts';
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
  /** offered with it, from version 2 on */
  readonly roots: readonly SignedRoot[];
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
  /** what nobody may publish: no device may take it */
  readonly forged?: Forgery;
}

export interface Forgery {
  /** instead of what the publisher would say */
  readonly says?: Partial<Unsigned>;
  /** instead of those who may */
  readonly signers?: readonly SimKey[];
  /** offered after the roots that there are */
  readonly root?: SignedRoot;
}

export interface SignedRoot {
  readonly envelope: Envelope;
  readonly json: Uint8Array;
}

export interface Publisher {
  readonly issued: Issued[];
  readonly rootFile: Uint8Array;
  epoch: bigint;
  sequence: bigint;
  rootVersion: bigint;
  /** how many keys of the channel have to sign: 1 or 2 */
  signers: number;
  /** Signs the next statement; nothing leaves the desk. */
  issue(choice: Choice, options?: IssueOptions): Issued;
  /** Pushes blobs, then the manifest, then moves the tag. */
  push(issued: Issued): void;
  nudge(issued: Issued, how: Nudging): void;
  /** The tag names this one again. */
  turnBack(issued: Issued): void;
  /** A new root with other channel keys; `epoch` begins a new line. */
  rotate(how: { readonly epoch: boolean; readonly signers?: number }): void;
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
  readonly signers: number;
}

export interface Nudging {
  /** with the envelope, and what it names */
  readonly whole: boolean;
  readonly retain: boolean;
  /** of a whole one: the envelope alone */
  readonly empty?: boolean;
}

interface Desk {
  readonly registry: SimRegistry;
  readonly broker: SimBroker;
  /** from version 1 on, envelopes in JSON */
  readonly roots: SignedRoot[];
}

export function publisher(
  registry: SimRegistry,
  broker: SimBroker,
  from?: PublisherCopy,
): Publisher {
  const first = rootOf({ version: 1n, epoch: 1n, signers: 1 });
  const desk: Desk = { registry, broker, roots: from ? [...from.roots] : [first] };
  const made: Publisher = {
    issued: [...(from?.issued ?? [])],
    rootFile: first.json,
    epoch: from?.epoch ?? 1n,
    sequence: from?.sequence ?? 0n,
    rootVersion: from?.rootVersion ?? 1n,
    signers: from?.signers ?? 1,
    issue: (choice, options = {}) => issue(made, desk, choice, options),
    push(issued) {
      registry.push(CHANNEL, issued.manifest, issued.blobs);
    },
    nudge: (issued, how) => nudge(broker, issued, how),
    turnBack(issued) {
      registry.tags.set(CHANNEL, issued.manifestDigest);
    },
    rotate({ epoch, signers = made.signers }) {
      made.rootVersion += 1n;
      made.signers = signers;
      if (epoch) {
        made.epoch += 1n;
        made.sequence = 0n;
      }
      desk.roots.push(rootOf({ version: made.rootVersion, epoch: made.epoch, signers }));
    },
    bundle: (disk, path, issued) => bundle(disk, path, issued),
    copy: () => ({
      ...{ issued: [...made.issued], roots: [...desk.roots] },
      ...{ epoch: made.epoch, sequence: made.sequence, rootVersion: made.rootVersion },
      signers: made.signers,
    }),
  };
  return made;
}

/** The keys that sign the channel under a version of the root. */
export function channelKeys(version: bigint, signers: number): readonly SimKey[] {
  const first = simKey(`channel ${version}`);
  return signers === 1 ? [first] : [first, simKey(`second ${version}`)];
}

function signed(payloadType: string, payload: Uint8Array, keys: readonly SimKey[]): Envelope {
  const bytes = pae(payloadType, payload);
  const signatures = keys.map((key) => ({ keyid: key.keyid, sig: key.sign(bytes) }));
  return { payloadType, payload, signatures };
}

const rootsMade = new Map<string, SignedRoot>();

interface RootChoice {
  readonly version: bigint;
  readonly epoch: bigint;
  readonly signers: number;
}

/** Two root keys, both needed; the channel's keys change with each version. */
function rootOf({ version, epoch, signers }: RootChoice): SignedRoot {
  const at = `${version}/${epoch}/${signers}`;
  const known = rootsMade.get(at);
  if (known) return known;
  const keys = channelKeys(version, signers);
  const made = signRoot({ version, epoch, keys, signedBy: ROOT_KEYS });
  rootsMade.set(at, made);
  return made;
}

export const ROOT_KEYS: readonly SimKey[] = [simKey('root a'), simKey('root b')];

export interface RootMaking {
  readonly version: bigint;
  readonly epoch: bigint;
  /** all of them have to sign the channel */
  readonly keys: readonly SimKey[];
  readonly signedBy: readonly SimKey[];
}

export function signRoot({ version, epoch, keys, signedBy }: RootMaking): SignedRoot {
  const document = {
    fleet: FLEET,
    version,
    issuedAt: EPOCH_START_MS,
    notAfter: 0,
    keys: [...ROOT_KEYS, ...keys].map(rootKeyOf),
    roles: [
      { name: 'root', threshold: 2, keyids: ROOT_KEYS.map(({ keyid }) => keyid) },
      { name: 'signers', threshold: keys.length, keyids: keys.map(({ keyid }) => keyid) },
    ],
    channels: [{ name: CHANNEL, role: 'signers', epoch }],
    timeReset: null,
    demo: false,
    critical: [],
    tls: null,
  };
  const envelope = signed(PAYLOAD.root, writeRoot(document), signedBy);
  return { envelope, json: writeEnvelope(envelope) };
}

function issue(on: Publisher, desk: Desk, choice: Choice, options: IssueOptions): Issued {
  const cargo = cargoOf(choice);
  const { forged } = options;
  const sequence = options.sequence ?? on.sequence + 1n;
  if (options.sequence === undefined) on.sequence = sequence;
  const { documents } = cargo;
  const policy = {
    urgent: false,
    windows: [],
    spreadMs: 0,
    atomicity: 'state' as 'state' | 'deployment',
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
    ...forged?.says,
  });
  const keys = options.signer ? [options.signer] : channelKeys(on.rootVersion, on.signers);
  const envelope = signed(PAYLOAD.desiredState, payload, forged?.signers ?? keys);
  const json = writeEnvelope(envelope);
  const roots = [...desk.roots.slice(1), ...(forged?.root ? [forged.root] : [])];
  const chain = roots.map((root) => root.json);
  const layers = [
    describe(MEDIA.envelope, json),
    ...chain.map((root) => describe(MEDIA.root, root)),
    ...(documents ? [describe(MEDIA.documents, documents)] : []),
    ...distinct(cargo.blobs),
  ];
  const config = describe(MEDIA.ociEmpty, EMPTY);
  const manifest = writeManifest({ artifactType: MEDIA.artifact, config, layers, annotations: {} });
  const issued: Issued = {
    epoch: forged?.says?.epoch ?? on.epoch,
    sequence,
    digest: sha256(payload),
    wanted: cargo.wanted,
    valid: options.signer === undefined && !forged,
    bad: cargo.bad,
    attemptsMax: policy.attemptsMax,
    inParts: policy.atomicity === 'deployment',
    badIds: cargo.badIds,
    needs: cargo.needs,
    manifest,
    manifestDigest: sha256(manifest),
    envelope,
    cargo,
    blobs: [EMPTY, json, ...chain, ...(documents ? [documents] : []), ...cargo.contents],
    choice,
    allowRemoval: policy.allowRemoval,
    roots,
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

function nudge(broker: SimBroker, issued: Issued, { whole, retain, empty = false }: Nudging): void {
  const { epoch, sequence, digest, manifestDigest, envelope, cargo, roots } = issued;
  const payload = writeNudge({
    channel: CHANNEL,
    epoch,
    sequence,
    stateDigest: digest,
    manifestDigest,
    urgent: false,
    envelope: whole ? envelope : null,
    roots: whole ? roots.map((root) => root.envelope) : [],
    contents:
      whole && !empty ? [...(cargo.documents ? [cargo.documents] : []), ...cargo.contents] : [],
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
