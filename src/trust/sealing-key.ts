/**
 * The sealing key of a device: X25519, apart from the key it signs with. Private as PKCS#8, public
 * as SPKI (RFC 8410), so that `openssl pkey` reads both; the raw 32 bytes are for sealed-value.ts.
 */
import nacl from 'tweetnacl';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { decodeBase64, decodeText } from '#wire/text.ts';

export interface SealingKey {
  /** 32 bytes */
  readonly secret: Uint8Array;
  /** 32 bytes */
  readonly publicKey: Uint8Array;
}

export const SEALING_KEY_BYTES = 32;
/** bytes of a file with one key */
export const SEALING_FILE_BYTES = 4_096;
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const PEM = /^\s*-----BEGIN ([A-Z ]{1,40})-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----\s*$/;
const PRIVATE = 'PRIVATE KEY';
const PUBLIC = 'PUBLIC KEY';

/** @param secret  32 bytes nobody else knows */
export function sealingKeyOf(secret: Uint8Array): SealingKey {
  return { secret, publicKey: nacl.box.keyPair.fromSecretKey(secret).publicKey };
}

export function sealingSpki(publicKey: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([SPKI_PREFIX, publicKey]));
}

/** The 32 bytes, or null: another key, another encoding, or a point that keeps no secret. */
export function sealingFromSpki(der: Uint8Array): Uint8Array | null {
  const raw = after(SPKI_PREFIX, der);
  return raw && isSafe(raw) ? raw : null;
}

export function sealingPem(key: SealingKey): string {
  return pem(PRIVATE, Buffer.concat([PKCS8_PREFIX, key.secret]));
}

export function sealingPublicPem(publicKey: Uint8Array): string {
  return pem(PUBLIC, sealingSpki(publicKey));
}

/** The device's own file. @param what  for messages */
export function readSealingPem(file: Uint8Array, what: string): Result<SealingKey> {
  const der = derOf(file, PRIVATE);
  if (typeof der === 'string') return refuse('values.sealing-key', { what, reason: der });
  const raw = after(PKCS8_PREFIX, der);
  return raw
    ? ok(sealingKeyOf(raw))
    : refuse('values.sealing-key', { what, reason: 'it is not X25519 (PKCS#8)' });
}

/** What a device shows of itself. @returns 32 bytes */
export function readSealingPublicPem(file: Uint8Array, what: string): Result<Uint8Array> {
  const der = derOf(file, PUBLIC);
  if (typeof der === 'string') return refuse('values.sealing-key', { what, reason: der });
  const raw = sealingFromSpki(der);
  return raw
    ? ok(raw)
    : refuse('values.sealing-key', { what, reason: 'it is not a usable X25519 key (SPKI)' });
}

function derOf(file: Uint8Array, label: string): Uint8Array | string {
  const text = file.length > SEALING_FILE_BYTES ? null : decodeText(file);
  const block = text === null ? null : PEM.exec(text);
  if (!block) return 'it is not one PEM block';
  if (block[1] !== label) return `it is a PEM "${block[1]}", not "${label}"`;
  return decodeBase64((block[2] ?? '').replace(/\s/g, '')) ?? 'its base64 is damaged';
}

function after(prefix: Buffer, der: Uint8Array): Uint8Array | null {
  if (der.length !== prefix.length + SEALING_KEY_BYTES) return null;
  return prefix.equals(der.subarray(0, prefix.length)) ? der.slice(prefix.length) : null;
}

/** RFC 7748 section 6.1: of a point of small order everybody knows the shared secret. */
function isSafe(publicKey: Uint8Array): boolean {
  const anything = new Uint8Array(SEALING_KEY_BYTES).fill(1);
  return nacl.scalarMult(anything, publicKey).some((byte) => byte !== 0);
}

function pem(label: string, der: Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(der).toString('base64')}\n-----END ${label}-----\n`;
}
