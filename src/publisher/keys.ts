/**
 * Keys in the fleet folder (FORMATS: Keys): keys/root and keys/signing, NAME.pem and NAME.pub.pem.
 * A private key is opened only to sign; its passphrase comes from whoever runs the command.
 * NAME.added instead of NAME.pem: the private key is somebody's else, in a file, a token or an HSM,
 * and signs by the scheme that NAME.added names; its signatures are attached (attach.ts).
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { KeyFiles, Signer } from '#platform/signer.ts';
import type { RootKey } from '#state/root.ts';
import { keyidOf } from '#trust/ed25519.ts';
import {
  type ForeignKey,
  PUBLIC_KEY_BYTES_MAX,
  readForeignKey,
} from '#trust/formats/public-key.ts';
import { type KnownScheme, SCHEMES } from '#trust/scheme.ts';

export type KeyUse = 'root' | 'signing';

/** Asked once for each encrypted key; null: there is none to be had. */
export type Passphrases = (
  key: string,
  purpose: 'open' | 'create',
) => Promise<Result<string | null>>;

export interface PublicKey {
  readonly name: string;
  readonly keyid: string;
  /** SPKI DER */
  readonly spki: Uint8Array;
  readonly scheme: KnownScheme;
  /** the private key was never here: signatures are attached */
  readonly elsewhere: boolean;
}

const PEM_BYTES = 64 * 1024;
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const FOLDER_MODE = 0o700;
const SCHEME_BYTES = 256;
const P256 = 'ecdsa-p256-sha256';

type KeyPlatform = Pick<Platform, 'files' | 'keyFiles'>;

/** Writes a new pair, fsynced; never over an existing one (`platform.exists`). */
export async function createKey(
  platform: KeyPlatform,
  directory: string,
  key: { readonly use: KeyUse; readonly name: string },
  passphrase: string | null,
): Promise<Result<PublicKey>> {
  const folder = platform.files.open(`${directory}/keys/${key.use}`, {
    follow: true,
    create: FOLDER_MODE,
  });
  if (!folder.ok) return folder;
  try {
    const pair = platform.keyFiles.generate(passphrase);
    const wrote = writePair(folder.value, key.name, pair);
    if (!wrote.ok) return wrote;
  } finally {
    folder.value.close();
  }
  return readPublicKey(platform, directory, key);
}

/**
 * Somebody else's public key, fsynced; never over an existing one (`platform.exists`).
 * @param scheme  null: what the tool that wrote the file signs with
 */
export function addKey(
  platform: KeyPlatform,
  directory: string,
  key: { readonly use: KeyUse; readonly name: string },
  given: { readonly file: Uint8Array; readonly scheme: KnownScheme | null },
): Result<PublicKey & Pick<ForeignKey, 'from'>> {
  const read = readForeignKey(given.file);
  if (!read.ok) return read;
  const { spki, from } = read.value;
  const scheme = given.scheme ?? read.value.scheme;
  if (!SCHEMES[scheme].rawFrom(spki)) {
    return refuse('format.public-key', { reason: `a key of this kind does not sign ${scheme}` });
  }
  const folder = platform.files.open(`${directory}/keys/${key.use}`, {
    follow: true,
    create: FOLDER_MODE,
  });
  if (!folder.ok) return folder;
  const encoder = new TextEncoder();
  const pem = encoder.encode(platform.keyFiles.publicPem(spki));
  const wrote = folder.value.write(`${key.name}.pub.pem`, pem, PUBLIC_MODE);
  const noted = wrote.ok
    ? folder.value.write(`${key.name}.added`, encoder.encode(`${scheme}\n`), PUBLIC_MODE)
    : wrote;
  const synced = noted.ok ? folder.value.sync() : noted;
  folder.value.close();
  if (!synced.ok) return synced;
  const added = readPublicKey(platform, directory, key);
  return added.ok ? ok({ ...added.value, from }) : added;
}

/** The record by which a root names the key. */
export function rootKeyOf({ name, keyid, spki, scheme }: PublicKey): RootKey {
  return { keyid, scheme, publicKey: spki, notAfter: 0, comment: name };
}

function writePair(
  folder: Directory,
  name: string,
  pair: ReturnType<KeyFiles['generate']>,
): Result<void> {
  const encoder = new TextEncoder();
  const secret = folder.write(`${name}.pem`, encoder.encode(pair.privatePem), PRIVATE_MODE);
  if (!secret.ok) return secret;
  const open = folder.write(`${name}.pub.pem`, encoder.encode(pair.publicPem), PUBLIC_MODE);
  return open.ok ? folder.sync() : open;
}

export function readPublicKey(
  platform: KeyPlatform,
  directory: string,
  { use, name }: { readonly use: KeyUse; readonly name: string },
): Result<PublicKey> {
  const pem = readPem(platform.files, directory, `keys/${use}/${name}.pub.pem`, name);
  if (!pem.ok) return pem;
  const der = platform.keyFiles.publicDer(pem.value);
  if (!der.ok) return der;
  const added = readAdded(platform.files, `${directory}/keys/${use}/${name}.added`);
  if (!added.ok) return added;
  const scheme = added.value ?? (SCHEMES.ed25519.rawFrom(der.value) ? 'ed25519' : P256);
  const keyid = keyidOf(der.value);
  return ok({ name, keyid, spki: der.value, scheme, elsewhere: added.value !== null });
}

/** Null: the key was made here. */
function readAdded(files: Files, file: string): Result<KnownScheme | null> {
  const bytes = files.readFile(file, SCHEME_BYTES);
  if (!bytes.ok) return bytes.fault.code === 'platform.missing' ? ok(null) : bytes;
  const text = new TextDecoder().decode(bytes.value).trimEnd();
  const scheme = knownScheme(text);
  const reason = `${file} names no scheme; known are ${SCHEME_NAMES.join(', ')}`;
  return scheme ? ok(scheme) : refuse('config.key', { reason });
}

/** The names of the schemes that count. */
export const SCHEME_NAMES: readonly string[] = Object.keys(SCHEMES);

/** A public key file of any kind that `addKey` reads. */
export function readKeyFile(files: Files, path: string): Result<Uint8Array> {
  return files.readFile(path, PUBLIC_KEY_BYTES_MAX);
}

/** What such a file holds, as a root records it. */
export function readAnyKey(file: Uint8Array): Result<Pick<PublicKey, 'spki' | 'scheme'>> {
  return readForeignKey(file);
}

export function keyidOfFile(file: Uint8Array): Result<string> {
  const key = readForeignKey(file);
  return key.ok ? ok(keyidOf(key.value.spki)) : key;
}

/** Null: no scheme of this version. */
export function knownScheme(text: string): KnownScheme | null {
  return SCHEME_NAMES.includes(text) ? (text as KnownScheme) : null;
}

export async function openSigner(
  platform: KeyPlatform,
  directory: string,
  { use, name }: { readonly use: KeyUse; readonly name: string },
  passphrases: Passphrases,
): Promise<Result<Signer>> {
  const pem = readPem(platform.files, directory, `keys/${use}/${name}.pem`, name);
  return pem.ok ? unlocked(platform, pem.value, `${use}/${name}`, passphrases) : pem;
}

/** @param path  absolute: of a private key that is in no fleet folder */
export async function loadSigner(
  platform: KeyPlatform,
  path: string,
  key: string,
  passphrases: Passphrases,
): Promise<Result<Signer>> {
  const bytes = platform.files.readFile(path, PEM_BYTES);
  if (!bytes.ok) {
    const missing = bytes.fault.code === 'platform.missing';
    return missing ? refuse('publish.key-missing', { key, file: path }) : bytes;
  }
  return unlocked(platform, new TextDecoder().decode(bytes.value), key, passphrases);
}

async function unlocked(
  { keyFiles }: KeyPlatform,
  pem: string,
  key: string,
  passphrases: Passphrases,
): Promise<Result<Signer>> {
  if (!pem.includes('BEGIN ENCRYPTED PRIVATE KEY')) return keyFiles.load(pem, null);
  const passphrase = await passphrases(key, 'open');
  return passphrase.ok ? keyFiles.load(pem, passphrase.value) : passphrase;
}

/** All public keys of one use, by name. */
export function listKeys(
  platform: KeyPlatform,
  directory: string,
  use: KeyUse,
): Result<readonly PublicKey[]> {
  const folder = platform.files.open(`${directory}/keys/${use}`, { follow: true });
  if (!folder.ok) return folder.fault.code === 'platform.missing' ? ok([]) : folder;
  const names = folder.value.list();
  folder.value.close();
  if (!names.ok) return names;
  const keys: PublicKey[] = [];
  for (const file of [...names.value].sort()) {
    const name = /^(.+)\.pub\.pem$/.exec(file)?.[1];
    if (name === undefined) continue;
    const key = readPublicKey(platform, directory, { use, name });
    if (!key.ok) return key;
    keys.push(key.value);
  }
  return ok(keys);
}

function readPem(files: Files, directory: string, file: string, key: string): Result<string> {
  const bytes = files.readFile(`${directory}/${file}`, PEM_BYTES);
  if (bytes.ok) return ok(new TextDecoder().decode(bytes.value));
  return bytes.fault.code === 'platform.missing'
    ? refuse('publish.key-missing', { key, file })
    : bytes;
}
