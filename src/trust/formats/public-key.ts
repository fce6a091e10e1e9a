/**
 * Public keys as the tools of other people write them, brought down to what the root records: an
 * SPKI and one scheme. What a file says of itself decides only what it is read as; who may sign is
 * the root's to say.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { isStrictPoint, rawFromSpki, spkiFromRaw } from '#trust/ed25519.ts';
import { isP256Point, pointFromSpki } from '#trust/p256.ts';
import type { KnownScheme } from '#trust/scheme.ts';
import { decodeBase64, decodeText } from '#wire/text.ts';
import { COMMENT, readSignifyKey } from './signify.ts';
import { readSshKey } from './ssh-key.ts';

export interface ForeignKey {
  /** SPKI DER */
  readonly spki: Uint8Array;
  /** what the tool that wrote the file signs with, unless it is told otherwise */
  readonly scheme: KnownScheme;
  /** for people */
  readonly from: 'SPKI' | 'OpenSSH' | 'OpenSSH, FIDO' | 'minisign' | 'signify';
}

/** bytes of a file with one public key */
export const PUBLIC_KEY_BYTES_MAX = 4_096;
const PEM = /^\s*-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----\s*$/;
const SSH_LINE =
  /^((?:sk-)?ssh-[a-z0-9@.-]{1,60}|ecdsa-[a-z0-9-]{1,60}) ([A-Za-z0-9+/=]+)(?: [^\r\n]*)?\r?\n?$/;
const SEQUENCE = 0x30;

export function readForeignKey(file: Uint8Array): Result<ForeignKey> {
  if (file.length > PUBLIC_KEY_BYTES_MAX) return unusable(`it has ${file.length} bytes`);
  if (file[0] === SEQUENCE) return fromSpki(file); // no text starts so: "0" is no key
  const text = decodeText(file);
  if (text === null) return unusable('it is neither text nor DER');
  const pem = PEM.exec(text);
  if (pem) return fromPem(pem[1] ?? '', pem[2] ?? '');
  if (text.startsWith(COMMENT)) return fromSignify(text);
  const line = SSH_LINE.exec(text);
  if (line) return fromSsh(line[1] ?? '', line[2] ?? '');
  return unusable('it has none of the forms known here');
}

function fromPem(label: string, body: string): Result<ForeignKey> {
  if (label !== 'PUBLIC KEY') {
    const reason = label.endsWith('PRIVATE KEY')
      ? 'it is a private key, which must not leave its owner'
      : `a PEM "${label}" is not a public key (SPKI)`;
    return unusable(reason);
  }
  const der = decodeBase64(body.replace(/\s/g, ''));
  return der ? fromSpki(der) : unusable('its base64 is damaged');
}

/** ATTACKS P13: exactly the two encodings that a root may hold. */
function fromSpki(der: Uint8Array): Result<ForeignKey> {
  const raw = rawFromSpki(der);
  if (raw) return fromEd25519(raw, 'ed25519', 'SPKI');
  const point = pointFromSpki(der);
  if (!point) return unusable('its DER is neither Ed25519 nor P-256 (named curve, uncompressed)');
  if (!isP256Point(point)) return unusable('its point is not on the curve P-256');
  return ok({ spki: der, scheme: 'ecdsa-p256-sha256', from: 'SPKI' });
}

function fromSsh(type: string, base64: string): Result<ForeignKey> {
  const blob = decodeBase64(base64);
  if (!blob) return unusable('its base64 is damaged');
  const key = readSshKey(blob);
  if (!key.ok) return key;
  if (key.value.type !== type) return unusable(`the line says ${type}, the key ${key.value.type}`);
  const from = key.value.type === 'ssh-ed25519' ? 'OpenSSH' : 'OpenSSH, FIDO';
  return fromEd25519(key.value.raw, 'ed25519', from);
}

/** The two tools write the same bytes. Their default comments differ, and only a guess hangs on it. */
function fromSignify(text: string): Result<ForeignKey> {
  const lines = `${text.replaceAll('\r\n', '\n').trimEnd()}\n`;
  const key = readSignifyKey(new TextEncoder().encode(lines));
  if (!key.ok) return key;
  const minisign = key.value.comment.startsWith('minisign public key');
  return minisign
    ? fromEd25519(key.value.bytes, 'ed25519-blake2b512', 'minisign')
    : fromEd25519(key.value.bytes, 'ed25519', 'signify');
}

function fromEd25519(
  raw: Uint8Array,
  scheme: KnownScheme,
  from: ForeignKey['from'],
): Result<ForeignKey> {
  if (!isStrictPoint(raw)) return unusable('it is a weak Ed25519 key');
  return ok({ spki: spkiFromRaw(raw), scheme, from });
}

function unusable(reason: string): Result<never> {
  return refuse('format.public-key', { reason });
}
