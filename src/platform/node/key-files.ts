/**
 * Ed25519 keys in files (FORMATS: Keys). Encrypted ones are PBES2 with PBKDF2-HMAC-SHA256 and
 * AES-256-CBC, written here because the runtime's own export stops at 2,048 iterations; both the
 * runtime and `openssl pkey` read them.
 * @see RFC 8018 section 6.2 and appendix A, RFC 5958, RFC 8410
 */
import {
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  pbkdf2Sync,
  randomBytes,
  sign,
} from 'node:crypto';
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import type { KeyFiles, Signer } from '#platform/signer.ts';
import { der, derInteger, derOid, derSequence, TAG } from './der.ts';

const ITERATIONS = 600_000;
const SALT_BYTES = 16;
const IV_BYTES = 16;
const KEY_BYTES = 32;
/** characters of a PEM file with one key */
const PEM_MAX = 16 * 1024;

const OID = {
  pbes2: '1.2.840.113549.1.5.13',
  pbkdf2: '1.2.840.113549.1.5.12',
  hmacSha256: '1.2.840.113549.2.9',
  aes256Cbc: '2.16.840.1.101.3.4.1.42',
} as const;

export function systemKeyFiles(): KeyFiles {
  return {
    generate(passphrase) {
      const { privateKey, publicKey } = generateKeyPairSync('ed25519');
      const plain = privateKey.export({ type: 'pkcs8', format: 'der' });
      return {
        privatePem:
          passphrase === null
            ? pem('PRIVATE KEY', plain)
            : pem('ENCRYPTED PRIVATE KEY', encrypted(plain, passphrase)),
        publicPem: pem('PUBLIC KEY', publicKey.export({ type: 'spki', format: 'der' })),
      };
    },
    load,
    publicDer,
    publicPem: (bytes) => pem('PUBLIC KEY', bytes),
  };
}

function load(privatePem: string, passphrase: string | null): Result<Signer> {
  const label = labelOf(privatePem);
  if (label !== 'PRIVATE KEY' && label !== 'ENCRYPTED PRIVATE KEY') {
    return badKey(
      label === null ? 'it is not PEM' : `a PEM "${label}" is not a PKCS#8 private key`,
    );
  }
  if (label === 'ENCRYPTED PRIVATE KEY' && passphrase === null) {
    return badKey('it is encrypted and no passphrase was given');
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: privatePem, format: 'pem', passphrase: passphrase ?? '' });
  } catch {
    // The runtime's message may quote the input.
    return badKey(
      passphrase === null ? 'it is damaged' : 'it is damaged, or the passphrase is wrong',
    );
  }
  if (key.asymmetricKeyType !== 'ed25519') {
    return badKey(`its type is ${key.asymmetricKeyType}, not ed25519`);
  }
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return ok({
    publicKey: new Uint8Array(publicKey),
    sign: (message) => Promise.resolve(ok(new Uint8Array(sign(null, message, key)))),
  });
}

/** Attack row P13: a private key is not taken for a public one, nor bytes after the key for none. */
function publicDer(publicPem: string): Result<Uint8Array> {
  const label = labelOf(publicPem);
  if (label !== 'PUBLIC KEY') {
    return badKey(label === null ? 'it is not PEM' : `a PEM "${label}" is not a public key (SPKI)`);
  }
  try {
    const key = createPublicKey({ key: publicPem, format: 'pem' });
    const bytes = key.export({ type: 'spki', format: 'der' });
    const curve = key.asymmetricKeyDetails?.namedCurve;
    if (key.asymmetricKeyType !== 'ed25519' && curve !== 'prime256v1') {
      return badKey(`its type is ${key.asymmetricKeyType}, neither ed25519 nor P-256`);
    }
    return pemBytes(publicPem).equals(bytes)
      ? ok(new Uint8Array(bytes))
      : badKey('it holds more than one plain key');
  } catch {
    return badKey('it is damaged');
  }
}

function badKey(reason: string): Refused {
  return refuse('config.key', { reason });
}

/** The label of a text that is one PEM block and nothing else. */
function labelOf(text: string): string | null {
  if (text.length > PEM_MAX) return null;
  const block = /^\s*-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----\s*$/;
  return block.exec(text)?.[1] ?? null;
}

function pemBytes(text: string): Buffer {
  return Buffer.from(text.replace(/-----[^-]+-----|\s/g, ''), 'base64');
}

function pem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function encrypted(plain: Uint8Array, passphrase: string): Uint8Array {
  const salt = randomBytes(SALT_BYTES);
  const iv = randomBytes(IV_BYTES);
  const key = pbkdf2Sync(passphrase, salt, ITERATIONS, KEY_BYTES, 'sha256');
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()]);
  const derivation = derSequence(
    derOid(OID.pbkdf2),
    derSequence(
      der(TAG.octetString, salt),
      derInteger(ITERATIONS),
      derSequence(derOid(OID.hmacSha256), der(TAG.null)),
    ),
  );
  const scheme = derSequence(derOid(OID.aes256Cbc), der(TAG.octetString, iv));
  return derSequence(
    derSequence(derOid(OID.pbes2), derSequence(derivation, scheme)),
    der(TAG.octetString, sealed),
  );
}
