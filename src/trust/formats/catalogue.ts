/**
 * The forms that one `sig` of an envelope may have, and how each comes down to Ed25519 or P-256
 * over plain bytes. A form is told by its first bytes, what it may mean by the key's scheme:
 *
 *   scheme              forms that count                        what the key's curve signature is over
 *   ed25519             64 bytes (DSSE, openssl, signify,       PAE
 *                       minisign's old form)
 *                       SSHSIG by ssh-ed25519                   "SSHSIG" … hash of PAE
 *                       SSHSIG by sk-ssh-ed25519                SHA-256("ssh:…") … SHA-256 of the above
 *   ed25519-blake2b512  a minisign file, `ED`                   BLAKE2b-512 of PAE
 *   ecdsa-p256-sha256   DER (cosign, openssl, PKCS#11)          PAE
 *
 * Under `ed25519` the three kinds of bytes differ from their first byte on, so that no signature
 * can be shown as one of another kind. A bare hash has no such mark, so a key that signs bare hashes
 * is a scheme of its own and signs nothing else (docs/decisions/0005-one-scheme-for-each-key.md).
 */
import type { Result } from '#errors/fault.ts';
import { blake2b512Bytes, sha256Bytes, sha512Bytes } from '#state/hash.ts';
import { pae } from '#trust/dsse.ts';
import { quote } from '#wire/quote.ts';
import { encodeText } from '#wire/text.ts';
import { globalMessage, type Minisig, readMinisig } from './minisign.ts';
import { COMMENT } from './signify.ts';
import { looksLikeSshsig, readSshsig, type Sshsig, sshsigMessage } from './sshsig.ts';

/** What one `sig` is, whoever made it. */
export type Form =
  | { readonly kind: 'plain'; readonly signature: Uint8Array }
  | { readonly kind: 'sshsig'; readonly sshsig: Sshsig }
  | { readonly kind: 'minisign'; readonly minisig: Minisig }
  | { readonly kind: 'unusable'; readonly reason: string };

/** One verification: true or false for a key. */
export interface Equation {
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** What is signed, with the hashes of it that forms ask for, each made once and only when asked. */
export interface SignedBytes {
  readonly payloadType: string;
  readonly message: Uint8Array;
  hash(algorithm: HashName): Uint8Array;
}

type HashName = keyof typeof HASHES;
const HASHES = { sha256: sha256Bytes, sha512: sha512Bytes, blake2b512: blake2b512Bytes } as const;
const ED25519_BYTES = 64;
/** bytes: the longest DER signature of P-256; everything that wraps one is longer */
const PLAIN_MAX = 72;
const MINISIGN_MARK = encodeText(COMMENT);

export function signedBytes(payloadType: string, payload: Uint8Array): SignedBytes {
  const message = pae(payloadType, payload);
  const made = new Map<HashName, Uint8Array>();
  return {
    payloadType,
    message,
    hash(algorithm) {
      const known = made.get(algorithm) ?? HASHES[algorithm](message);
      made.set(algorithm, known);
      return known;
    },
  };
}

// Check 9
export function readForm(sig: Uint8Array): Form {
  if (sig.length <= PLAIN_MAX) return { kind: 'plain', signature: sig };
  if (looksLikeSshsig(sig)) {
    const read = readSshsig(sig);
    return read.ok ? { kind: 'sshsig', sshsig: read.value } : unusable(read);
  }
  if (MINISIGN_MARK.every((byte, i) => byte === sig[i])) {
    const read = readMinisig(sig);
    return read.ok ? { kind: 'minisign', minisig: read.value } : unusable(read);
  }
  return { kind: 'unusable', reason: `${sig.length} bytes are no signature of any kind` };
}

/** What must hold, all of it, for the form to be a signature by this key; null: it cannot be one. */
export type Reduce = (
  form: Form,
  rawKey: Uint8Array,
  signed: SignedBytes,
) => readonly Equation[] | null;

export const reduceEd25519: Reduce = (form, rawKey, signed) => {
  if (form.kind === 'plain') {
    const { signature } = form;
    return signature.length === ED25519_BYTES ? [{ message: signed.message, signature }] : null;
  }
  if (form.kind !== 'sshsig') return null;
  const { sshsig } = form;
  if (sshsig.namespace !== namespaceOf(signed.payloadType)) return null;
  if (!rawKey.every((byte, i) => byte === sshsig.key.raw[i])) return null;
  const message = sshsigMessage(sshsig, signed.hash(sshsig.hash));
  return [{ message, signature: sshsig.signature }];
};

export const reduceBlake2b512: Reduce = (form, _rawKey, signed) => {
  if (form.kind !== 'minisign' || form.minisig.algorithm !== 'ED') return null;
  const { minisig } = form;
  return [
    { message: signed.hash('blake2b512'), signature: minisig.bytes },
    { message: globalMessage(minisig), signature: minisig.globalSignature },
  ];
};

export const reduceP256: Reduce = (form, _rawKey, signed) =>
  form.kind === 'plain' ? [{ message: signed.message, signature: form.signature }] : null;

/**
 * SSHSIG's word for a payload type: `application/vnd.holdfast.root.v1+protobuf` is signed with
 * `-n holdfast.root.v1`. Null: nothing that ssh-keygen signs.
 */
export function namespaceOf(payloadType: string): string | null {
  const kind = /^application\/vnd\.holdfast\.([a-z-]{1,32})\.v1\+protobuf$/.exec(payloadType)?.[1];
  if (kind === undefined) return null;
  return `holdfast.${kind === 'desired-state' ? 'state' : kind}.v1`;
}

/** For the message of a refusal: why this form counts for no key that signs this, whatever key. */
export function whyNoSignature(form: Form, payloadType: string): string | null {
  if (form.kind === 'unusable') return form.reason;
  if (form.kind === 'sshsig' && form.sshsig.namespace !== namespaceOf(payloadType)) {
    const wanted = namespaceOf(payloadType) ?? 'none that counts';
    return `SSHSIG has the namespace ${quote(form.sshsig.namespace)}, not ${wanted}`;
  }
  if (form.kind === 'minisign' && form.minisig.algorithm === 'Ed') {
    return 'minisign’s old form (Ed) counts only as 64 bytes, as `holdfast sign --attach` keeps it';
  }
  return null;
}

function unusable(read: Result<unknown>): Form {
  return { kind: 'unusable', reason: read.ok ? '' : read.fault.message };
}
