/**
 * A Margo manifest with its documents as a state of ours: channel `margo`, epoch 1, manifestVersion the
 * sequence, the manifest's SHA-256 the state digest. It is kept like a statement, in an envelope that
 * nobody signed: its authority is the manager's TLS identity (decision 0024). A deployment that this
 * device cannot run is left out and told as failed; the others go on (M52, M55). Pure: the same bytes
 * give the same state, also after a restart without a network.
 */
import { type Fault, fault, ok, type Result, refuse } from '#errors/fault.ts';
import type { Allow } from '#plan/allow.ts';
import { isEligible } from '#plan/margo-eligibility.ts';
import { planChange } from '#plan/plan.ts';
import type { BlobRef, DeploymentRef, DesiredState } from '#state/desired-state.ts';
import type { DeviceFacts } from '#state/device.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import {
  MARGO_MEDIA,
  type MargoCapabilities,
  type MargoManifest,
  type MargoRef,
} from '#state/margo.ts';
import type { Fleet } from '#state/names.ts';
import type { Point } from '#state/point.ts';
import type { Policy } from '#state/policy.ts';
import { blobNames, readDeployment } from '#wire/deployment.ts';
import { readDocuments, writeDocuments } from '#wire/documents.ts';
import { type MargoDocumentFacts, readMargoFacts } from '#wire/margo-document.ts';
import { readMargoManifest } from '#wire/margo-manifest.ts';
import { quote } from '#wire/quote.ts';
import { judgeChild } from './margo-child-rules.ts';

export const MARGO_CHANNEL = 'margo';
const EPOCH = 1n;

/** What this device is to Margo, and what its owner lets the manager do. */
export interface MargoSelf {
  readonly fleet: Fleet;
  readonly capabilities: MargoCapabilities;
  readonly device: DeviceFacts;
  readonly allow: Allow;
  readonly policy: Policy;
  /** what the children of this gateway can do, by full id; absent: it is none */
  readonly children?: ReadonlyMap<string, MargoCapabilities>;
  /** it hosts nothing itself */
  readonly relay?: boolean;
  /** the manifest is signed for many devices at once: what is for another one is none of ours */
  readonly shared?: boolean;
}

export interface MargoDeployment {
  readonly id: string;
  readonly digest: Digest;
  readonly facts: MargoDocumentFacts;
  /** why it is not run here; null: it is */
  readonly refused: Fault | null;
  /** full id of the child that it is handed to; absent: it is for this device */
  readonly child?: string;
}

export interface MargoState {
  readonly state: DesiredState;
  /** the documents layer, exact bytes; null: nothing is deployed */
  readonly layer: Uint8Array | null;
  /** all that the manifest lists */
  readonly deployments: readonly MargoDeployment[];
}

export function margoEnvelope(manifest: Uint8Array): Envelope {
  return { payloadType: MARGO_MEDIA.manifest, payload: manifest, signatures: [] };
}

export function isMargo({ payloadType }: Pick<Envelope, 'payloadType'>): boolean {
  return payloadType === MARGO_MEDIA.manifest;
}

/** Of a manifest that was accepted before; null: it does not read. */
export function margoPoint({ payload }: Pick<Envelope, 'payload'>): Point | null {
  const manifest = readMargoManifest(payload);
  if (!manifest.ok) return null;
  return { epoch: EPOCH, sequence: manifest.value.version, digest: sha256(payload) };
}

/** From a statement's file: what was accepted before. */
export function keptMargoState(
  { envelope, documents }: { readonly envelope: Envelope; readonly documents: Uint8Array | null },
  self: MargoSelf,
): Result<MargoState> {
  const manifest = readMargoManifest(envelope.payload);
  if (!manifest.ok) return manifest;
  const read = documents ? readDocuments(documents) : ok(new Map<Digest, Uint8Array>());
  return read.ok ? margoState(self, envelope.payload, manifest.value, read.value) : read;
}

export function margoState(
  self: MargoSelf,
  bytes: Uint8Array,
  manifest: MargoManifest,
  documents: ReadonlyMap<Digest, Uint8Array>,
): Result<MargoState> {
  const refs: DeploymentRef[] = [];
  const deployments: MargoDeployment[] = [];
  const base = emptyState(self, bytes, manifest);
  const blobs = new Map(manifest.blobs.map((blob) => [blob.name, blob]));
  for (const ref of manifest.deployments) {
    const document = documents.get(ref.digest);
    if (!document) return refuse('margo.not-served', { what: `the document of ${ref.id}` });
    const judged = judge(self, base, ref, document);
    if (!judged.ok) return judged;
    const { refused } = judged.value;
    if (self.shared === true && refused?.code === 'margo.not-this-device') continue;
    deployments.push(judged.value);
    const twice = judged.value.facts.blobs.find((blob) => isOther(blobs.get(blob.name), blob));
    if (twice)
      return refuse('margo.manifest', {
        pointer: `/deployments/${ref.id}`,
        reason: `${quote(twice.name)} is two contents`,
      });
    for (const blob of judged.value.facts.blobs) blobs.set(blob.name, blob);
    const { id, digest } = ref;
    const mediaType = MARGO_MEDIA.document;
    if (!refused && !judged.value.child)
      refs.push({ id, digest, size: document.length, mediaType });
  }
  const listed = manifest.deployments.flatMap(({ digest }) => documents.get(digest) ?? []);
  const layer = listed.length > 0 ? writeDocuments(listed) : null;
  const state: DesiredState = {
    ...base,
    deployments: refs,
    blobs: [...blobs.values()],
    documents: layer && { digest: sha256(layer), size: layer.length },
  };
  return ok({ state, layer, deployments });
}

/** Of a manifest that does not read as a whole: what is wrong with which, as far as that can be told. */
export function readableOf(
  self: MargoSelf,
  bytes: Uint8Array,
  manifest: MargoManifest,
  documents: ReadonlyMap<Digest, Uint8Array>,
): readonly MargoDeployment[] {
  const base = emptyState(self, bytes, manifest);
  return manifest.deployments.flatMap(({ id, digest, ...rest }) => {
    const document = documents.get(digest);
    const judged = document && judge(self, base, { id, digest, ...rest }, document);
    if (!document || !judged) return [];
    const refused = judged.ok ? judged.value.refused : judged.fault;
    // What is for another device is not this one's to tell.
    if (self.shared === true && refused?.code === 'margo.not-this-device') return [];
    if (judged.ok) return [judged.value];
    const read = readMargoFacts(document, `${id}.yaml`);
    const facts = read.ok ? read.value : { ...UNREAD, name: id };
    return [{ id, digest, facts, refused }];
  });
}

const UNREAD: MargoDocumentFacts = {
  ...{ name: '', deviceId: null, type: '', components: [], unpinned: null, rules: [], blobs: [] },
};

/** Names of blobs are those of the whole state: two documents may not mean two things by one. */
function isOther(known: BlobRef | undefined, blob: BlobRef): boolean {
  return known !== undefined && known.digest !== blob.digest;
}

function emptyState(self: MargoSelf, bytes: Uint8Array, manifest: MargoManifest): DesiredState {
  return {
    fleet: self.fleet,
    channel: MARGO_CHANNEL,
    point: { epoch: EPOCH, sequence: manifest.version, digest: sha256(bytes) },
    previousDigest: null,
    promotedFrom: null,
    issuedAt: 0,
    notAfter: 0,
    rootVersion: 0n,
    minAgentVersion: '',
    critical: [],
    audience: { kind: 'everyone' },
    policy: self.policy,
    deployments: [],
    blobs: manifest.blobs,
    documents: null,
  };
}

/** A document that does not read refuses the whole manifest (M47, M48); one that does not fit, itself. */
function judge(
  self: MargoSelf,
  base: DesiredState,
  { id, digest }: MargoRef,
  bytes: Uint8Array,
): Result<MargoDeployment> {
  const file = `${id}.yaml`;
  const deployment = readDeployment(bytes, MARGO_MEDIA.document, { id, file });
  if (!deployment.ok) return deployment;
  const facts = readMargoFacts(bytes, file);
  if (!facts.ok) return facts;
  const made = (refused: Fault | null) => ok({ id, digest, facts: facts.value, refused });
  const { deviceId, rules, type, unpinned } = facts.value;
  const own = self.capabilities.properties.id;
  if (deviceId !== null && deviceId !== own) {
    const { child, refused } = judgeChild(own, self.children ?? new Map(), id, facts.value);
    return ok({ id, digest, facts: facts.value, refused, ...(child !== null && { child }) });
  }
  if (unpinned !== null) {
    return made(fault('margo.package-unpinned', { deployment: id, component: unpinned }));
  }
  if (self.relay === true) return made(fault('margo.unsupported', { deployment: id, type }));
  // M55
  const offered = self.capabilities.properties.supportedDeploymentTypes ?? [];
  if (deployment.value.profile.kind === 'other' && !(type !== 'custom' && offered.includes(type))) {
    return made(fault('margo.unsupported', { deployment: id, type }));
  }
  if (!isEligible(rules, self.capabilities)) {
    const reason = 'none of its eligibility rules matches';
    return made(fault('margo.not-eligible', { deployment: id, reason }));
  }
  const document = {
    deployment: { ...deployment.value, dependsOn: [] },
    blobNames: blobNames(deployment.value),
    ...{ digest, mediaType: MARGO_MEDIA.document },
  };
  const known = new Map([...base.blobs, ...facts.value.blobs].map((blob) => [blob.name, blob]));
  const alone = {
    state: { ...base, blobs: [...known.values()] },
    documents: [document],
    current: [],
  };
  const planned = planChange({ ...alone, device: self.device, allow: self.allow });
  // Values of this device may come: then the whole waits, as on every channel.
  const waits = planned.ok || planned.fault.code.startsWith('values.');
  return made(waits ? null : planned.fault);
}
