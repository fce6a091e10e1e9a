/**
 * The signed statement: payload bytes ↔ `state/desired-state`. Called only after the signatures
 * counted (check 11). Form only: whose it is, how new and for whom is trust/verify.ts. What stands
 * twice, is empty where it must not be, or is an unknown choice is refused (checks 11 and 12).
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type {
  Audience,
  BlobRef,
  DeploymentRef,
  DesiredState,
  LabelMatch,
} from '#state/desired-state.ts';
import { type Digest, digestToBytes, sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MEDIA } from '#state/media-types.ts';
import { isDeviceId, isId } from '#state/names.ts';
import type { Policy, Window } from '#state/policy.ts';
import { type FieldCheck, fieldCheck, fleetToBytes } from './field-check.ts';
import {
  Atomicity,
  Commit,
  DesiredStateSchema,
  DevicesSchema,
  type Audience as ProtoAudience,
  type Blob as ProtoBlob,
  type Deployment as ProtoDeployment,
  type DesiredState as ProtoDesiredState,
  type Match as ProtoMatch,
  type Policy as ProtoPolicy,
  type Window as ProtoWindow,
  SelectorSchema,
} from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';

const SPEC_VERSION = 1;
/** characters */
const TEXT_MAX = 255;
const VERSION_MAX = 128;
const BLOB_NAME_MAX = 1_024;
/** more tries of one activation help nobody (invariant I6) */
const ATTEMPTS_MAX = 1_000;
const TIME_ZONE = /^[A-Za-z0-9_+-]{1,32}(?:\/[A-Za-z0-9_+-]{1,32}){0,2}$/;
const START = /^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/;

/** @param payload  of the envelope; its SHA-256 becomes the state digest */
export function readDesiredState(payload: Uint8Array): Result<DesiredState> {
  const message = readMessage(DesiredStateSchema, payload, 'statement', LIMITS.envelopeBytes);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the statement', found: from.specVersion });
  }
  const check = fieldCheck();
  const state = readFields(check, from, payload);
  const problem = check.problem();
  return problem === null ? ok(state) : refuse('format.desired-state', problem);
}

/** A statement before it is signed: its digest is that of the bytes made here. */
export type Unsigned = Omit<DesiredState, 'point'> & {
  readonly epoch: bigint;
  readonly sequence: bigint;
};

/** The same statement always gives the same bytes. */
export function writeDesiredState(state: Unsigned): Uint8Array {
  const message = create(DesiredStateSchema, {
    specVersion: SPEC_VERSION,
    fleet: fleetToBytes(state.fleet),
    channel: state.channel,
    epoch: state.epoch,
    sequence: state.sequence,
    previousDigest: bytesOrNone(state.previousDigest),
    promotedFrom: bytesOrNone(state.promotedFrom),
    issuedAt: BigInt(state.issuedAt),
    notAfter: BigInt(state.notAfter),
    rootVersion: state.rootVersion,
    minAgentVersion: state.minAgentVersion,
    critical: [...state.critical],
    audience: { who: audienceToProto(state.audience) },
    policy: policyToProto(state.policy),
    deployments: state.deployments.map(({ id, digest, size, mediaType }) => ({
      id,
      digest: digestToBytes(digest),
      size: BigInt(size),
      mediaType,
    })),
    blobs: state.blobs.map(({ name, mediaType, digest, size, unpackedSize }) => ({
      name,
      mediaType,
      digest: digestToBytes(digest),
      size: BigInt(size),
      unpackedSize: BigInt(unpackedSize),
    })),
    ...(state.documents ? { documents: documentsToProto(state.documents) } : {}),
  });
  return toBinary(DesiredStateSchema, message);
}

function bytesOrNone(digest: Digest | null): Uint8Array {
  return digest === null ? new Uint8Array() : digestToBytes(digest);
}

function documentsToProto(documents: { readonly digest: Digest; readonly size: number }) {
  return { digest: digestToBytes(documents.digest), size: BigInt(documents.size) };
}

function audienceToProto(audience: Audience) {
  switch (audience.kind) {
    case 'everyone':
      return { case: 'everyone' as const, value: true };
    case 'devices':
      return { case: 'devices' as const, value: create(DevicesSchema, { ids: [...audience.ids] }) };
    case 'selector': {
      const allOf = audience.allOf.map(({ key, values }) => ({ key, values: [...values] }));
      return { case: 'selector' as const, value: create(SelectorSchema, { allOf }) };
    }
  }
}

function policyToProto(policy: Policy) {
  return {
    urgent: policy.urgent,
    windows: policy.windows.map(({ weekdays, start, durationMs, timeZone }) => ({
      weekdays: [...weekdays],
      start,
      durationMs: BigInt(durationMs),
      timeZone,
    })),
    spreadMs: BigInt(policy.spreadMs),
    atomicity: policy.atomicity === 'state' ? Atomicity.STATE : Atomicity.DEPLOYMENT,
    healthWindowMs: BigInt(policy.healthWindowMs),
    attemptsMax: policy.attemptsMax,
    allowRemoval: policy.allowRemoval,
    unattestedMaxMs: BigInt(policy.unattestedMaxMs),
    commit: policy.commit === 'reachable' ? Commit.REACHABLE : Commit.UNSPECIFIED,
  };
}

function readFields(check: FieldCheck, from: ProtoDesiredState, payload: Uint8Array): DesiredState {
  check.require(isId(from.channel), 'channel', 'not a channel id');
  check.require(from.epoch >= 1n, 'epoch', 'it starts at 1');
  check.require(from.sequence >= 1n, 'sequence', 'it starts at 1');
  if (from.minAgentVersion !== '') {
    check.text('min_agent_version', from.minAgentVersion, VERSION_MAX);
  }
  return {
    fleet: check.fleet('fleet', from.fleet),
    channel: from.channel,
    point: { epoch: from.epoch, sequence: from.sequence, digest: sha256(payload) },
    previousDigest: check.digestOrNull('previous_digest', from.previousDigest),
    promotedFrom: check.digestOrNull('promoted_from', from.promotedFrom),
    issuedAt: check.time('issued_at', from.issuedAt),
    notAfter: check.time('not_after', from.notAfter),
    rootVersion: from.rootVersion,
    minAgentVersion: from.minAgentVersion,
    critical: from.critical,
    audience: readAudience(check, from.audience),
    policy: readPolicy(check, from.policy),
    deployments: readDeployments(check, from.deployments),
    blobs: readBlobs(check, from.blobs),
    documents: readDocumentsRef(check, from),
  };
}

/** Check 12: none set, or an empty list in it, refuses (row R12). */
function readAudience(check: FieldCheck, audience: ProtoAudience | undefined): Audience {
  const who = audience?.who;
  switch (who?.case) {
    case 'everyone':
      check.require(who.value, 'audience', 'empty: everyone is false');
      return { kind: 'everyone' };
    case 'devices':
      check.require(who.value.ids.length > 0, 'audience.devices', 'empty');
      for (const id of who.value.ids) {
        check.require(isDeviceId(id), 'audience.devices', 'holds what is no device id');
      }
      check.distinct('audience.devices', who.value.ids);
      return { kind: 'devices', ids: who.value.ids };
    case 'selector':
      check.require(who.value.allOf.length > 0, 'audience.selector', 'empty');
      return { kind: 'selector', allOf: who.value.allOf.map((match) => readMatch(check, match)) };
    default:
      check.fail('audience', 'empty: name everyone, devices or a selector');
      return { kind: 'devices', ids: [] };
  }
}

function readMatch(check: FieldCheck, match: ProtoMatch): LabelMatch {
  const field = 'audience.selector';
  check.require(match.values.length > 0, field, 'a label has no values to match');
  for (const value of match.values) check.text(field, value, TEXT_MAX);
  check.distinct(field, match.values);
  return { key: check.text(field, match.key, TEXT_MAX), values: match.values };
}

function readPolicy(check: FieldCheck, policy: ProtoPolicy | undefined): Policy {
  const attempts = policy?.attemptsMax ?? 0;
  const windows = policy?.windows ?? [];
  check.require(windows.length <= LIMITS.windowsMax, 'policy.windows', `${windows.length}`);
  check.require(attempts <= ATTEMPTS_MAX, 'policy.attempts_max', `above ${ATTEMPTS_MAX}`);
  return {
    urgent: policy?.urgent ?? false,
    windows: windows
      .slice(0, LIMITS.windowsMax)
      .map((window, index) => readWindow(check, window, index)),
    spreadMs: check.duration('policy.spread_ms', policy?.spreadMs ?? 0n),
    atomicity: readAtomicity(check, policy?.atomicity ?? Atomicity.UNSPECIFIED),
    healthWindowMs: check.duration('policy.health_window_ms', policy?.healthWindowMs ?? 0n),
    attemptsMax: attempts === 0 ? LIMITS.attemptsMaxDefault : attempts,
    allowRemoval: policy?.allowRemoval ?? 0n,
    unattestedMaxMs: check.size(
      'policy.unattested_max_ms',
      policy?.unattestedMaxMs ?? 0n,
      0,
      LIMITS.unattestedMs,
    ),
    commit: readCommit(check, policy?.commit ?? Commit.UNSPECIFIED),
  };
}

function readCommit(check: FieldCheck, commit: number): Policy['commit'] {
  if (commit === Commit.UNSPECIFIED || commit === Commit.HEALTHY) return 'healthy';
  check.require(commit === Commit.REACHABLE, 'policy.commit', 'an unknown choice');
  return 'reachable';
}

function readAtomicity(check: FieldCheck, atomicity: number): Policy['atomicity'] {
  if (atomicity === Atomicity.UNSPECIFIED || atomicity === Atomicity.STATE) return 'state';
  check.require(atomicity === Atomicity.DEPLOYMENT, 'policy.atomicity', 'an unknown choice');
  return 'deployment';
}

function readWindow(check: FieldCheck, window: ProtoWindow, index: number): Window {
  const at = `policy.windows[${index}]`;
  const { weekdays, start, timeZone } = window;
  const days = weekdays.every((day) => day >= 1 && day <= 7);
  check.require(days && new Set(weekdays).size === weekdays.length, `${at}.weekdays`, 'not 1 to 7');
  check.require(START.test(start), `${at}.start`, 'not a time of day such as "02:30"');
  check.require(window.durationMs > 0n, `${at}.duration_ms`, 'not above 0');
  check.require(TIME_ZONE.test(timeZone), `${at}.time_zone`, 'not an IANA name');
  const durationMs = check.duration(`${at}.duration_ms`, window.durationMs);
  return { weekdays, start, durationMs, timeZone };
}

function readDeployments(
  check: FieldCheck,
  deployments: readonly ProtoDeployment[],
): readonly DeploymentRef[] {
  const count = deployments.length;
  check.require(
    count <= LIMITS.deploymentsMax,
    'deployments',
    `${count}; at most ${LIMITS.deploymentsMax}`,
  );
  const read = deployments.map((deployment, index): DeploymentRef => {
    const at = `deployments[${index}]`;
    check.require(isId(deployment.id), `${at}.id`, 'not a deployment id');
    return {
      id: deployment.id,
      digest: check.digest(`${at}.digest`, deployment.digest),
      size: check.size(`${at}.size`, deployment.size, 1, LIMITS.documentBytes),
      mediaType: check.text(`${at}.media_type`, deployment.mediaType, TEXT_MAX),
    };
  });
  check.distinct(
    'deployments.id',
    read.map(({ id }) => id),
  );
  oneSizeEach(check, 'deployments', read);
  return read;
}

function readBlobs(check: FieldCheck, blobs: readonly ProtoBlob[]): readonly BlobRef[] {
  check.require(
    blobs.length <= LIMITS.layersMax,
    'blobs',
    `${blobs.length}; at most ${LIMITS.layersMax}`,
  );
  const read = blobs.map((blob, index) => readBlob(check, blob, `blobs[${index}]`));
  check.distinct(
    'blobs.name',
    read.map(({ name }) => name),
  );
  oneSizeEach(check, 'blobs', read);
  return read;
}

/** A file's unpacked size is its size, written or not; an empty archive is no tree (row C07). */
function readBlob(check: FieldCheck, blob: ProtoBlob, at: string): BlobRef {
  const tree = blob.mediaType === MEDIA.tree;
  check.require(tree || blob.mediaType === MEDIA.file, `${at}.media_type`, 'neither file nor tree');
  const size = check.size(`${at}.size`, blob.size, tree ? 1 : 0, LIMITS.blobBytes);
  const unpacked = check.size(`${at}.unpacked_size`, blob.unpackedSize, 0, LIMITS.blobBytes);
  check.require(
    tree || unpacked === 0 || unpacked === size,
    `${at}.unpacked_size`,
    'not the size of the file',
  );
  return {
    name: check.text(`${at}.name`, blob.name, BLOB_NAME_MAX),
    mediaType: blob.mediaType,
    digest: check.digest(`${at}.digest`, blob.digest),
    size,
    unpackedSize: tree ? unpacked : size,
  };
}

/** One content has one size and one type, however many names it has. */
function oneSizeEach(
  check: FieldCheck,
  field: string,
  refs: readonly { readonly digest: string; readonly size: number; readonly mediaType: string }[],
): void {
  const known = new Map<string, string>();
  for (const { digest, size, mediaType } of refs) {
    const shape = `${size} ${mediaType}`;
    check.require(
      (known.get(digest) ?? shape) === shape,
      field,
      `${digest} has two sizes or types`,
    );
    known.set(digest, shape);
  }
}

function readDocumentsRef(check: FieldCheck, from: ProtoDesiredState): DesiredState['documents'] {
  const { documents, deployments } = from;
  if (documents === undefined) {
    check.require(deployments.length === 0, 'documents', 'missing, but there are deployments');
    return null;
  }
  return {
    digest: check.digest('documents.digest', documents.digest),
    size: check.size('documents.size', documents.size, 1, LIMITS.documentsBytes),
  };
}
