/**
 * The hub's side of enrolment: who asks, whether they may, and what they are given.
 *
 * Invariants: nothing is given before the device key has signed this very request with a nonce of
 * this hub; a token lets one key in, once, and the same key again while it has not used what it was
 * given (its answer may have been lost); a credential counts only from this store, so what is
 * revoked here opens nothing; the credential before stays good until the new one was used.
 */
import { type Fault, fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Random } from '#platform/random.ts';
import type { EnrolmentAnswer, EnrolmentRequest, IssuedAnswer } from '#state/enrolment.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf, rawFromSpki, verifyEd25519 } from '#trust/ed25519.ts';
import { REQUEST_BYTES, readEnrolmentRequest } from '#wire/enrolment.ts';
import { readEnvelopeMessage } from '#wire/envelope-message.ts';
import type { Authority } from './authority.ts';
import type { CredentialRecord, DeviceRecord } from './enrolment-records.ts';
import type { EnrolmentStore } from './enrolment-store.ts';
import { type Nonces, nonces, secretHash } from './nonces.ts';
import { judgeToken } from './tokens.ts';

export interface Enrolment {
  nonce(): Uint8Array;
  /**
   * @param bytes  a request: a protobuf Envelope
   * @param caller  the device whose credential opened this connection; null: none
   */
  ask(bytes: Uint8Array, caller: Caller): Promise<Result<EnrolmentAnswer>>;
}

export interface Caller {
  readonly address: string;
  readonly deviceId: string | null;
}

/** What an enrolled device is told of its plant. */
export interface Offer {
  /** https://host:port/repository; empty: not told */
  readonly registry: string;
  readonly mqtt: string;
  readonly channel: string;
  /** the root document, exact bytes */
  readonly root: Uint8Array;
}

export interface EnrolmentInput {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: EnrolmentStore;
  readonly authority: Authority;
  readonly offer: () => Offer;
  /** ms that a credential is good for */
  readonly lifeMs: number;
  /** ms after its end in which the device key alone renews it */
  readonly graceMs: number;
}

/** devices that wait for an operator */
const WAITING_MAX = 256;
/** ms without a request after which one that waits makes room */
const WAITING_STALE_MS = 7 * 86_400_000;
/** a clock behind the hub's must not find it not yet valid */
const BACKDATED_MS = 86_400_000;
const SECRET_BYTES = 32;

export function enrolment(input: EnrolmentInput): Enrolment {
  const known = nonces(input.clock, input.random);
  return {
    nonce: () => known.make(),
    async ask(bytes, caller) {
      const opened = openRequest(bytes, input, known);
      if (!opened.ok) return opened;
      const { request, digest } = opened.value;
      const admitted =
        request.purpose === 'renew'
          ? admitRenewal(input, request, caller)
          : admitNew(input, request, caller);
      if (!admitted.ok) return admitted;
      if (admitted.value === null) return ok({ kind: 'pending' });
      return issue(input, admitted.value, request, digest);
    },
  };
}

interface Opened {
  readonly request: EnrolmentRequest;
  /** hex, of what was asked for: the key of the certificate */
  readonly digest: string;
}

function openRequest(
  bytes: Uint8Array,
  { authority }: EnrolmentInput,
  known: Nonces,
): Result<Opened> {
  const no = (reason: string): Result<Opened> => refuse('enroll.request', { reason });
  const envelope = readEnvelopeMessage(bytes, REQUEST_BYTES);
  if (!envelope.ok) return no(envelope.fault.message);
  const { payloadType, payload, signatures } = envelope.value;
  // Check 6
  if (payloadType !== PAYLOAD.enrolment) return no('its payload type is another');
  const [signature] = signatures;
  if (!signature || signatures.length !== 1) return no('it has not exactly one signature');
  const read = readEnrolmentRequest(payload);
  if (!read.ok) return no(read.fault.message);
  const request = read.value;
  const key = rawFromSpki(request.deviceKey);
  // Check 9
  if (!key || !verifyEd25519(key, pae(PAYLOAD.enrolment, payload), signature.sig)) {
    return no('the device key has not signed it');
  }
  if (request.hub !== authority.digest) return no('it is for another hub');
  if (!known.use(request.nonce)) return no('its nonce is old or used; ask for another');
  return ok({ request, digest: secretHash(request.csr) });
}

/** Null: it waits for an operator. */
function admitNew(
  input: EnrolmentInput,
  request: EnrolmentRequest,
  caller: Caller,
): Result<DeviceRecord | null> {
  const { store, clock } = input;
  const keyid = keyidOf(request.deviceKey);
  const before = store.devices.get(keyid);
  const holder = store.deviceNamed(request.deviceId);
  if (request.token !== '') {
    const token = judgeToken(store, request, keyid, clock.wallMs());
    if (!token.ok) return token;
    if (token.value.usedBy === keyid && !mayAskAgain(before, token.value.id)) {
      return refuse('enroll.refused', { reason: 'the token was used already' });
    }
    if (holder && holder.keyid !== keyid) return taken(request);
    const same = before?.token === token.value.id && before.id === request.deviceId;
    if (before && same && token.value.usedBy === keyid) return ok(before);
    const record = recordOf(input, request, caller, before);
    // What was in force goes on counting until the new one is used.
    const state = before?.state === 'enrolled' ? 'enrolled' : 'approved';
    const used: DeviceRecord = { ...record, state, token: token.value.id };
    // The token first: a cut between the two leaves it to this key alone, which asks again.
    const marked = store.tokens.put({ ...token.value, usedBy: keyid });
    if (!marked.ok) return marked;
    const put = store.devices.put(used);
    return put.ok ? ok(used) : put;
  }
  if (before?.state === 'denied' || before?.state === 'revoked') {
    return refuse('enroll.denied', { device: request.deviceId });
  }
  if (before && before.state !== 'waiting') {
    // Let in under the name that the operator saw, and no other.
    return before.id === request.deviceId ? ok(before) : taken(request);
  }
  return wait(input, request, caller, before);
}

/** The answer to its first use may have been lost; what was revoked since stays out. */
function mayAskAgain(before: DeviceRecord | null, token: string): boolean {
  if (!before || before.state === 'approved') return true;
  if (before.state !== 'enrolled') return false;
  return before.token !== token || before.credentials.at(-1)?.proven === false;
}

function taken({ deviceId }: EnrolmentRequest): Result<never> {
  return refuse('enroll.id-taken', { device: deviceId });
}

function wait(
  input: EnrolmentInput,
  request: EnrolmentRequest,
  caller: Caller,
  before: DeviceRecord | null,
): Result<null> {
  const { store, clock, log } = input;
  if (before && before.id === request.deviceId && before.kind === request.kind) return ok(null);
  const waiting = [...store.devices.all()].filter(({ state }) => state === 'waiting');
  if (!before && waiting.length >= WAITING_MAX) {
    const stale = waiting.find(({ askedAt }) => askedAt < clock.wallMs() - WAITING_STALE_MS);
    if (!stale) return refuse('hub.enrolment-full', { what: 'waiting devices', max: WAITING_MAX });
    const dropped = store.devices.drop(stale.keyid);
    if (!dropped.ok) return dropped;
  }
  const record = recordOf(input, request, caller, before);
  const put = store.devices.put({ ...record, state: 'waiting' });
  if (!put.ok) return put;
  log.write('info', 'hub.enrolment-waits', { device: request.deviceId, keyid: record.keyid });
  return ok(null);
}

function recordOf(
  { clock }: EnrolmentInput,
  request: EnrolmentRequest,
  { address }: Caller,
  before: DeviceRecord | null,
): DeviceRecord {
  const { deviceKey, deviceId, labels, kind, agentVersion } = request;
  return {
    keyid: keyidOf(deviceKey),
    id: deviceId,
    key: Buffer.from(deviceKey).toString('base64'),
    labels: { ...labels },
    state: 'waiting',
    kind,
    askedAt: clock.wallMs(),
    address,
    token: '',
    agentVersion,
    credentials: before?.credentials ?? [],
  };
}

/** By the device key, over a connection that its credential opened, or soon after that one's end. */
function admitRenewal(
  { store, clock, graceMs }: EnrolmentInput,
  request: EnrolmentRequest,
  caller: Caller,
): Result<DeviceRecord> {
  const { deviceId } = request;
  const device = store.devices.get(keyidOf(request.deviceKey));
  if (!device || device.state === 'waiting') {
    return refuse('enroll.refused', { reason: 'it does not know this device; enrol first' });
  }
  if (device.state === 'denied' || device.state === 'revoked') {
    return refuse('enroll.denied', { device: deviceId });
  }
  if (device.id !== deviceId) return taken(request);
  if (caller.deviceId === deviceId) return ok(device);
  if (caller.deviceId !== null) {
    return refuse('enroll.request', { reason: 'the credential is another device’s' });
  }
  const ends = device.credentials.map(({ notAfter }) => notAfter);
  const within = Math.max(0, ...ends) + graceMs >= clock.wallMs();
  return within ? ok(device) : refuse('enroll.expired', { device: deviceId });
}

async function issue(
  input: EnrolmentInput,
  device: DeviceRecord,
  request: EnrolmentRequest,
  digest: string,
): Promise<Result<EnrolmentAnswer>> {
  const { clock, log } = input;
  const now = clock.wallMs();
  const again = device.credentials.find(
    (one) => one.certificate !== '' && one.request === digest && one.notAfter > now,
  );
  if (again) return ok(answerOf(input, device, again, ''));
  const made = await credentialFor(input, device, request, digest);
  if (!made.ok) return made;
  // While this one was made, an operator may have changed his mind.
  const current = input.store.devices.get(device.keyid);
  if (!current || (current.state !== 'approved' && current.state !== 'enrolled')) {
    return refuse('enroll.denied', { device: device.id });
  }
  const { record, secret } = made.value;
  const kept = current.credentials.filter(({ proven }) => proven);
  const enrolled: DeviceRecord = {
    ...current,
    state: 'enrolled',
    kind: request.kind,
    labels: { ...request.labels },
    agentVersion: request.agentVersion,
    credentials: [...kept, record],
  };
  const put = input.store.devices.put(enrolled);
  if (!put.ok) return put;
  log.write('info', 'hub.credential-issued', { device: device.id, purpose: request.purpose });
  return ok(answerOf(input, enrolled, record, secret));
}

interface Made {
  readonly record: CredentialRecord;
  readonly secret: string;
}

async function credentialFor(
  { clock, random, authority, lifeMs }: EnrolmentInput,
  device: DeviceRecord,
  request: EnrolmentRequest,
  digest: string,
): Promise<Result<Made>> {
  const issuedAt = clock.wallMs();
  const notAfter = issuedAt + lifeMs;
  const common = { kind: request.kind, issuedAt, notAfter, replacedAt: 0, proven: false } as const;
  if (request.kind === 'token') {
    const secret = Buffer.from(random.bytes(SECRET_BYTES)).toString('base64url');
    const fingerprint = secretHash(secret);
    return ok({ record: { ...common, fingerprint, certificate: '', request: '' }, secret });
  }
  const certificate = await authority.issueClient({
    name: device.id,
    csr: request.csr,
    notBefore: issuedAt - BACKDATED_MS,
    notAfter,
  });
  if (!certificate.ok) return refused(asRequestFault(certificate.fault));
  const fingerprint = secretHash(derOf(certificate.value));
  const record = { ...common, fingerprint, certificate: certificate.value, request: digest };
  return ok({ record, secret: '' });
}

function asRequestFault(why: Fault): Fault {
  return why.code === 'enroll.request' ? why : fault('enroll.request', { reason: why.message });
}

function derOf(pem: string): Uint8Array {
  return Buffer.from(pem.replaceAll(/-----[^-]+-----|\s/g, ''), 'base64');
}

function answerOf(
  { authority, offer }: EnrolmentInput,
  { id }: DeviceRecord,
  { kind, issuedAt, notAfter, certificate }: CredentialRecord,
  secret: string,
): IssuedAnswer {
  return {
    kind: 'issued',
    deviceId: id,
    credential: kind,
    ...{ certificate, secret, issuedAt, notAfter },
    authorities: authority.ca,
    ...offer(),
  };
}
