/**
 * What the hub keeps of tokens, devices and operators, one small JSON file each, replaced as a whole
 * and fsynced before anybody is told (docs/formats.md, The hub's folder). Secrets are kept as their
 * SHA-256: they are random and long, so nobody guesses one from its digest.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { CredentialKind } from '#state/enrolment.ts';
import { isDeviceId } from '#state/names.ts';
import { isJsonObject, type Json, type JsonObject, readStrictJson } from '#wire/strict-json.ts';

export type DeviceState = 'waiting' | 'approved' | 'enrolled' | 'denied' | 'revoked';

export interface DeviceRecord {
  /** hex SHA-256 of the SPKI: the file's name */
  readonly keyid: string;
  readonly id: string;
  /** SPKI DER, base64 */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly state: DeviceState;
  readonly kind: CredentialKind;
  /** Unix ms of the first request */
  readonly askedAt: number;
  readonly address: string;
  /** hex id of the token that let it in; empty: an operator did */
  readonly token: string;
  readonly agentVersion: string;
  /** newest last */
  readonly credentials: readonly CredentialRecord[];
}

export interface CredentialRecord {
  /** hex SHA-256 of the certificate (DER) or of the secret */
  readonly fingerprint: string;
  readonly kind: CredentialKind;
  readonly issuedAt: number;
  readonly notAfter: number;
  /** Unix ms from which another one is used alone; 0: none is yet */
  readonly replacedAt: number;
  /** it was used */
  readonly proven: boolean;
  /** PEM, until it is proven: the same request gets the same certificate */
  readonly certificate: string;
  /** hex SHA-256 of the request it answers */
  readonly request: string;
}

export interface TokenRecord {
  /** hex: the file's name */
  readonly id: string;
  readonly secretHash: string;
  readonly madeAt: number;
  readonly expiresAt: number;
  /** a device id in which `*` stands for anything */
  readonly device: string;
  /** that the device must have */
  readonly labels: Readonly<Record<string, string>>;
  /** keyid of the one device that used it */
  readonly usedBy: string;
}

export interface OperatorRecord {
  readonly name: string;
  readonly secretHash: string;
  readonly madeAt: number;
}

/** bytes of one record */
export const RECORD_MAX = 64 * 1024;
const STATES: readonly DeviceState[] = ['waiting', 'approved', 'enrolled', 'denied', 'revoked'];
const HEX64 = /^[0-9a-f]{64}$/;

export function writeRecord(record: DeviceRecord | TokenRecord | OperatorRecord): Uint8Array {
  return Buffer.from(`${JSON.stringify(record)}\n`);
}

export function readDeviceRecord(bytes: Uint8Array, file: string): Result<DeviceRecord> {
  return read(bytes, file, (from) => {
    const state = STATES.find((name) => name === from.state);
    const kind = kindOf(from.kind);
    const list = Array.isArray(from.credentials) ? (from.credentials as readonly Json[]) : null;
    const credentials = list?.map(credentialOf);
    const { keyid, id, key, askedAt, address, token, agentVersion } = from;
    const labels = labelsOf(from.labels);
    if (!state || !kind || !labels || !credentials || credentials.includes(null)) return null;
    if (!isHash(keyid) || typeof id !== 'string' || !isDeviceId(id)) return null;
    if (!areTexts(key, address, token, agentVersion) || !areNumbers(askedAt)) return null;
    return { ...from, state, kind, labels, credentials } as unknown as DeviceRecord;
  });
}

export function readTokenRecord(bytes: Uint8Array, file: string): Result<TokenRecord> {
  return read(bytes, file, (from) => {
    const labels = labelsOf(from.labels);
    const { id, secretHash, madeAt, expiresAt, device, usedBy } = from;
    const fits = areTexts(id, device, usedBy) && areNumbers(madeAt, expiresAt);
    if (!fits || !isHash(secretHash) || !labels) return null;
    return { ...from, labels } as unknown as TokenRecord;
  });
}

export function readOperatorRecord(bytes: Uint8Array, file: string): Result<OperatorRecord> {
  return read(bytes, file, (from) => {
    const fits = areTexts(from.name) && isHash(from.secretHash) && areNumbers(from.madeAt);
    return fits ? (from as unknown as OperatorRecord) : null;
  });
}

function read<T>(
  bytes: Uint8Array,
  file: string,
  shape: (from: JsonObject) => T | null,
): Result<T> {
  const json = readStrictJson(bytes, file);
  const value = json.ok && !hasBigInteger(json.value) ? json.value : null;
  const record = isJsonObject(value) ? shape(value) : null;
  return record === null ? refuse('hub.record-damaged', { file }) : ok(record);
}

/** No hub writes one, and unknown members go back into the file as they were read. */
function hasBigInteger(value: Json | undefined): boolean {
  if (typeof value === 'object' && value !== null) return Object.values(value).some(hasBigInteger);
  return typeof value === 'bigint';
}

function credentialOf(from: Json): CredentialRecord | null {
  if (!isJsonObject(from)) return null;
  const { fingerprint, issuedAt, notAfter, replacedAt, proven, certificate, request } = from;
  const fits =
    isHash(fingerprint) &&
    areNumbers(issuedAt, notAfter, replacedAt) &&
    typeof proven === 'boolean' &&
    areTexts(certificate, request) &&
    kindOf(from.kind);
  return fits ? (from as unknown as CredentialRecord) : null;
}

function kindOf(value: Json | undefined): CredentialKind | null {
  return value === 'certificate' || value === 'token' ? value : null;
}

function labelsOf(value: Json | undefined): Readonly<Record<string, string>> | null {
  if (!isJsonObject(value)) return null;
  return areTexts(...Object.values(value)) ? (value as Record<string, string>) : null;
}

function isHash(value: Json | undefined): boolean {
  return typeof value === 'string' && HEX64.test(value);
}

function areTexts(...values: readonly (Json | undefined)[]): boolean {
  return values.every((value) => typeof value === 'string');
}

function areNumbers(...values: readonly (Json | undefined)[]): boolean {
  return values.every((value) => Number.isSafeInteger(value));
}
