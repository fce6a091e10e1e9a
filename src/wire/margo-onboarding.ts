/**
 * Onboarding of the older dialects of Margo, state ↔ bytes (MARGO.md section 10; M75). A client hands
 * in its certificate and gets an id. The certificate travels as the base64 of its PEM text (the
 * reference agent) or of its DER (the sample of the text): PEM is sent, both are taken.
 */
import * as v from 'valibot';
import { type MargoBody, readMargoBody, wrong } from './margo-json.ts';
import { isJsonObject, readStrictJson } from './strict-json.ts';

const API_VERSION = 'onboarding.margo.org/v1alpha1';
const KIND = 'OnboardingRequest';
/** characters of a certificate in base64 of PEM */
const CERTIFICATE_MAX = 32 * 1024;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const PEM = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/;
const CLIENT_ID = /^[A-Za-z0-9._~-]{1,255}$/;
/** SEQUENCE, its length in one or two bytes more: no certificate is shorter or longer */
const DER = [0x3081, 0x3082];

const schema = v.looseObject({
  apiVersion: v.literal(API_VERSION, `expected ${API_VERSION}`),
  kind: v.literal(KIND, `expected ${KIND}`),
  certificate: v.pipe(
    v.string('expected text'),
    v.nonEmpty('missing'),
    v.maxLength(CERTIFICATE_MAX, 'too long'),
  ),
});

/** Of the request the certificate, DER; nothing in it is judged here. */
export function readOnboarding(bytes: Uint8Array): MargoBody<Uint8Array> {
  const body = readMargoBody(bytes, 'the onboarding request', schema);
  if (body.kind !== 'read') return body;
  const der = certificateOf(body.value.certificate);
  return der ? { kind: 'read', value: der } : wrong('certificate', 'no certificate in base64');
}

/** @param pem  of one certificate */
export function writeOnboarding(pem: string): Uint8Array {
  const certificate = Buffer.from(pem).toString('base64');
  return encoded({ apiVersion: API_VERSION, kind: KIND, certificate });
}

/** Null: no id that could stand in a path. */
export function readClientId(bytes: Uint8Array): string | null {
  const json = readStrictJson(bytes, 'the answer');
  const id = json.ok && isJsonObject(json.value) ? json.value.clientId : null;
  return typeof id === 'string' && isClientId(id) ? id : null;
}

export function writeClientId(clientId: string): Uint8Array {
  return encoded({ clientId });
}

/** One segment of a path, and none that a URL would resolve away. */
export function isClientId(text: string): boolean {
  return CLIENT_ID.test(text) && text !== '.' && text !== '..';
}

/** What a manager says of its root CA: for people, never a reason to trust it. */
export function readRootCa(bytes: Uint8Array): Uint8Array | null {
  const json = readStrictJson(bytes, 'the answer');
  const text = json.ok && isJsonObject(json.value) ? json.value.certificate : null;
  return typeof text === 'string' && text.length <= CERTIFICATE_MAX ? certificateOf(text) : null;
}

export function writeRootCa(pem: string): Uint8Array {
  return encoded({ certificate: Buffer.from(pem).toString('base64') });
}

/** DER; null: neither form. Line breaks, as `base64` writes them, are taken. */
function certificateOf(text: string): Uint8Array | null {
  const bytes = decoded(text);
  if (bytes === null) return null;
  if (isDer(bytes)) return bytes;
  const [, body = ''] = PEM.exec(Buffer.from(bytes).toString('latin1')) ?? [];
  const der = decoded(body);
  return der && isDer(der) ? der : null;
}

function isDer([first = 0, second = 0]: Uint8Array): boolean {
  return DER.includes(first * 256 + second);
}

function decoded(text: string): Uint8Array | null {
  const plain = text.replace(/\s+/g, '');
  return plain !== '' && BASE64.test(plain) ? new Uint8Array(Buffer.from(plain, 'base64')) : null;
}

function encoded(value: Readonly<Record<string, string>>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}
