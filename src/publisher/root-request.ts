/**
 * The request: one file with the exact payload of the next root, what it follows, and the signatures
 * so far. It travels by mail or USB to people who have nothing but a root key, and back. It is a DSSE
 * envelope with two members more, so any DSSE signer can sign it: `previous`, the root before it, and
 * `summary`, which is for eyes only. What a person is asked to sign is always read from the payload.
 *
 * Invariant: a request that was read holds a sound root that follows `previous` by one version.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Signer } from '#platform/signer.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { Envelope, Signature } from '#state/envelope.ts';
import { LIMITS } from '#state/limits.ts';
import { PAYLOAD } from '#state/media-types.ts';
import type { Root, RootKey } from '#state/root.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { readSignatureFile } from '#trust/formats/signature-file.ts';
import { openRoot } from '#trust/root-chain.ts';
import { ROOT_ROLE, whyBackwards, whyUnsound } from '#trust/root-sound.ts';
import { rulesOf } from '#trust/scheme.ts';
import { countSigners } from '#trust/threshold.ts';
import { readEnvelope, writeEnvelope } from '#wire/envelope.ts';
import { readRoot } from '#wire/root.ts';
import { isJsonObject, readStrictJson } from '#wire/strict-json.ts';
import { decodeText, encodeText } from '#wire/text.ts';
import { changesBetween, changeText } from './root-diff.ts';
import { keyNames } from './root-names.ts';

export interface RootRequest {
  readonly envelope: Envelope;
  readonly root: Root;
  readonly previous: Root;
  /** the envelope of `previous`, as the file has it */
  readonly previousBytes: Uint8Array;
  /** of the payload: what two people compare by telephone */
  readonly digest: Digest;
}

/** How far the signatures of one root's keys have come. */
export interface Progress {
  readonly version: bigint;
  readonly threshold: number;
  /** names of keys */
  readonly signed: readonly string[];
  readonly missing: readonly string[];
}

export function writeRequest({ envelope, root, previous, previousBytes }: RootRequest): Uint8Array {
  const text = (bytes: Uint8Array) => JSON.parse(decodeText(bytes) ?? 'null') as object;
  const summary = [
    `fleet ${root.fleet}, root version ${previous.version} → ${root.version}`,
    ...changesBetween(previous, root).map(changeText),
  ];
  const signed = text(writeEnvelope(envelope));
  return encodeText(
    `${JSON.stringify({ ...signed, summary, previous: text(previousBytes) }, null, 1)}\n`,
  );
}

/** @param file  for messages */
export function readRequest(bytes: Uint8Array, file: string): Result<RootRequest> {
  const no = (reason: string) => refuse('publish.root-request', { file, reason });
  const envelope = readEnvelope(bytes);
  if (!envelope.ok) return envelope;
  if (envelope.value.payloadType !== PAYLOAD.root) return no('it holds no root document');
  if (envelope.value.payload.length > LIMITS.rootBytes) return no('its root is too large');
  const root = readRoot(envelope.value.payload);
  if (!root.ok) return root;
  const json = readStrictJson(bytes, file);
  if (!json.ok) return json;
  const before = isJsonObject(json.value) ? json.value.previous : undefined;
  if (!before || !isJsonObject(before)) return no('it does not hold the root before it');
  const previousBytes = encodeText(JSON.stringify(before, (_, value) => plain(value)));
  const previous = openRoot(previousBytes);
  if (!previous.ok) return previous;
  const wrong = whyNotNext(previous.value, root.value);
  if (wrong !== null) return no(wrong);
  return ok({
    envelope: envelope.value,
    root: root.value,
    previous: previous.value,
    previousBytes,
    digest: sha256(envelope.value.payload),
  });
}

/** A number that no double holds comes as a bigint; an envelope has none. */
function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}

function whyNotNext(previous: Root, root: Root): string | null {
  if (root.fleet !== previous.fleet) return 'it is of another fleet than the root before it';
  if (root.version !== previous.version + 1n) {
    return `version ${root.version} does not follow version ${previous.version}`;
  }
  return whyUnsound(root) ?? whyBackwards(previous, root);
}

/**
 * The file says itself what it follows; a signer with a root of his own need not believe it.
 * @param own  the bytes of that root
 */
export function judgeFollows(
  { previousBytes }: RootRequest,
  own: Uint8Array,
  names: { readonly file: string; readonly against: string },
): Result<undefined> {
  const root = openRoot(own);
  if (!root.ok) return root;
  const [held, follows] = [readEnvelope(own), readEnvelope(previousBytes)];
  const same =
    held.ok && follows.ok && Buffer.compare(held.value.payload, follows.value.payload) === 0;
  if (same) return ok();
  const reason = `it does not follow ${names.against}, version ${root.value.version}`;
  return refuse('publish.root-request', { file: names.file, reason });
}

/** Of the root before it, which must agree; then of the new one, whose keys must be there. */
export function progressOf(request: RootRequest): readonly [Progress, Progress] {
  const { previous, root } = request;
  return [progressBy(request, previous), progressBy(request, root)];
}

function progressBy({ envelope }: RootRequest, by: Root): Progress {
  const role = by.roles.find(({ name }) => name === ROOT_ROLE);
  const keys = rootKeys(by);
  const nameOf = keyNames(by);
  const has = ({ keyid }: RootKey) =>
    envelope.signatures.some(({ sig }) => isBy(envelope, by, keyid, sig));
  const names = (list: readonly RootKey[]) => list.map(({ keyid }) => nameOf(keyid));
  return {
    version: by.version,
    threshold: role?.threshold ?? 0,
    signed: names(keys.filter(has)),
    missing: names(keys.filter((key) => !has(key))),
  };
}

export function rootKeys(root: Root): readonly RootKey[] {
  const role = root.roles.find(({ name }) => name === ROOT_ROLE);
  return root.keys.filter(({ keyid }) => role?.keyids.includes(keyid) ?? false);
}

/** By a root key's file or token that is here; a key signs once. */
export async function signRequest(
  request: RootRequest,
  signer: Signer,
  file: string,
): Promise<Result<RootRequest>> {
  const keyid = keyidOf(signer.publicKey);
  const known = signersOf(request).some(({ key }) => keyidOf(key.publicKey) === keyid);
  if (!known) {
    const key = keyid.slice(0, 16);
    return refuse('publish.root-not-a-signer', { key, version: request.root.version });
  }
  const { payloadType, payload } = request.envelope;
  const sig = await signer.sign(pae(payloadType, payload));
  return sig.ok ? withSignatures(request, [sig.value], file) : sig;
}

/**
 * Signatures from a file: a copy of the request that came back, or what another tool wrote over the
 * same bytes (docs/signing.md). Those that count are added; a file with none is refused.
 */
export function addSignatures(
  request: RootRequest,
  bytes: Uint8Array,
  file: string,
): Result<RootRequest> {
  const read = readSignatureFile(bytes, request.envelope);
  if (!read.ok) return read;
  const { sigs, holdsFor } = read.value;
  return withSignatures(request, sigs, file, holdsFor);
}

function withSignatures(
  request: RootRequest,
  sigs: readonly Uint8Array[],
  file: string,
  holdsFor: (raw: Uint8Array) => boolean = () => true,
): Result<RootRequest> {
  const found = sigs.flatMap((sig) =>
    signersOf(request).flatMap(({ key, by }): readonly Signature[] => {
      const raw = rulesOf(key.scheme)?.rawFrom(key.publicKey);
      const counts = raw && holdsFor(raw) && isBy(request.envelope, by, key.keyid, sig);
      return counts ? [{ keyid: keyidOf(key.publicKey), sig }] : [];
    }),
  );
  if (found.length === 0) {
    const reason =
      sigs.length === 0
        ? 'nobody has signed it'
        : 'none is by a root key over these bytes, of this version or the one before';
    return refuse('publish.root-signature', { file, reason });
  }
  const byKey = new Map(request.envelope.signatures.map((one) => [one.keyid, one]));
  for (const one of found) byKey.set(one.keyid, one);
  return ok({ ...request, envelope: { ...request.envelope, signatures: [...byKey.values()] } });
}

function signersOf({ previous, root }: RootRequest): readonly { key: RootKey; by: Root }[] {
  return [previous, root].flatMap((by) => rootKeys(by).map((key) => ({ key, by })));
}

/** By the verifier of the devices, one key alone. */
function isBy(envelope: Envelope, root: Root, keyid: string, sig: Uint8Array): boolean {
  const alone = { ...envelope, signatures: [{ keyid, sig }] };
  const role = { name: ROOT_ROLE, threshold: 1, keyids: [keyid] };
  return countSigners(alone, root, role, 0).signers.length === 1;
}

/** Without what nobody counts: an envelope holds at most LIMITS.signaturesMax. */
export function countedOnly(request: RootRequest): Envelope {
  const { envelope } = request;
  const signatures = envelope.signatures.filter(({ sig }) =>
    signersOf(request).some(({ key, by }) => isBy(envelope, by, key.keyid, sig)),
  );
  return { ...envelope, signatures };
}
