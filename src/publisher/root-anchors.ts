/**
 * The TLS anchors of a root at the desk: by name, read from files, put into a draft and out of it.
 * What their certificates say is for people here; a device judges by its own TLS.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { pemOf } from '#link/root-anchors.ts';
import type { Platform } from '#platform/platform.ts';
import type { PeerCertificate } from '#platform/tls.ts';
import { sha256 } from '#state/digest.ts';
import { LIMITS } from '#state/limits.ts';
import { isId } from '#state/names.ts';
import type { TlsAnchor, TlsTrust } from '#state/root.ts';
import type { Draft } from './root-draft.ts';

/** bytes of a file: one certificate, in PEM perhaps with its text beside it */
const FILE_BYTES = 256 * 1024;
const FINGERPRINT_DIGITS = 16;
const NONE: TlsTrust = { anchors: [], replacesConfigured: false };

/** SHA-256 of the DER in hex: what `openssl x509 -fingerprint -sha256` shows, without the colons. */
export function fingerprintOf({ certificate }: Pick<TlsAnchor, 'certificate'>): string {
  return sha256(certificate).slice('sha256:'.length);
}

/** The comment, where it is a name and no other anchor has it; else the fingerprint's first digits. */
export function anchorsByName(trust: TlsTrust | null): ReadonlyMap<string, TlsAnchor> {
  const anchors = trust?.anchors ?? [];
  const times = new Map<string, number>();
  for (const { comment } of anchors) times.set(comment, (times.get(comment) ?? 0) + 1);
  return new Map(
    anchors.map((anchor) => {
      const { comment } = anchor;
      const known = isId(comment) && times.get(comment) === 1;
      return [known ? comment : fingerprintOf(anchor).slice(0, FINGERPRINT_DIGITS), anchor];
    }),
  );
}

/** What its certificate says; null: this machine cannot read it. */
export function certificateOf(
  { certificates }: Pick<Platform, 'certificates'>,
  { certificate }: Pick<TlsAnchor, 'certificate'>,
): PeerCertificate | null {
  const read = certificates(pemOf(certificate));
  return read.ok ? (read.value[0] ?? null) : null;
}

/** One certificate, PEM or DER. @returns its DER */
export function readAnchorFile(
  platform: Pick<Platform, 'files' | 'certificates'>,
  file: string,
): Result<Uint8Array> {
  const bytes = platform.files.readFile(file, FILE_BYTES);
  if (!bytes.ok) return bytes;
  const text = Buffer.from(bytes.value).toString('latin1');
  const pem = text.includes('-----BEGIN') ? text : pemOf(bytes.value);
  const read = platform.certificates(pem);
  if (!read.ok) return no('file', read.fault.message);
  const [first, ...others] = read.value;
  if (first === undefined || others.length > 0) {
    const reason = `it holds ${read.value.length} certificates: name a file with one, the CA's own`;
    return no('file', reason);
  }
  return ok(first.raw);
}

/** @param given.notAfter  Unix ms; 0: as long as the certificate itself */
export function addAnchor(
  draft: Draft,
  given: { readonly name: string; readonly certificate: Uint8Array; readonly notAfter: number },
): Result<Draft> {
  const { name, certificate, notAfter } = given;
  if (!isId(name)) return no('name', `${JSON.stringify(name)}: use a-z, 0-9, "." and "-"`);
  const trust = draft.tls ?? NONE;
  const known = anchorsByName(trust);
  const fingerprint = fingerprintOf(given);
  const twin = [...known].find(([, anchor]) => fingerprintOf(anchor) === fingerprint);
  if (twin && twin[0] !== name) return no('file', `it is there already, as ${twin[0]}`);
  if (!twin && known.has(name)) return no('name', `another CA has the name ${name}`);
  const made = { certificate, notAfter, comment: name };
  const anchors = twin
    ? trust.anchors.map((anchor) => (anchor === twin[1] ? made : anchor))
    : [...trust.anchors, made];
  if (anchors.length > LIMITS.tlsAnchorsMax) {
    return no('name', `a root names at most ${LIMITS.tlsAnchorsMax} CAs: remove one`);
  }
  const bytes = anchors.reduce((sum, anchor) => sum + anchor.certificate.length, 0);
  if (bytes > LIMITS.tlsAnchorsBytes) {
    return no('file', `all CAs together have at most ${LIMITS.tlsAnchorsBytes} bytes`);
  }
  return ok({ ...draft, tls: { ...trust, anchors } });
}

export function removeAnchor(draft: Draft, name: string): Result<Draft> {
  const trust = draft.tls ?? NONE;
  const known = anchorsByName(trust);
  const gone = known.get(name);
  if (!gone) {
    const names = known.size === 0 ? 'none' : [...known.keys()].join(', ');
    return no('name', `there is no CA ${name}; it has ${names}`);
  }
  const anchors = trust.anchors.filter((anchor) => anchor !== gone);
  const nothing = anchors.length === 0 && !trust.replacesConfigured;
  return ok({ ...draft, tls: nothing ? null : { ...trust, anchors } });
}

/** What becomes of the CAs that devices have in `tls.ca`, or of the system's where they have none. */
export function setConfigured(draft: Draft, say: string): Result<Draft> {
  if (say !== 'keep' && say !== 'replace') return no('configured', 'it is keep or replace');
  const { anchors } = draft.tls ?? NONE;
  if (say === 'replace' && anchors.length === 0) {
    return no('configured', 'the root names no CA to count instead: `root tls add` first');
  }
  const nothing = say === 'keep' && anchors.length === 0;
  return ok({ ...draft, tls: nothing ? null : { anchors, replacesConfigured: say === 'replace' } });
}

function no(option: string, reason: string): Result<never> {
  return refuse('publish.option', { option, reason });
}
