/**
 * Signature files as tools write them, brought down to what one `sig` of an envelope may hold. Only
 * armour is taken off here: whether it is a signature, and whose, is threshold.ts's to say.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import type { Envelope } from '#state/envelope.ts';
import { pae } from '#trust/dsse.ts';
import { verifyEd25519 } from '#trust/ed25519.ts';
import { readEnvelope } from '#wire/envelope.ts';
import { decodeBase64, decodeText, encodeText } from '#wire/text.ts';
import { globalMessage, readMinisig } from './minisign.ts';
import { COMMENT, readSignifySignature } from './signify.ts';
import { looksLikeSshsig } from './sshsig.ts';

export interface SignatureFile {
  readonly from: 'plain' | 'SSHSIG' | 'minisign' | 'minisign, old form' | 'signify' | 'DSSE';
  /** each for one `sig`; more than one only from a DSSE envelope */
  readonly sigs: readonly Uint8Array[];
  /** All that must hold beyond what `sigs` say, for a key of 32 bytes: nothing is dropped unverified. */
  holdsFor(rawKey: Uint8Array): boolean;
}

/** bytes of a file that is no envelope; an envelope has LIMITS.envelopeBytes */
const FILE_BYTES_MAX = 4_096;
const PLAIN_MAX = 72;
const ED25519_BYTES = 64;
const SEQUENCE = 0x30;
const BRACE = 0x7b;
const SSH_ARMOUR =
  /^\s*-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END SSH SIGNATURE-----\s*$/;

/** @param signed  the envelope that the signature is to be added to: a DSSE file must have the same */
export function readSignatureFile(
  file: Uint8Array,
  signed: Pick<Envelope, 'payloadType' | 'payload'>,
): Result<SignatureFile> {
  if (isPlain(file)) return plain(file);
  if (looksLikeSshsig(file)) return ok({ from: 'SSHSIG', sigs: [file], holdsFor: () => true });
  if (file[0] === BRACE) return fromEnvelope(file, signed);
  const text = file.length <= FILE_BYTES_MAX ? decodeText(file) : null;
  if (text === null) return unusable('signature', `${file.length} bytes of no form known here`);
  const armour = SSH_ARMOUR.exec(text)?.[1];
  if (armour !== undefined) {
    const blob = decodeBase64(armour.replace(/\s/g, ''));
    if (!blob) return unusable('SSHSIG', 'its base64 is damaged');
    return ok({ from: 'SSHSIG', sigs: [blob], holdsFor: () => true });
  }
  if (text.startsWith(COMMENT)) return fromSignify(text);
  const decoded = decodeBase64(text.trim()); // cosign and others print base64
  if (decoded && isPlain(decoded)) return plain(decoded);
  return unusable('signature', 'it has none of the forms known here');
}

/** 64 bytes of Ed25519, or DER of ECDSA. */
function isPlain(bytes: Uint8Array): boolean {
  if (bytes.length === ED25519_BYTES) return true;
  return bytes[0] === SEQUENCE && bytes[1] === bytes.length - 2 && bytes.length <= PLAIN_MAX;
}

function plain(sig: Uint8Array): Result<SignatureFile> {
  return ok({ from: 'plain', sigs: [sig], holdsFor: () => true });
}

/** Both of minisign's forms and signify's begin alike; what was prehashed is kept whole. */
function fromSignify(text: string): Result<SignatureFile> {
  const lines = `${text.replaceAll('\r\n', '\n').trimEnd()}\n`;
  const file = encodeText(lines);
  if (lines.split('\n').length === 3) {
    const read = readSignifySignature(file);
    if (!read.ok) return read;
    return ok({ from: 'signify', sigs: [read.value.bytes], holdsFor: () => true });
  }
  const read = readMinisig(file);
  if (!read.ok) return read;
  const minisig = read.value;
  if (minisig.algorithm === 'ED')
    return ok({ from: 'minisign', sigs: [file], holdsFor: () => true });
  // ATTACKS S19: the old form is kept as its 64 bytes, so its second signature is judged here
  return ok({
    from: 'minisign, old form',
    sigs: [minisig.bytes],
    holdsFor: (rawKey) => verifyEd25519(rawKey, globalMessage(minisig), minisig.globalSignature),
  });
}

/** ATTACKS S17: signatures of an envelope around anything else are not looked at. */
function fromEnvelope(
  file: Uint8Array,
  signed: Pick<Envelope, 'payloadType' | 'payload'>,
): Result<SignatureFile> {
  const envelope = readEnvelope(file);
  if (!envelope.ok) return envelope;
  const { payloadType, payload, signatures } = envelope.value;
  const same = Buffer.compare(pae(payloadType, payload), pae(signed.payloadType, signed.payload));
  if (same !== 0) return unusable('DSSE', 'the envelope holds another payload than this one');
  return ok({ from: 'DSSE', sigs: signatures.map(({ sig }) => sig), holdsFor: () => true });
}

function unusable(format: string, reason: string): Result<never> {
  return refuse('format.signature', { format, reason });
}
