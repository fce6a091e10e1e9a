/**
 * Certificates by @peculiar/x509, which only a hub loads, when it first makes one; a device makes
 * its PKCS#10 request here, in a few lines of DER, so that an agent that renews stays small.
 * @see RFC 5280 section 4, RFC 2986 section 4
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { CertifiedKey, Named, Validity, X509 } from '#platform/x509.ts';
import { der, derInteger, derOid, derSequence, TAG } from './der.ts';
import { systemMessageKeys } from './message-keys.ts';

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;
const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const SERIAL_BYTES = 16;
const UTF8_STRING = 0x0c;
const CONTEXT_0 = 0xa0;

type Library = typeof import('@peculiar/x509');

export function systemX509(): X509 {
  const messageKeys = systemMessageKeys();
  return { makeAuthority, issueServer, issueClient, makeRequest, belongTogether, messageKeys };
}

/** The library wants the metadata of reflect-metadata to be there before it is loaded. */
async function library(): Promise<Library> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

async function makeAuthority({ name, notBefore, notAfter }: Named): Promise<CertifiedKey> {
  const x509 = await library();
  const pair = newKey();
  const keys = await webKeys(pair.key);
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerial(),
    name: [{ CN: [name] }],
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    signingAlgorithm: P256,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pemOf(made.rawData), key: pair.key };
}

async function issueServer(
  authority: CertifiedKey,
  { names, notBefore, notAfter }: Validity & { readonly names: readonly string[] },
): Promise<Result<CertifiedKey>> {
  const pair = newKey();
  const issued = await issue(authority, {
    ...{ name: names[0] ?? 'hub', notBefore, notAfter, names },
    spki: pair.spki,
    purpose: OID.serverAuth,
  });
  return issued.ok ? ok({ certificate: issued.value, key: pair.key }) : issued;
}

async function issueClient(
  authority: CertifiedKey,
  { csr, ...of }: Named & { readonly csr: Uint8Array },
): Promise<Result<string>> {
  const spki = await keyOfRequest(csr);
  if (spki === null) {
    const reason = 'it holds no PKCS#10 request signed by a P-256 key';
    return refuse('enroll.request', { reason });
  }
  return issue(authority, { ...of, names: [], spki, purpose: OID.clientAuth });
}

interface Wanted extends Named {
  /** subject alternative names; none: the common name, as a DNS name */
  readonly names: readonly string[];
  readonly spki: Uint8Array;
  readonly purpose: string;
}

async function issue(authority: CertifiedKey, wanted: Wanted): Promise<Result<string>> {
  const x509 = await library();
  try {
    const issuer = new x509.X509Certificate(authority.certificate);
    const { privateKey: signingKey } = await webKeys(authority.key);
    const publicKey = await crypto.subtle.importKey(
      'spki',
      Uint8Array.from(wanted.spki),
      P256,
      true,
      ['verify'],
    );
    const names = wanted.names.length === 0 ? [wanted.name] : wanted.names;
    const made = await x509.X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: [{ CN: [wanted.name] }],
      issuer: issuer.subjectName,
      notBefore: new Date(wanted.notBefore),
      notAfter: new Date(wanted.notAfter),
      signingAlgorithm: P256,
      publicKey,
      signingKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([wanted.purpose]),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
        ),
        await x509.SubjectKeyIdentifierExtension.create(publicKey),
        await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ],
    });
    return ok(pemOf(made.rawData));
  } catch (error) {
    // The library's messages are about structure; keys are in none of them.
    const reason = error instanceof Error ? error.message.slice(0, 200) : 'the authority';
    return refuse('config.certificate', { reason });
  }
}

/** SPKI DER of a request that its own P-256 key has signed; null for any other bytes. */
async function keyOfRequest(csr: Uint8Array): Promise<Uint8Array | null> {
  const x509 = await library();
  try {
    const request = new x509.Pkcs10CertificateRequest(Uint8Array.from(csr));
    const spki = new Uint8Array(request.publicKey.rawData);
    const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return null;
    return (await request.verify()) ? spki : null;
  } catch {
    return null;
  }
}

/** CertificationRequestInfo: version, subject, SPKI, no attributes; signed by the key itself. */
function makeRequest(name: string): { readonly keyPem: string; readonly csr: Uint8Array } {
  const pair = newKey();
  const commonName = derSequence(
    derOid(OID.commonName),
    der(UTF8_STRING, new Uint8Array(Buffer.from(name))),
  );
  const subject = derSequence(der(0x31, commonName));
  const info = derSequence(derInteger(0), subject, pair.spki, der(CONTEXT_0));
  const signature = new Uint8Array(sign('sha256', info, createPrivateKey(pair.key)));
  const csr = derSequence(
    info,
    derSequence(derOid(OID.ecdsaWithSha256)),
    der(TAG.bitString, Uint8Array.of(0), signature),
  );
  return { keyPem: pair.key, csr };
}

function belongTogether(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

function newKey(): { readonly key: string; readonly spki: Uint8Array } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    spki: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })),
  };
}

/** A key of a PEM file for WebCrypto, which the library signs with. */
async function webKeys(keyPem: string): Promise<CryptoKeyPair> {
  const key = createPrivateKey(keyPem);
  const pkcs8 = Uint8Array.from(key.export({ type: 'pkcs8', format: 'der' }));
  const spki = Uint8Array.from(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  const [privateKey, publicKey] = await Promise.all([
    crypto.subtle.importKey('pkcs8', pkcs8, P256, false, ['sign']),
    crypto.subtle.importKey('spki', spki, P256, true, ['verify']),
  ]);
  return { privateKey, publicKey };
}

/** Positive, never 0, in the shortest DER form. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function pemOf(raw: ArrayBuffer): string {
  const text = Buffer.from(raw).toString('base64');
  const lines = text.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
