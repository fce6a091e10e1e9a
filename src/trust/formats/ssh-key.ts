/**
 * OpenSSH public keys: `ssh-ed25519`, and `sk-ssh-ed25519@openssh.com`, whose private half lives in
 * a FIDO authenticator. Both are Ed25519; the second says what is signed in between (sshsig.ts).
 * @see https://github.com/openssh/openssh-portable/blob/V_9_9_P1/PROTOCOL.u2f (SSH U2F key formats)
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { quote } from '#wire/quote.ts';
import { sshReader } from './ssh-wire.ts';

export type SshKeyType = 'ssh-ed25519' | 'sk-ssh-ed25519@openssh.com';

export interface SshKey {
  readonly type: SshKeyType;
  /** 32 bytes */
  readonly raw: Uint8Array;
  /** of an authenticator: starts with `ssh:`; else empty */
  readonly application: string;
}

const TYPE_MAX = 64;
const RAW_BYTES = 32;
/** `ssh:` keeps a key that a browser would use for a web site from signing states. */
const APPLICATION = /^ssh:[\x21-\x7e]{0,60}$/;
const APPLICATION_MAX = 64;

/** The binary key: what stands in base64 in a `.pub` file, and inside of a signature. */
export function readSshKey(blob: Uint8Array): Result<SshKey> {
  const no = (reason: string) => refuse('format.public-key', { reason });
  const reader = sshReader(blob);
  const type = reader.text(TYPE_MAX);
  if (type !== 'ssh-ed25519' && type !== 'sk-ssh-ed25519@openssh.com') {
    return no(`the OpenSSH key type ${quote(type ?? '')} is not ssh-ed25519 or sk-ssh-ed25519`);
  }
  const raw = reader.string(RAW_BYTES);
  if (raw?.length !== RAW_BYTES) return no('the OpenSSH key is not 32 bytes long');
  let application = '';
  if (type !== 'ssh-ed25519') {
    application = reader.text(APPLICATION_MAX) ?? '';
    if (!APPLICATION.test(application)) {
      return no(`the authenticator’s application ${quote(application)} does not start with ssh:`);
    }
  }
  return reader.atEnd() ? ok({ type, raw, application }) : no('bytes follow the OpenSSH key');
}
