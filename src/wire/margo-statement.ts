/**
 * A signed Margo manifest as a statement of ours (DESIGN section 4, `authority: signature`): the payload is
 * the manifest itself, its media type the payload type, channel `margo`, epoch 1, manifestVersion the
 * sequence, its SHA-256 the state digest. What Margo has no member for stands under
 * `x-holdfast-extensions` and is ignored by everyone else: fleet, times, the root's version, the mark
 * that allows a removal. All of them may be missing: then only the signature binds it.
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { DesiredState } from '#state/desired-state.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { MARGO_MEDIA, type MargoManifest } from '#state/margo.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { isFleet } from '#state/names.ts';
import type { Policy } from '#state/policy.ts';
import { readDesiredState, type Unsigned, writeDesiredState } from './desired-state.ts';
import { readMargoManifest, writeMargoManifest } from './margo-manifest.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from './strict-json.ts';

export const MARGO_LINE = 'margo';
const OURS = 'x-holdfast-extensions';
const PREFIX = '/api/v1/';

/** What a manifest says nothing of. */
const POLICY: Policy = {
  urgent: false,
  windows: [],
  spreadMs: 0,
  atomicity: 'state',
  healthWindowMs: 0,
  attemptsMax: LIMITS.attemptsMaxDefault,
  allowRemoval: 0n,
  unattestedMaxMs: 0,
  commit: 'healthy',
};

/** The payload type that the statements of a channel have. */
export function payloadTypeOf(channel: string): string {
  return channel === MARGO_LINE ? MARGO_MEDIA.manifest : PAYLOAD.desiredState;
}

/** Of either kind; its form alone. @returns fleet empty: it names none */
export function readStatement({
  payloadType,
  payload,
}: {
  readonly payloadType: string;
  readonly payload: Uint8Array;
}): Result<DesiredState> {
  return payloadType === MARGO_MEDIA.manifest
    ? readMargoStatement(payload)
    : readDesiredState(payload);
}

/** The same statement always gives the same bytes; `documents` is the bundle. */
export function writeStatement(unsigned: Unsigned): Uint8Array {
  return unsigned.channel === MARGO_LINE
    ? writeMargoStatement(unsigned)
    : writeDesiredState(unsigned);
}

function readMargoStatement(payload: Uint8Array): Result<DesiredState> {
  const manifest = readMargoManifest(payload);
  if (!manifest.ok) return manifest;
  const json = readStrictJson(payload, 'the manifest', 'digits');
  if (!json.ok) return json;
  const members = isJsonObject(json.value) ? json.value : {};
  const said = extensionOf(members[OURS]);
  if (!said.ok) return said;
  return ok(stateOf(payload, manifest.value, { ...said.value, size: bundleSize(members.bundle) }));
}

interface Said {
  readonly fleet: string;
  readonly issuedAt: number;
  readonly notAfter: number;
  readonly rootVersion: bigint;
  readonly allowRemoval: bigint;
}

function stateOf(
  payload: Uint8Array,
  { version, bundle, deployments, blobs }: MargoManifest,
  { size, allowRemoval, ...said }: Said & { readonly size: number },
): DesiredState {
  return {
    ...said,
    channel: MARGO_LINE,
    point: { epoch: 1n, sequence: version, digest: sha256(payload) },
    previousDigest: null,
    promotedFrom: null,
    minAgentVersion: '',
    critical: [],
    audience: { kind: 'everyone' },
    policy: { ...POLICY, allowRemoval },
    deployments: deployments.map(({ id, digest, sizeHint }) => ({
      ...{ id, digest, size: sizeHint, mediaType: MARGO_MEDIA.document },
    })),
    blobs,
    documents: bundle && { digest: bundle, size },
  };
}

/** A hint, as Margo has it: what comes is counted and hashed. */
function bundleSize(bundle: Json | undefined): number {
  const size = isJsonObject(bundle) ? bundle.sizeBytes : 0;
  return typeof size === 'number' && Number.isSafeInteger(size) && size >= 0 ? size : 0;
}

function extensionOf(value: Json | undefined): Result<Said> {
  const from: JsonObject = isJsonObject(value) ? value : {};
  const { fleet = '', issuedAt = 0, notAfter = 0, rootVersion = 0, allowRemoval = 0 } = from;
  if (typeof fleet !== 'string' || (fleet !== '' && !isFleet(fleet))) {
    return no('fleet', 'expected 32 hex digits');
  }
  const times = [issuedAt, notAfter].map(timeOf);
  const [issued = null, ends = null] = times;
  if (issued === null || ends === null) return no('notAfter', 'expected Unix milliseconds');
  const [version, removal] = [rootVersion, allowRemoval].map(numberOf);
  if (version === undefined || removal === undefined || version === null || removal === null) {
    return no('rootVersion', 'expected a whole number');
  }
  return ok({
    ...{ fleet, issuedAt: issued, notAfter: ends },
    ...{ rootVersion: version, allowRemoval: removal },
  });
}

function timeOf(value: Json): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

function numberOf(value: Json): bigint | null {
  if (typeof value === 'bigint') return value >= 0n && value < 2n ** 64n ? value : null;
  const whole = timeOf(value);
  return whole === null ? null : BigInt(whole);
}

function writeMargoStatement(unsigned: Unsigned): Uint8Array {
  const { fleet, issuedAt, notAfter, rootVersion, policy, documents, deployments } = unsigned;
  const manifest = writeMargoManifest({
    ...{ version: unsigned.sequence, bundle: documents, blobs: unsigned.blobs, prefix: PREFIX },
    deployments,
  });
  const text = new TextDecoder().decode(manifest);
  const own = `"fleet":${JSON.stringify(fleet)},"issuedAt":${issuedAt},"notAfter":${notAfter},"rootVersion":${rootVersion},"allowRemoval":${policy.allowRemoval}`;
  const at = `"${OURS}":{`;
  // Digits beyond 2^53 have no JSON writer here; ours come first among our own members.
  const whole = text.includes(at)
    ? text.replace(at, `${at}${own},`)
    : `${text.slice(0, -1)},${at}${own}}}`;
  return new TextEncoder().encode(whole);
}

function no(member: string, reason: string): Refused {
  return refuse('margo.manifest', { pointer: `/${OURS}/${member}`, reason });
}
