/**
 * Keys in the fleet folder (FORMATS: Keys): keys/root and keys/signing, NAME.pem and NAME.pub.pem.
 * A private key is opened only to sign; its passphrase comes from whoever runs the command.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Directory, Files } from '#platform/files.ts';
import type { Platform } from '#platform/platform.ts';
import type { KeyFiles, Signer } from '#platform/signer.ts';
import { keyidOf } from '#trust/ed25519.ts';

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
}

const PEM_BYTES = 64 * 1024;
const PRIVATE_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const FOLDER_MODE = 0o700;

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
  return ok({ name, keyid: keyidOf(der.value), spki: der.value });
}

export async function openSigner(
  platform: KeyPlatform,
  directory: string,
  { use, name }: { readonly use: KeyUse; readonly name: string },
  passphrases: Passphrases,
): Promise<Result<Signer>> {
  const pem = readPem(platform.files, directory, `keys/${use}/${name}.pem`, name);
  if (!pem.ok) return pem;
  if (!pem.value.includes('BEGIN ENCRYPTED PRIVATE KEY')) {
    return platform.keyFiles.load(pem.value, null);
  }
  const passphrase = await passphrases(`${use}/${name}`, 'open');
  return passphrase.ok ? platform.keyFiles.load(pem.value, passphrase.value) : passphrase;
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
