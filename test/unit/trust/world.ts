/**
 * Signed things for the tests of trust: a fleet with keys, a root, statements, and a device that
 * has accepted 1.57 of `stable`. Each helper takes what differs and fills in the rest.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { DesiredState } from '#state/desired-state.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope } from '#state/envelope.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Role, Root, RootKey } from '#state/root.ts';
import type { StatusPoint } from '#state/status.ts';
import { TIME_ROLE, type TimeStatement } from '#state/time-statement.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { viewTime } from '#trust/time.ts';
import type { Offer, Trusted, Verdict } from '#trust/verify.ts';
import { writeDesiredState } from '#wire/desired-state.ts';
import { writeRoot } from '#wire/root.ts';
import { writeTimeStatement } from '#wire/time-statement.ts';

export const DAY = 24 * 3_600_000;
/** 2026-11-23 */
export const NOW = 1_795_392_000_000;
export const FLEET = '00112233445566778899aabbccddeeff';

export interface TestKey {
  readonly keyid: string;
  readonly spki: Uint8Array;
  readonly secret: KeyObject;
}

export function newKey(): TestKey {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const spki = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }));
  return { keyid: keyidOf(spki), spki, secret: privateKey };
}

export const ROOT_KEY = newKey();
export const STABLE_KEY = newKey();
export const CANARY_KEY = newKey();

export function rootKey(key: TestKey, more: Partial<RootKey> = {}): RootKey {
  return {
    keyid: key.keyid,
    scheme: 'ed25519',
    publicKey: key.spki,
    notAfter: 0,
    comment: '',
    ...more,
  };
}

export function role(name: string, keys: readonly TestKey[], threshold = 1): Role {
  return { name, threshold, keyids: keys.map(({ keyid }) => keyid) };
}

export function root(more: Partial<Root> = {}): Root {
  return {
    fleet: FLEET,
    version: 1n,
    issuedAt: NOW - 100 * DAY,
    notAfter: 0,
    keys: [ROOT_KEY, STABLE_KEY, CANARY_KEY].map((key) => rootKey(key)),
    roles: [
      role('root', [ROOT_KEY]),
      role('stable-signers', [STABLE_KEY]),
      role('canary-signers', [CANARY_KEY]),
    ],
    channels: [
      { name: 'stable', role: 'stable-signers', epoch: 1n },
      { name: 'canary', role: 'canary-signers', epoch: 1n },
      { name: 'device.*', role: 'stable-signers', epoch: 1n },
    ],
    timeReset: null,
    demo: false,
    tls: null,
    critical: [],
    ...more,
  };
}

type Statement = Parameters<typeof writeDesiredState>[0];

export function statement(more: Partial<Statement> = {}): Statement {
  return {
    fleet: FLEET,
    channel: 'stable',
    epoch: 1n,
    sequence: 58n,
    previousDigest: null,
    promotedFrom: null,
    issuedAt: NOW - DAY,
    notAfter: 0,
    rootVersion: 1n,
    minAgentVersion: '',
    critical: [],
    audience: { kind: 'everyone' },
    policy: {
      urgent: false,
      windows: [],
      spreadMs: 0,
      atomicity: 'state',
      healthWindowMs: 0,
      attemptsMax: 3,
      allowRemoval: 0n,
      unattestedMaxMs: 0,
      commit: 'healthy',
    },
    deployments: [],
    blobs: [],
    documents: null,
    ...more,
  };
}

/** Deployment references with the documents layer they need. */
export function deploying(
  ...ids: readonly string[]
): Pick<DesiredState, 'deployments' | 'documents'> {
  const deployments = ids.map((id) => {
    const digest = sha256(new TextEncoder().encode(id));
    return { id, digest, size: 10, mediaType: 'application/vnd.holdfast.deployment.v1+yaml' };
  });
  return { deployments, documents: { digest: sha256(new Uint8Array()), size: 1024 } };
}

export function signed(
  payload: Uint8Array,
  keys: readonly TestKey[],
  payloadType: string = PAYLOAD.desiredState,
): Envelope {
  const message = pae(payloadType, payload);
  const signatures = keys.map(({ keyid, secret }) => ({
    keyid,
    sig: new Uint8Array(sign(null, message, secret)),
  }));
  return { payloadType, payload, signatures };
}

export function signedState(more: Partial<Statement> = {}, keys = [STABLE_KEY]): Envelope {
  return signed(writeDesiredState(statement(more)), keys);
}

export function signedRoot(more: Partial<Root> = {}, keys = [ROOT_KEY]): Envelope {
  return signed(writeRoot(root(more)), keys, PAYLOAD.root);
}

export const TIME_KEY = newKey();

/** A root whose role `time` has a key of its own. */
export function rootWithTime(more: Partial<Root> = {}): Root {
  const { keys, roles } = root();
  return root({
    keys: [...keys, rootKey(TIME_KEY)],
    roles: [...roles, role(TIME_ROLE, [TIME_KEY])],
    ...more,
  });
}

/** For everyone, at NOW. */
export function signedTime(more: Partial<TimeStatement> = {}, keys = [TIME_KEY]): Envelope {
  const statement: TimeStatement = {
    fleet: FLEET,
    at: NOW,
    nonce: new Uint8Array(),
    deviceId: '',
    heads: [],
    rootVersion: 1n,
    notAfter: 0,
    critical: [],
    ...more,
  };
  return signed(writeTimeStatement(statement), keys, PAYLOAD.time);
}

export function digestOf(envelope: Envelope): Digest {
  return sha256(envelope.payload);
}

export function accepted(epoch: bigint, sequence: bigint, digest: Digest): StatusPoint {
  return { epoch, sequence, stateDigest: digest, at: NOW - DAY };
}

/** What the device accepted and applied: 1.57. */
export const CURRENT = signedState({ sequence: 57n });
export const FLOOR = accepted(1n, 57n, digestOf(CURRENT));

export function trusted(more: Partial<Trusted> = {}): Trusted {
  return {
    root: root(),
    channel: 'stable',
    floor: FLOOR,
    appliedDigest: FLOOR.stateDigest,
    rejected: new Map(),
    time: viewTime({ floorMs: NOW - 30 * DAY, wallMs: NOW }),
    clock: 'lenient',
    device: { id: 'press-7', labels: { site: 'a', line: '4' } },
    agentVersion: '0.1.0',
    allowDemo: false,
    appliedPoint: FLOOR,
    appliedIds: [],
    ...more,
  };
}

export function offer(envelope: Uint8Array | Envelope, more: Partial<Offer> = {}): Offer {
  return { envelope, roots: [], via: 'registry', sourceHighest: null, ...more };
}

/** `accept`, or `refused trust.rollback attack`: a verdict in one word or three. */
export function verdictText(verdict: Verdict): string {
  if (verdict.kind !== 'refused' && verdict.kind !== 'waiting') return verdict.kind;
  return `${verdict.kind} ${verdict.fault.code}${verdict.attack ? ' attack' : ''}`;
}
