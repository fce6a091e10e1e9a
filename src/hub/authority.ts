/**
 * The hub's own certificate authority, under its folder: `tls/authority.pem` (certificate and key in
 * one file, so that there is never one without the other), `tls/server.pem` (the same for the
 * server), `tls/ca.pem` (the certificate alone, for people). Its certificates begin long before they
 * are made: a device whose clock is behind must not take them for not yet valid.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import { readIfThere, replaceFile } from '#platform/replace-file.ts';
import type { CertifiedKey, Validity } from '#platform/x509.ts';
import { type Digest, sha256 } from '#state/digest.ts';

export interface Authority {
  /** PEM: what devices, brokers and registries trust */
  readonly ca: string;
  /** of the CA certificate, DER: how a token and a person name this hub */
  readonly digest: Digest;
  /** certificate with the CA behind it, so that a device that holds its digest finds it there */
  readonly server: CertifiedKey;
  issueClient(
    of: Validity & { readonly name: string; readonly csr: Uint8Array },
  ): Promise<Result<string>>;
}

export interface AuthorityInput {
  readonly platform: Pick<Platform, 'files' | 'clock' | 'x509' | 'certificates'>;
  /** the hub's, absolute */
  readonly folder: string;
  /** DNS names and addresses of this hub */
  readonly names: readonly string[];
}

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 20 * 365;
/** made anew at a start in its second half */
const SERVER_DAYS = 5 * 365;
const BEGINS_BEFORE_DAYS = 400;
const PEM_MAX = 64 * 1024;
const DIRECTORY_MODE = 0o700;
const PUBLIC_MODE = 0o644;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/;
const KEY = /-----BEGIN PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END PRIVATE KEY-----/;

export async function openAuthority(input: AuthorityInput): Promise<Result<Authority>> {
  const path = `${input.folder}/tls`;
  const opened = input.platform.files.open(path, { create: DIRECTORY_MODE, follow: true });
  if (!opened.ok) return opened;
  try {
    return await openIn(opened.value, input);
  } finally {
    opened.value.close();
  }
}

async function openIn(directory: Directory, input: AuthorityInput): Promise<Result<Authority>> {
  const { x509, certificates } = input.platform;
  const authority = await authorityIn(directory, input);
  if (!authority.ok) return authority;
  const parsed = certificates(authority.value.certificate);
  const [own] = parsed.ok ? parsed.value : [];
  if (!parsed.ok || !own) return damaged(directory, 'authority.pem');
  const ca = `${authority.value.certificate}\n`;
  const shown = replaceFile(directory, 'ca.pem', Buffer.from(ca), PUBLIC_MODE);
  if (!shown.ok) return shown;
  const server = await serverIn(directory, authority.value, input);
  if (!server.ok) return server;
  return ok({
    ca,
    digest: sha256(own.raw),
    server: { certificate: `${server.value.certificate}\n${ca}`, key: server.value.key },
    issueClient: (of) => x509.issueClient(authority.value, of),
  });
}

async function authorityIn(
  directory: Directory,
  { platform }: AuthorityInput,
): Promise<Result<CertifiedKey>> {
  const kept = keptIn(directory, 'authority.pem');
  if (!kept.ok) return kept;
  if (kept.value) return ok(kept.value);
  const now = platform.clock.wallMs();
  const mark = sha256(Buffer.from(`${now}`)).slice(7, 15);
  const made = await platform.x509.makeAuthority({
    name: `Holdfast hub ${mark}`,
    notBefore: now - BEGINS_BEFORE_DAYS * DAY_MS,
    notAfter: now + AUTHORITY_DAYS * DAY_MS,
  });
  return keep(directory, 'authority.pem', made);
}

async function serverIn(
  directory: Directory,
  authority: CertifiedKey,
  { platform, names }: AuthorityInput,
): Promise<Result<CertifiedKey>> {
  const now = platform.clock.wallMs();
  const kept = keptIn(directory, 'server.pem');
  if (!kept.ok) return kept;
  if (kept.value && isFit(kept.value, authority, { platform, names }, now)) return ok(kept.value);
  const made = await platform.x509.issueServer(authority, {
    names,
    notBefore: now - BEGINS_BEFORE_DAYS * DAY_MS,
    notAfter: now + SERVER_DAYS * DAY_MS,
  });
  return made.ok ? keep(directory, 'server.pem', made.value) : made;
}

function isFit(
  kept: CertifiedKey,
  authority: CertifiedKey,
  { platform, names }: Pick<AuthorityInput, 'platform' | 'names'>,
  now: number,
): boolean {
  const read = platform.certificates(`${kept.certificate}\n${authority.certificate}`);
  const [leaf, issuer] = read.ok ? read.value : [];
  if (!leaf || !issuer) return false;
  const inForce = leaf.notBefore <= now && leaf.notAfter - now > (SERVER_DAYS / 2) * DAY_MS;
  return inForce && names.every((name) => leaf.matches(name)) && leaf.signedBy(issuer);
}

/** Null: there is none yet. */
function keptIn(directory: Directory, name: string): Result<CertifiedKey | null> {
  const bytes = readIfThere(directory, name, PEM_MAX);
  if (!bytes.ok) return bytes;
  if (bytes.value === null) return ok(null);
  const text = Buffer.from(bytes.value).toString('latin1');
  const [certificate] = CERTIFICATE.exec(text) ?? [];
  const [key] = KEY.exec(text) ?? [];
  return certificate && key ? ok({ certificate, key }) : damaged(directory, name);
}

function keep(directory: Directory, name: string, made: CertifiedKey): Result<CertifiedKey> {
  const bytes = Buffer.from(`${made.certificate}\n${made.key}\n`);
  const written = replaceFile(directory, name, bytes);
  return written.ok ? ok(made) : written;
}

/** Never made anew by itself: every device trusts the one that was there. */
function damaged(directory: Directory, name: string): Result<never> {
  return refuse('hub.record-damaged', { file: `${directory.path}/${name}` });
}
