/**
 * Enrolment: bytes ↔ `state/enrolment`. Requests reach a hub from anybody, answers a device from
 * whoever took its connection, tokens come off a sheet of paper: all are read strictly, and nothing
 * of a request counts before its signature does (hub/enrolment.ts).
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { digestToBytes } from '#state/digest.ts';
import {
  type Credential,
  type CredentialKind,
  type EnrolmentAnswer,
  type EnrolmentPurpose,
  type EnrolmentRequest,
  type EnrolmentToken,
  type IssuedAnswer,
  LABEL_MAX,
  LABELS_MAX,
} from '#state/enrolment.ts';
import { LIMITS } from '#state/limits.ts';
import { isDeviceId, isId } from '#state/names.ts';
import { type FieldCheck, fieldCheck } from './field-check.ts';
import {
  EnrolmentAnswerSchema,
  EnrolmentRequestSchema,
  EnrolmentState,
  EnrolmentTokenSchema,
  CredentialKind as ProtoKind,
  EnrolmentPurpose as ProtoPurpose,
} from './generated/holdfast_pb.ts';
import { readMessage } from './strict-protobuf.ts';
import { hasControl } from './text.ts';

const SPEC_VERSION = 1;
/** bytes of SPKI DER; of a PKCS#10 request for one small key */
const KEY_MAX = 1_024;
const CSR_MAX = 4_096;
export const NONCE_BYTES = 40;
const URL_MAX = 1_024;
const SECRET_MAX = 256;
/** characters of PEM */
const PEM_MAX = 64 * 1024;
/** characters of a token in text */
const TOKEN_TEXT_MAX = 2_048;
const TOKEN_ID_BYTES = 8;
const TOKEN_SECRET_BYTES = 24;
const TOKEN_PREFIX = 'hfe1.';

/** bytes of a request, and of an answer */
export const REQUEST_BYTES = 24 * 1024;
export const ANSWER_BYTES = LIMITS.rootBytes + 4 * PEM_MAX;

const KINDS: Readonly<Record<CredentialKind, ProtoKind>> = {
  certificate: ProtoKind.CERTIFICATE,
  token: ProtoKind.TOKEN,
};
const PURPOSES: Readonly<Record<EnrolmentPurpose, ProtoPurpose>> = {
  enrol: ProtoPurpose.ENROL,
  renew: ProtoPurpose.RENEW,
};

export function writeEnrolmentRequest(request: EnrolmentRequest): Uint8Array {
  const { purpose, hub, nonce, deviceKey, deviceId, labels, kind } = request;
  const { csr, token, agentVersion } = request;
  const message = create(EnrolmentRequestSchema, {
    specVersion: SPEC_VERSION,
    purpose: PURPOSES[purpose],
    hub: digestToBytes(hub),
    kind: KINDS[kind],
    labels: { ...labels },
    ...{ nonce, deviceKey, deviceId, csr, token, agentVersion },
  });
  return toBinary(EnrolmentRequestSchema, message);
}

/** @param payload  of the envelope */
export function readEnrolmentRequest(payload: Uint8Array): Result<EnrolmentRequest> {
  const what = 'enrolment request';
  const message = readMessage(EnrolmentRequestSchema, payload, what, REQUEST_BYTES);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the request', found: from.specVersion });
  }
  const check = fieldCheck();
  check.require(isDeviceId(from.deviceId), 'device_id', 'not a device id');
  check.require(from.deviceKey.length <= KEY_MAX, 'device_key', `above ${KEY_MAX} bytes`);
  check.require(from.nonce.length === NONCE_BYTES, 'nonce', `not ${NONCE_BYTES} bytes`);
  check.require(from.csr.length <= CSR_MAX, 'csr', `above ${CSR_MAX} bytes`);
  check.require(from.token.length <= TOKEN_TEXT_MAX, 'token', 'too long');
  const request: EnrolmentRequest = {
    purpose: known(check, 'purpose', PURPOSES, from.purpose) ?? 'enrol',
    hub: check.digest('hub', from.hub),
    nonce: from.nonce,
    deviceKey: from.deviceKey,
    deviceId: from.deviceId,
    labels: readLabels(check, from.labels),
    kind: known(check, 'kind', KINDS, from.kind) ?? 'token',
    csr: from.csr,
    token: from.token,
    agentVersion: plain(check, 'agent_version', from.agentVersion, LABEL_MAX),
  };
  const hasCsr = request.csr.length > 0;
  check.require(hasCsr === (request.kind === 'certificate'), 'csr', 'for a certificate alone');
  const problem = check.problem();
  return problem === null ? ok(request) : refuse('format.message', { what, ...problem });
}

export function writeEnrolmentAnswer(answer: EnrolmentAnswer): Uint8Array {
  const message =
    answer.kind === 'pending'
      ? create(EnrolmentAnswerSchema, {
          specVersion: SPEC_VERSION,
          state: EnrolmentState.PENDING,
        })
      : create(EnrolmentAnswerSchema, {
          specVersion: SPEC_VERSION,
          state: EnrolmentState.ISSUED,
          deviceId: answer.deviceId,
          kind: KINDS[answer.credential],
          certificate: answer.certificate,
          secret: answer.secret,
          issuedAt: BigInt(answer.issuedAt),
          notAfter: BigInt(answer.notAfter),
          authorities: answer.authorities,
          root: answer.root,
          registry: answer.registry,
          mqtt: answer.mqtt,
          channel: answer.channel,
        });
  return toBinary(EnrolmentAnswerSchema, message);
}

export function readEnrolmentAnswer(bytes: Uint8Array): Result<EnrolmentAnswer> {
  const what = 'enrolment answer';
  const message = readMessage(EnrolmentAnswerSchema, bytes, what, ANSWER_BYTES);
  if (!message.ok) return message;
  const from = message.value;
  if (from.specVersion !== SPEC_VERSION) {
    return refuse('format.spec-version', { what: 'the answer', found: from.specVersion });
  }
  if (from.state === EnrolmentState.PENDING) return ok({ kind: 'pending' });
  const check = fieldCheck();
  check.require(from.state === EnrolmentState.ISSUED, 'state', 'an unknown choice');
  check.require(isDeviceId(from.deviceId), 'device_id', 'not a device id');
  check.require(from.root.length <= LIMITS.rootBytes, 'root', `above ${LIMITS.rootBytes} bytes`);
  check.require(from.channel === '' || isId(from.channel), 'channel', 'not a channel id');
  check.require(isUrl(from.registry, /^https?:$/), 'registry', 'no address');
  check.require(isUrl(from.mqtt, /^mqtts?:$/), 'mqtt', 'no address');
  check.require(from.certificate.length <= PEM_MAX, 'certificate', 'too long');
  check.require(from.authorities.length <= PEM_MAX, 'authorities', 'too long');
  const answer: IssuedAnswer = {
    kind: 'issued',
    deviceId: from.deviceId,
    credential: known(check, 'kind', KINDS, from.kind) ?? 'token',
    certificate: from.certificate,
    secret: plain(check, 'secret', from.secret, SECRET_MAX),
    issuedAt: check.time('issued_at', from.issuedAt),
    notAfter: check.time('not_after', from.notAfter),
    authorities: from.authorities,
    root: from.root,
    registry: from.registry,
    mqtt: from.mqtt,
    channel: from.channel,
  };
  const one = (answer.credential === 'token') === (answer.secret !== '');
  check.require(one, 'secret', 'of a token, and of nothing else');
  const problem = check.problem();
  return problem === null ? ok(answer) : refuse('format.message', { what, ...problem });
}

/** One line for a file or a sheet of paper: `hfe1.` and base64url. */
export function writeEnrolmentToken(token: EnrolmentToken): string {
  const message = create(EnrolmentTokenSchema, {
    id: token.id,
    secret: token.secret,
    hub: digestToBytes(token.hub),
    root: token.root === null ? new Uint8Array() : digestToBytes(token.root),
    url: token.url,
  });
  const bytes = toBinary(EnrolmentTokenSchema, message);
  return TOKEN_PREFIX + Buffer.from(bytes).toString('base64url');
}

/** `enroll.token` for anything that is not one, to the last character. */
export function readEnrolmentToken(text: string): Result<EnrolmentToken> {
  const no = (reason: string): Result<EnrolmentToken> => refuse('enroll.token', { reason });
  const line = text.trim();
  if (!line.startsWith(TOKEN_PREFIX)) return no(`it does not begin with ${TOKEN_PREFIX}`);
  if (line.length > TOKEN_TEXT_MAX) return no('it is too long');
  const encoded = line.slice(TOKEN_PREFIX.length);
  const bytes = Buffer.from(encoded, 'base64url');
  if (bytes.toString('base64url') !== encoded) return no('a character is missing or wrong');
  const read = readMessage(EnrolmentTokenSchema, bytes, 'token', TOKEN_TEXT_MAX);
  if (!read.ok) return no('it is damaged');
  const { id, secret, hub, root, url } = read.value;
  const check = fieldCheck();
  check.require(id.length === TOKEN_ID_BYTES, 'id', 'of another length');
  check.require(secret.length === TOKEN_SECRET_BYTES, 'secret', 'of another length');
  check.require(isUrl(url, /^https:$/) && url !== '', 'url', 'no https address');
  const token = {
    ...{ id, secret, url },
    hub: check.digest('hub', hub),
    root: check.digestOrNull('root', root),
  };
  const problem = check.problem();
  return problem === null ? ok(token) : no(`its ${problem.field} is damaged`);
}

/** What the status holds; undefined there and null here: not enrolled. */
export function credentialToProto(credential: Credential) {
  const { kind, notAfter, fingerprint } = credential;
  return {
    kind: KINDS[kind],
    notAfter: BigInt(notAfter),
    fingerprint: digestToBytes(fingerprint),
  };
}

export function credentialFromProto(
  check: FieldCheck,
  from:
    | { readonly kind: ProtoKind; readonly notAfter: bigint; readonly fingerprint: Uint8Array }
    | undefined,
): Credential | null {
  if (from === undefined) return null;
  return {
    kind: known(check, 'credential.kind', KINDS, from.kind) ?? 'token',
    notAfter: check.time('credential.not_after', from.notAfter),
    fingerprint: check.digest('credential.fingerprint', from.fingerprint),
  };
}

function known<Name extends string>(
  check: FieldCheck,
  field: string,
  names: Readonly<Record<Name, number>>,
  number: number,
): Name | null {
  for (const name in names) if (names[name] === number) return name;
  check.fail(field, 'an unknown choice');
  return null;
}

function readLabels(
  check: FieldCheck,
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null);
  const entries = Object.entries(labels);
  check.require(entries.length <= LABELS_MAX, 'labels', `more than ${LABELS_MAX}`);
  for (const [key, value] of entries) {
    read[check.text('labels', key, LABEL_MAX)] = plain(check, 'labels', value, LABEL_MAX);
  }
  return read;
}

/** Up to `max` characters without controls, maybe none. */
function plain(check: FieldCheck, field: string, value: string, max: number): string {
  const fits = value.length <= max && !hasControl(value);
  check.require(fits, field, `more than ${max} characters, or controls in them`);
  return value;
}

/** Empty, or an address without user information: it goes into a configuration as it stands. */
function isUrl(text: string, scheme: RegExp): boolean {
  if (text === '') return true;
  if (text.length > URL_MAX || hasControl(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  const bare = url.username === '' && url.password === '' && url.hash === '' && url.search === '';
  return scheme.test(url.protocol) && bare && /^[\x21-\x7e]+$/.test(text);
}
