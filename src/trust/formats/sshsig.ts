/**
 * What `ssh-keygen -Y sign` makes, reduced to one Ed25519 signature: which key, over which bytes.
 * The namespace says what was signed (`holdfast.state.v1`), so that a signature made for git or for
 * another document never counts; the message inside is the same PAE that every other tool signs.
 *
 * Invariants: one spelling of a signature: version 1, empty reserved field, outer and inner types
 * equal, no byte left over. An authenticator's signature needs a person's touch; its counter says
 * nothing here, for replay is what sequences are for.
 *
 * @see https://github.com/openssh/openssh-portable/blob/V_9_9_P1/PROTOCOL.sshsig
 * @see https://github.com/openssh/openssh-portable/blob/V_9_9_P1/PROTOCOL.u2f (SSH U2F signatures)
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { sha256Bytes } from '#state/hash.ts';
import { quote } from '#wire/quote.ts';
import { encodeText } from '#wire/text.ts';
import { readSshKey, type SshKey } from './ssh-key.ts';
import { concatBytes, type SshReader, sshReader, sshString } from './ssh-wire.ts';

export interface Sshsig {
  readonly key: SshKey;
  readonly namespace: string;
  readonly hash: 'sha256' | 'sha512';
  /** 64 bytes */
  readonly signature: Uint8Array;
  /** what an authenticator adds: flags and counter, 5 bytes as signed; else empty */
  readonly touched: Uint8Array;
}

/** bytes of a whole signature: it holds no text of any length */
const SSHSIG_BYTES_MAX = 1_024;
const MAGIC = encodeText('SSHSIG');
const VERSION = 1;
const FIELD_MAX = 256;
const SIGNATURE_BYTES = 64;
/** of an authenticator's flags: somebody touched it */
const USER_PRESENT = 0x01;

/** Whether these bytes mean to be an SSHSIG. */
export function looksLikeSshsig(bytes: Uint8Array): boolean {
  return MAGIC.every((byte, i) => byte === bytes[i]);
}

/** The binary form, without armour. */
export function readSshsig(blob: Uint8Array): Result<Sshsig> {
  if (blob.length > SSHSIG_BYTES_MAX) return unusable(`it has ${blob.length} bytes`);
  const reader = sshReader(blob);
  if (!looksLikeSshsig(reader.raw(MAGIC.length) ?? new Uint8Array())) return unusable('no magic');
  const version = reader.uint32();
  if (version !== VERSION) return unusable(`version ${version} is not ${VERSION}`);
  const keyBlob = reader.string(FIELD_MAX);
  const namespace = reader.text(FIELD_MAX);
  const reserved = reader.string(FIELD_MAX);
  const hash = reader.text(FIELD_MAX);
  const inner = reader.string(FIELD_MAX);
  if (!keyBlob || namespace === null || !reserved || hash === null || !inner) {
    return unusable('it is cut, or a field is too long');
  }
  if (!reader.atEnd()) return unusable('bytes follow it');
  if (reserved.length > 0) return unusable('its reserved field is not empty');
  if (hash !== 'sha512' && hash !== 'sha256') {
    return unusable(`the hash ${quote(hash)} is neither sha512 nor sha256`);
  }
  const key = readSshKey(keyBlob);
  if (!key.ok) return key;
  const signed = readInner(sshReader(inner), key.value);
  return signed.ok ? ok({ key: key.value, namespace, hash, ...signed.value }) : signed;
}

/** The bytes that the Ed25519 signature is over, for a message whose hash by `hash` is `hashed`. */
export function sshsigMessage(
  { key, namespace, hash, touched }: Sshsig,
  hashed: Uint8Array,
): Uint8Array {
  const blob = concatBytes(
    MAGIC,
    sshString(namespace),
    sshString(''),
    sshString(hash),
    sshString(hashed),
  );
  if (key.type === 'ssh-ed25519') return blob;
  return concatBytes(sha256Bytes(encodeText(key.application)), touched, sha256Bytes(blob));
}

function readInner(reader: SshReader, key: SshKey): Result<Pick<Sshsig, 'signature' | 'touched'>> {
  const type = reader.text(FIELD_MAX);
  if (type !== key.type) {
    return unusable(`a signature of type ${quote(type ?? '')} under a key of type ${key.type}`);
  }
  const signature = reader.string(SIGNATURE_BYTES);
  if (signature?.length !== SIGNATURE_BYTES) return unusable('the signature is not 64 bytes long');
  const touched = key.type === 'ssh-ed25519' ? new Uint8Array() : reader.raw(5);
  if (!touched || !reader.atEnd()) return unusable('the signature is cut, or bytes follow it');
  const [flags = USER_PRESENT] = touched;
  if ((flags & USER_PRESENT) === 0) return unusable('nobody touched the authenticator');
  return ok({ signature, touched });
}

function unusable(reason: string) {
  return refuse('format.signature', { format: 'SSHSIG', reason });
}
