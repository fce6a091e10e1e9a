/**
 * What a device keeps of its enrolment, in `stateDir/identity/hub` (0700, files 0600):
 *
 *   enrolment.json    which hub, under which name, what was asked for; a token until it was used
 *   ca.pem            the authorities of the hub: what agent.yaml names as tls.ca
 *   credential.pem    client certificate and key, in one file so that they change together
 *   user, secret      instead of it: a token credential
 *   credential.json   when it was issued and when it ends
 *   request.key       the key of a request that is under way
 *   next.pem, next.secret   issued, not yet proven
 *   root.offered      a root document that nobody has vouched for yet
 *   told              which credential the audit journal knows of
 *
 * Each is replaced as a whole and durable before the next step (enrol.ts); names that agent.yaml
 * holds never change, so a renewed credential needs no restart.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { TlsFiles } from '#link/endpoint.ts';
import type { ShownCredential } from '#link/enrolment.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import { type Digest, parseDigest, sha256 } from '#state/digest.ts';
import type { Credential, CredentialKind } from '#state/enrolment.ts';
import { isDeviceId } from '#state/names.ts';
import { isJsonObject, type JsonObject, readStrictJson } from '#wire/strict-json.ts';

/** How this device is enrolled, or is being. */
export interface Enrolled {
  /** https://host:port */
  readonly hub: string;
  readonly authority: Digest;
  readonly deviceId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly kind: CredentialKind;
  readonly proxy: string | null;
  /** the one-time token, while it may still be needed */
  readonly token: string;
  /** digest of the token that was used; null: an operator approved */
  readonly spent: Digest | null;
  /** the root document that is vouched for; null: none */
  readonly root: Digest | null;
  /** where the hub said that states are */
  readonly registry: string;
  readonly mqtt: string;
  readonly channel: string;
}

export interface HeldCredential extends Credential {
  /** Unix ms; 0: it is not known any more, so it is due */
  readonly issuedAt: number;
}

/** The files, by absolute path: what configuration and connections name. */
export interface EnrolledPaths {
  readonly folder: string;
  readonly ca: string;
  readonly credential: string;
  readonly user: string;
  readonly secret: string;
  readonly next: string;
  readonly nextSecret: string;
}

export const FILES = {
  enrolment: 'enrolment.json',
  ca: 'ca.pem',
  credential: 'credential.pem',
  user: 'user',
  secret: 'secret',
  dates: 'credential.json',
  request: 'request.key',
  next: 'next.pem',
  nextSecret: 'next.secret',
  root: 'root.offered',
  told: 'told',
} as const;

const DIRECTORY_MODE = 0o700;
const FILE_MAX = 256 * 1024;

export function enrolledPaths(stateDir: string): EnrolledPaths {
  const folder = `${stateDir}/identity/hub`;
  return {
    folder,
    ca: `${folder}/${FILES.ca}`,
    credential: `${folder}/${FILES.credential}`,
    user: `${folder}/${FILES.user}`,
    secret: `${folder}/${FILES.secret}`,
    next: `${folder}/${FILES.next}`,
    nextSecret: `${folder}/${FILES.nextSecret}`,
  };
}

/** Opens the folder, made when missing, for `work`. */
export async function inEnrolled<T>(
  { files }: Pick<Platform, 'files'>,
  stateDir: string,
  work: (directory: Directory) => Promise<Result<T>> | Result<T>,
): Promise<Result<T>> {
  const { folder } = enrolledPaths(stateDir);
  const opened = files.open(folder, { create: DIRECTORY_MODE, follow: true });
  if (!opened.ok) return opened;
  try {
    return await work(opened.value);
  } finally {
    opened.value.close();
  }
}

/** Null: this device was never enrolled. */
export function readEnrolled(directory: Directory): Result<Enrolled | null> {
  const json = readJson(directory, FILES.enrolment);
  if (!json.ok) return json;
  if (json.value === null) return ok(null);
  const from = json.value;
  const { hub, deviceId, kind, token, registry, mqtt, channel } = from;
  const authority = typeof from.authority === 'string' ? parseDigest(from.authority) : null;
  const root = typeof from.root === 'string' ? parseDigest(from.root) : null;
  const spent = typeof from.spent === 'string' ? parseDigest(from.spent) : null;
  const labels = isJsonObject(from.labels) ? (from.labels as Record<string, string>) : null;
  const texts = [hub, deviceId, token, registry, mqtt, channel].every((t) => typeof t === 'string');
  const known = kind === 'certificate' || kind === 'token';
  if (!texts || !known || !authority || !labels || !isDeviceId(deviceId as string)) {
    return damaged(directory, FILES.enrolment, 'it is not what this version writes');
  }
  const proxy = typeof from.proxy === 'string' ? from.proxy : null;
  return ok({ ...(from as unknown as Enrolled), authority, root, spent, labels, proxy });
}

export function writeEnrolled(directory: Directory, enrolled: Enrolled): Result<undefined> {
  return replaceFile(directory, FILES.enrolment, Buffer.from(`${JSON.stringify(enrolled)}\n`));
}

/** The credential in use; null: there is none. */
export function readCredential(
  platform: Pick<Platform, 'certificates'>,
  directory: Directory,
): Result<HeldCredential | null> {
  const found = certificateIn(platform, directory);
  if (!found.ok || found.value) return found;
  const secret = readIfThere(directory, FILES.secret, FILE_MAX);
  if (!secret.ok || secret.value === null) return secret.ok ? ok(null) : secret;
  const text = Buffer.from(secret.value).toString('utf8').trimEnd();
  const fingerprint = sha256(Buffer.from(text));
  const dates = datesOf(directory, fingerprint);
  return ok({ kind: 'token', fingerprint, ...dates });
}

function certificateIn(
  { certificates }: Pick<Platform, 'certificates'>,
  directory: Directory,
): Result<HeldCredential | null> {
  const pem = readIfThere(directory, FILES.credential, FILE_MAX);
  if (!pem.ok || pem.value === null) return pem.ok ? ok(null) : pem;
  const read = certificates(Buffer.from(pem.value).toString('latin1'));
  const [leaf] = read.ok ? read.value : [];
  if (!leaf) return damaged(directory, FILES.credential, 'it holds no certificate');
  const fingerprint = sha256(leaf.raw);
  const { issuedAt } = datesOf(directory, fingerprint);
  return ok({ kind: 'certificate', fingerprint, issuedAt, notAfter: leaf.notAfter });
}

/** Dates of another credential are none: a cut came between the two files. */
function datesOf(
  directory: Directory,
  fingerprint: Digest,
): { readonly issuedAt: number; readonly notAfter: number } {
  const json = readJson(directory, FILES.dates);
  const from = json.ok ? json.value : null;
  const { issuedAt, notAfter } = from ?? {};
  const own = from?.fingerprint === fingerprint;
  if (!own || !Number.isSafeInteger(issuedAt) || !Number.isSafeInteger(notAfter)) {
    return { issuedAt: 0, notAfter: 0 };
  }
  return { issuedAt: issuedAt as number, notAfter: notAfter as number };
}

/** How the credential is shown, the one in use or the next; null: there is no such file. */
export function shownBy(
  directory: Directory,
  paths: EnrolledPaths,
  which: 'current' | 'next',
): Result<ShownCredential | null> {
  const [pem, secret] =
    which === 'current' ? [FILES.credential, FILES.secret] : [FILES.next, FILES.nextSecret];
  const certificate = directory.stat(pem);
  if (!certificate.ok) return certificate;
  const ca: TlsFiles = { ca: paths.ca };
  if (certificate.value) {
    const file = `${paths.folder}/${pem}`;
    return ok({ tls: { ...ca, cert: file, key: file }, account: null });
  }
  const token = directory.stat(secret);
  if (!token.ok) return token;
  if (!token.value) return ok(null);
  const passwordFile = `${paths.folder}/${secret}`;
  return ok({ tls: ca, account: { usernameFile: paths.user, passwordFile } });
}

function readJson(directory: Directory, name: string): Result<JsonObject | null> {
  const bytes = readIfThere(directory, name, FILE_MAX);
  if (!bytes.ok || bytes.value === null) return bytes.ok ? ok(null) : bytes;
  const json = readStrictJson(bytes.value, name);
  if (!json.ok) return damaged(directory, name, json.fault.message);
  return isJsonObject(json.value) ? ok(json.value) : damaged(directory, name, 'it is no object');
}

function damaged(directory: Directory, name: string, reason: string): Result<never> {
  return refuse('enroll.damaged', { file: `${directory.path}/${name}`, reason });
}
