/**
 * Message keys by node:crypto. A certificate for a new key is written here, in a few lines of DER, so
 * that a device needs no library for it.
 * @see RFC 5280 section 4.1, RFC 9421 section 3.3
 */
import {
  constants,
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type {
  MessageAlgorithm,
  MessageKeyPair,
  MessageKeys,
  MessageSigner,
  MessageVerifier,
} from '#platform/message-keys.ts';
import { der, derInteger, derOid, derSequence, TAG } from './der.ts';

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
} as const;
const SERIAL_BYTES = 16;
/** bits; shorter ones are broken too soon for a machine that stays for twenty years */
const RSA_MIN = 2_048;
const RSA_MAX = 8_192;
/** bytes of a certificate */
const CERTIFICATE_MAX = 16 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/;
const KEY = /-----BEGIN (?:EC |RSA )?PRIVATE KEY-----[A-Za-z0-9+/=\s]+-----END [A-Z ]+-----/;
/** "no well-defined expiration date": RFC 5280 section 4.1.2.5 */
const NO_END = '99991231235959Z';

export function systemMessageKeys(): MessageKeys {
  return { make, signer, verifier };
}

function make(name: string, notBefore: number): MessageKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const algorithm = derSequence(derOid(OID.ecdsaWithSha256));
  const subject = nameOf(name);
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const body = derSequence(
    der(0xa0, derInteger(2)),
    der(TAG.integer, serial),
    algorithm,
    subject,
    derSequence(time(generalized(notBefore)), time(NO_END)),
    subject,
    spki,
    der(
      0xa3,
      derSequence(
        extension(OID.basicConstraints, derSequence()),
        // digitalSignature, the highest of eight bits
        extension(OID.keyUsage, der(TAG.bitString, Uint8Array.of(7, 0x80))),
      ),
    ),
  );
  const signature = sign('sha256', body, privateKey);
  const certificate = derSequence(
    body,
    algorithm,
    der(TAG.bitString, Uint8Array.of(0), new Uint8Array(signature)),
  );
  return {
    certificate: pem(certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
}

function signer({ certificate, key }: MessageKeyPair): Result<MessageSigner> {
  const no = (reason: string): Result<MessageSigner> => refuse('margo.signing-key', { reason });
  const [shown] = CERTIFICATE.exec(certificate) ?? [];
  const [secret] = KEY.exec(key) ?? [];
  if (shown === undefined) return no('there is no certificate in PEM');
  if (secret === undefined) return no('there is no private key in PEM, unencrypted');
  try {
    const parsed = new X509Certificate(shown);
    const private_ = createPrivateKey(secret);
    if (!parsed.checkPrivateKey(private_)) return no('the certificate is for another key');
    const [algorithm] = algorithmsOf(parsed.publicKey);
    if (algorithm === undefined) return no('the key is not P-256, P-384, or RSA of 2048 bits');
    return ok({
      algorithm,
      keyid: createHash('sha256')
        .update(parsed.publicKey.export({ type: 'spki', format: 'der' }))
        .digest('hex'),
      certificate: new Uint8Array(parsed.raw),
      sign: (message) =>
        new Uint8Array(sign(hashOf(algorithm), message, keyFor(private_, algorithm))),
    });
  } catch {
    // The runtime's message may quote the input.
    return no('certificate or key is damaged');
  }
}

function verifier(certificate: Uint8Array): MessageVerifier | null {
  if (certificate.length > CERTIFICATE_MAX) return null;
  let key: KeyObject;
  try {
    const parsed = new X509Certificate(certificate);
    // Bytes behind the certificate would give one key many fingerprints.
    if (parsed.raw.length !== certificate.length) return null;
    key = parsed.publicKey;
  } catch {
    return null;
  }
  const algorithms = algorithmsOf(key);
  if (algorithms.length === 0) return null;
  return {
    algorithms,
    verify(algorithm, message, signature) {
      if (!algorithms.includes(algorithm)) return false;
      try {
        return verify(hashOf(algorithm), message, keyFor(key, algorithm), signature);
      } catch {
        return false;
      }
    },
  };
}

function algorithmsOf(key: KeyObject): readonly MessageAlgorithm[] {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'prime256v1') return ['ecdsa-p256-sha256'];
  if (key.asymmetricKeyType === 'ec' && namedCurve === 'secp384r1') return ['ecdsa-p384-sha384'];
  const fits = modulusLength >= RSA_MIN && modulusLength <= RSA_MAX;
  return key.asymmetricKeyType === 'rsa' && fits ? ['rsa-v1_5-sha256', 'rsa-pss-sha256'] : [];
}

function hashOf(algorithm: MessageAlgorithm): string {
  return algorithm === 'ecdsa-p384-sha384' ? 'sha384' : 'sha256';
}

function keyFor(key: KeyObject, algorithm: MessageAlgorithm) {
  switch (algorithm) {
    case 'ecdsa-p256-sha256':
    case 'ecdsa-p384-sha384':
      return { key, dsaEncoding: 'ieee-p1363' } as const;
    case 'rsa-v1_5-sha256':
      return { key, padding: constants.RSA_PKCS1_PADDING };
    case 'rsa-pss-sha256':
      return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  }
}

function nameOf(name: string): Uint8Array {
  const value = der(0x0c, new Uint8Array(Buffer.from(name)));
  return derSequence(der(0x31, derSequence(derOid(OID.commonName), value)));
}

/** Critical: who does not know it must not take the certificate. */
function extension(oid: string, value: Uint8Array): Uint8Array {
  return derSequence(
    derOid(oid),
    der(TAG.boolean, Uint8Array.of(0xff)),
    der(TAG.octetString, value),
  );
}

/** GeneralizedTime from 2050 on, UTCTime before. */
function time(text: string): Uint8Array {
  const late = Number(text.slice(0, 4)) >= 2050;
  return der(late ? 0x18 : 0x17, new Uint8Array(Buffer.from(late ? text : text.slice(2))));
}

function generalized(ms: number): string {
  return `${new Date(ms).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
}

function pem(raw: Uint8Array): string {
  const lines =
    Buffer.from(raw)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
