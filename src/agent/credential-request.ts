/**
 * One credential from asking to using it: request, answer, proof, adoption. Every step leaves files
 * that the next start goes on from (enrolled.ts), and asking again for the same key gets the same
 * certificate; so a cut anywhere costs at most one more request.
 *
 * Invariant: the credential in use is replaced only after the new one has opened the hub on a
 * connection of its own; until then both are on the disk.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { HubLink, ShownCredential } from '#link/enrolment.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { Signer } from '#platform/signer.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type {
  CredentialKind,
  EnrolmentPurpose,
  EnrolmentRequest,
  IssuedAnswer,
} from '#state/enrolment.ts';
import { PAYLOAD } from '#state/media-types.ts';
import { pae } from '#trust/dsse.ts';
import { keyidOf } from '#trust/ed25519.ts';
import { writeEnrolmentRequest } from '#wire/enrolment.ts';
import { writeEnvelopeMessage } from '#wire/envelope-message.ts';
import {
  type Enrolled,
  type EnrolledPaths,
  FILES,
  type HeldCredential,
  readCredential,
  shownBy,
} from './enrolled.ts';

export interface CredentialInput {
  readonly platform: Pick<Platform, 'certificates' | 'x509'>;
  readonly directory: Directory;
  readonly paths: EnrolledPaths;
  readonly hub: HubLink;
  readonly signer: Signer;
  readonly enrolled: Enrolled;
  readonly agentVersion: string;
}

const KEY_MAX = 16 * 1024;

/**
 * Null: an operator has to decide. The answer's files are durable and not yet proven.
 * @param note  keeps what else the answer says, before the credential that ends the asking
 */
export async function askForCredential(
  input: CredentialInput,
  purpose: EnrolmentPurpose,
  note: (answer: IssuedAnswer) => Result<undefined> = () => ok(),
): Promise<Result<IssuedAnswer | null>> {
  const { directory, hub, enrolled } = input;
  const key = requestKey(input);
  if (!key.ok) return key;
  const nonce = await hub.nonce();
  if (!nonce.ok) return nonce;
  const signed = await signedRequest(input, {
    purpose,
    hub: enrolled.authority,
    nonce: nonce.value,
    deviceKey: input.signer.publicKey,
    deviceId: enrolled.deviceId,
    labels: enrolled.labels,
    kind: enrolled.kind,
    csr: key.value.csr,
    token: purpose === 'enrol' ? enrolled.token : '',
    agentVersion: input.agentVersion,
  });
  if (!signed.ok) return signed;
  const shown = shownBy(directory, input.paths, 'current');
  if (!shown.ok) return shown;
  const nobody: ShownCredential = { tls: { ca: input.paths.ca }, account: null };
  const answer = await hub.ask(signed.value, shown.value ?? nobody);
  if (!answer.ok) return answer;
  if (answer.value.kind === 'pending') return ok(null);
  const noted = note(answer.value);
  if (!noted.ok) return noted;
  const kept = keepNext(input, answer.value, key.value.keyPem);
  return kept.ok ? ok(answer.value) : kept;
}

/** The next one opens the hub: it becomes the one in use. */
export async function proveAndAdopt(input: CredentialInput): Promise<Result<HeldCredential>> {
  const { directory, paths, hub, enrolled } = input;
  const next = shownBy(directory, paths, 'next');
  if (!next.ok) return next;
  if (!next.value) return refuse('enroll.unproven', { reason: 'there is none' });
  const proof = await hub.prove(next.value);
  if (!proof.ok) {
    // A hub that cannot be reached says nothing about the credential.
    const said = proof.fault.code === 'link.unauthorized';
    return said ? refuse('enroll.unproven', { reason: proof.fault.message }) : proof;
  }
  if (proof.value.device !== enrolled.deviceId) {
    return refuse('enroll.unproven', { reason: `it is ${proof.value.device}’s` });
  }
  const adopted = adopt(directory, enrolled.kind);
  if (!adopted.ok) return adopted;
  const held = readCredential(input.platform, directory);
  if (!held.ok) return held;
  return held.value
    ? ok(held.value)
    : refuse('enroll.damaged', { file: paths.folder, reason: 'the credential is gone' });
}

/** A credential that was issued and not yet proven is on the disk. */
export function hasNext(directory: Directory): boolean {
  const certificate = directory.stat(FILES.next);
  const secret = directory.stat(FILES.nextSecret);
  return (certificate.ok && certificate.value !== null) || (secret.ok && secret.value !== null);
}

/** What cannot be used is given up; the next request makes another. */
export function dropNext(directory: Directory): Result<undefined> {
  for (const name of [FILES.next, FILES.nextSecret, FILES.request]) {
    const removed = directory.removeTree(name);
    if (!removed.ok) return removed;
  }
  const synced = directory.sync();
  return synced.ok ? ok() : synced;
}

/** The same key as before a cut: the hub then answers with the same certificate. */
function requestKey({
  platform,
  directory,
  enrolled,
}: CredentialInput): Result<{ readonly csr: Uint8Array; readonly keyPem: string }> {
  if (enrolled.kind === 'token') return ok({ csr: new Uint8Array(), keyPem: '' });
  const kept = readIfThere(directory, FILES.request, KEY_MAX);
  if (!kept.ok) return kept;
  const before = kept.value === null ? null : requestFrom(kept.value);
  if (before) return ok(before);
  const made = platform.x509.makeRequest(enrolled.deviceId);
  const csr = Buffer.from(made.csr).toString('base64');
  const written = replaceFile(directory, FILES.request, Buffer.from(`${csr}\n${made.keyPem}`));
  return written.ok ? ok(made) : written;
}

/** `request.key`: the PKCS#10 in base64 on the first line, then its key. */
function requestFrom(
  bytes: Uint8Array,
): { readonly csr: Uint8Array; readonly keyPem: string } | null {
  const text = Buffer.from(bytes).toString('latin1');
  const end = text.indexOf('\n');
  const keyPem = text.slice(end + 1);
  if (end < 1 || !keyPem.startsWith('-----BEGIN PRIVATE KEY-----')) return null;
  return { csr: new Uint8Array(Buffer.from(text.slice(0, end), 'base64')), keyPem };
}

async function signedRequest(
  { signer }: CredentialInput,
  request: EnrolmentRequest,
): Promise<Result<Uint8Array>> {
  const payload = writeEnrolmentRequest(request);
  const sig = await signer.sign(pae(PAYLOAD.enrolment, payload));
  if (!sig.ok) return sig;
  const signatures = [{ keyid: keyidOf(signer.publicKey), sig: sig.value }];
  return ok(writeEnvelopeMessage({ payloadType: PAYLOAD.enrolment, payload, signatures }));
}

/** Judged, then durable: authorities, dates, the credential itself last. */
function keepNext(input: CredentialInput, answer: IssuedAnswer, keyPem: string): Result<undefined> {
  const { directory, enrolled, platform } = input;
  const no = (reason: string): Result<undefined> => refuse('enroll.answer', { reason });
  if (answer.deviceId !== enrolled.deviceId) return no(`it is for ${answer.deviceId}`);
  if (answer.credential !== enrolled.kind) return no(`it is a ${answer.credential}`);
  const [leaf] = leavesOf(platform, answer.certificate);
  const ofKey = leaf && platform.x509.belongTogether(answer.certificate, keyPem);
  if (enrolled.kind === 'certificate' && !ofKey) return no('the certificate is for another key');
  const trusted = keepAuthorities(input, answer.authorities);
  if (!trusted.ok) return trusted;
  const token = Buffer.from(answer.secret);
  const fingerprint = sha256(leaf ? leaf.raw : token);
  const { issuedAt, notAfter } = answer;
  const dates = Buffer.from(JSON.stringify({ fingerprint, issuedAt, notAfter }));
  const dated = replaceFile(directory, `next-${FILES.dates}`, dates);
  if (!dated.ok) return dated;
  if (leaf) return replaceFile(directory, FILES.next, Buffer.from(answer.certificate + keyPem));
  const named = replaceFile(directory, FILES.user, Buffer.from(`${enrolled.deviceId}\n`));
  if (!named.ok) return named;
  return replaceFile(directory, FILES.nextSecret, Buffer.from(`${answer.secret}\n`));
}

/** New authorities count only beside one that counts already: a change of CA overlaps. */
function keepAuthorities(
  { directory, enrolled, platform }: CredentialInput,
  pem: string,
): Result<undefined> {
  const offered = leavesOf(platform, pem).map(({ raw }) => sha256(raw));
  const held = readIfThere(directory, FILES.ca, KEY_MAX * 16);
  if (!held.ok) return held;
  const text = held.value === null ? '' : Buffer.from(held.value).toString('latin1');
  const known: readonly Digest[] = [
    enrolled.authority,
    ...leavesOf(platform, text).map(({ raw }) => sha256(raw)),
  ];
  if (!offered.some((digest) => known.includes(digest))) {
    return refuse('enroll.answer', { reason: 'it names no authority that this device knows' });
  }
  return text === pem ? ok() : replaceFile(directory, FILES.ca, Buffer.from(pem));
}

function leavesOf({ certificates }: Pick<Platform, 'certificates'>, pem: string) {
  const read = certificates(pem);
  return read.ok ? read.value : [];
}

/** Dates first: dates without their credential only make the one in use look due. */
function adopt(directory: Directory, kind: CredentialKind): Result<undefined> {
  for (const [from, to] of [
    [`next-${FILES.dates}`, FILES.dates],
    [FILES.next, FILES.credential],
    [FILES.nextSecret, FILES.secret],
  ] as const) {
    const there = directory.stat(from);
    if (!there.ok) return there;
    if (!there.value) continue;
    const renamed = directory.rename(from, to);
    if (!renamed.ok) return renamed;
  }
  // One kind at a time: what was just adopted is the newer file.
  const others =
    kind === 'certificate' ? [FILES.secret, FILES.user, FILES.request] : [FILES.credential];
  for (const name of others) {
    const removed = directory.removeTree(name);
    if (!removed.ok) return removed;
  }
  const synced = directory.sync();
  return synced.ok ? ok() : synced;
}
