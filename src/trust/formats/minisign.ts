/**
 * minisign's signature file: four lines, two signatures. The first is over the message (`Ed`, its
 * old form) or over the message's BLAKE2b-512 (`ED`, what it makes today); the second, the global
 * one, is over the first and the trusted comment. Neither covers the two letters: which of the two
 * a key uses is said by its record in the root, never by the file (docs/decisions/0005-one-scheme-for-each-key.md).
 * @see https://jedisct1.github.io/minisign/ (Signature format)
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { decodeBase64, encodeText, hasControl } from '#wire/text.ts';
import { linesOf, readBlob, type SignifyBlob } from './signify.ts';

export interface Minisig extends SignifyBlob {
  readonly trustedComment: string;
  /** 64 bytes */
  readonly globalSignature: Uint8Array;
}

const TRUSTED = 'trusted comment: ';
const SIGNATURE_BYTES = 64;

export function readMinisig(file: Uint8Array): Result<Minisig> {
  const lines = linesOf(file);
  if (lines?.length !== 4) return unusable('it is not four lines of text');
  const blob = readBlob(lines, SIGNATURE_BYTES);
  if (!blob) return unusable('the second line holds no signature');
  const [, , comment = '', encoded = ''] = lines;
  // minisign's own comment parts its fields by tabs
  if (!comment.startsWith(TRUSTED) || hasControl(comment.replaceAll('\t', ' '))) {
    return unusable('the third line is no trusted comment');
  }
  const globalSignature = decodeBase64(encoded);
  if (globalSignature?.length !== SIGNATURE_BYTES) {
    return unusable('the fourth line holds no signature');
  }
  return ok({ ...blob, trustedComment: comment.slice(TRUSTED.length), globalSignature });
}

/** What the global signature is over. */
export function globalMessage({ bytes, trustedComment }: Minisig): Uint8Array {
  return new Uint8Array(Buffer.concat([bytes, encodeText(trustedComment)]));
}

function unusable(reason: string): Refused {
  return refuse('format.signature', { format: 'minisign', reason });
}
