/**
 * Ed25519 keys from names, the same in every run, and signatures remembered by key and bytes: Ed25519
 * signs the same bytes the same way each time (RFC 8032).
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { KeyFiles, Signer } from '#platform/signer.ts';
import { hexOf, sha256 } from '#state/digest.ts';
import type { RootKey } from '#state/root.ts';

export interface SimKey {
  readonly name: string;
  /** SPKI DER */
  readonly publicKey: Uint8Array;
  readonly keyid: string;
  sign(bytes: Uint8Array): Uint8Array;
}

const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SIGNATURES_MAX = 20_000;
const keys = new Map<string, SimKey>();

export function simKey(name: string): SimKey {
  const known = keys.get(name);
  if (known) return known;
  const seed = Buffer.from(hexOf(sha256(new TextEncoder().encode(`key ${name}`))), 'hex');
  const der = Buffer.concat([PKCS8, seed]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicKey = new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }));
  const made: SimKey = {
    name,
    publicKey,
    keyid: hexOf(sha256(publicKey)),
    sign: (bytes) => remembered(name, key, bytes),
  };
  keys.set(name, made);
  return made;
}

const signatures = new Map<string, Uint8Array>();

function remembered(name: string, key: KeyObject, bytes: Uint8Array): Uint8Array {
  const at = `${name}/${sha256(bytes)}`;
  const known = signatures.get(at);
  if (known) return known;
  const signature = new Uint8Array(sign(null, bytes, key));
  if (signatures.size >= SIGNATURES_MAX) signatures.clear();
  signatures.set(at, signature);
  return signature;
}

export function rootKeyOf({ keyid, publicKey, name }: SimKey): RootKey {
  return { keyid, scheme: 'ed25519', publicKey, notAfter: 0, comment: name };
}

/** Device keys: a file that names one. */
export function simKeyFiles(deviceName: string): KeyFiles {
  const load = (pem: string): Result<Signer> => {
    const [, name] = /^SIM KEY (\S+)\n$/.exec(pem) ?? [];
    if (name === undefined) return refuse('config.key', { reason: 'it is damaged' } as never);
    const key = simKey(name);
    return ok({ publicKey: key.publicKey, sign: async (bytes) => ok(key.sign(bytes)) });
  };
  return {
    generate: () => ({ privatePem: `SIM KEY ${deviceName}\n`, publicPem: '' }),
    load,
    publicDer: () => ok(simKey(deviceName).publicKey),
    publicPem: () => '',
  };
}
