/**
 * The files of signify, whose form minisign took over: a line that nobody signs, then base64 of an
 * algorithm, a key number, and a key or a signature. signify signs a message as it is.
 * @see https://man.openbsd.org/signify.1, https://jedisct1.github.io/minisign/ (formats)
 */
import { ok, type Refused, type Result, refuse } from '#errors/fault.ts';
import { decodeBase64, decodeText } from '#wire/text.ts';

/** `Ed`: over the message; `ED`: over its BLAKE2b-512 (minisign alone) */
export type SignifyAlgorithm = 'Ed' | 'ED';

export interface SignifyBlob {
  readonly algorithm: SignifyAlgorithm;
  /** 8 bytes, random: a hint, as keyids are */
  readonly keyNumber: Uint8Array;
  /** 32 bytes of a key, 64 of a signature */
  readonly bytes: Uint8Array;
}

/** bytes of a file; minisign's own bound for one comment is 1 KiB */
const SIGNIFY_BYTES_MAX = 4_096;
export const COMMENT = 'untrusted comment: ';
const NUMBER_BYTES = 8;
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 32;

/** The signature of 64 bytes over the message itself. */
export function readSignifySignature(file: Uint8Array): Result<SignifyBlob> {
  const lines = linesOf(file);
  if (lines?.length !== 2) return unusable('it is not two lines of text');
  const blob = readBlob(lines, SIGNATURE_BYTES);
  if (!blob) return unusable('the second line holds no signature');
  return blob.algorithm === 'Ed' ? ok(blob) : unusable('signify has no prehashed signatures');
}

/** A public key of signify or of minisign: the two files do not differ. */
export function readSignifyKey(file: Uint8Array): Result<SignifyBlob & { comment: string }> {
  const lines = linesOf(file);
  const blob = lines?.length === 2 ? readBlob(lines, KEY_BYTES) : null;
  if (!lines || blob?.algorithm !== 'Ed') {
    return refuse('format.public-key', { reason: 'it is no public key of signify or minisign' });
  }
  return ok({ ...blob, comment: (lines[0] ?? '').slice(COMMENT.length) });
}

/** Lines of a text file that ends with a line break; null: too long, or no text. */
export function linesOf(file: Uint8Array): readonly string[] | null {
  if (file.length > SIGNIFY_BYTES_MAX) return null;
  const lines = decodeText(file)?.split('\n');
  return lines?.pop() === '' ? lines : null;
}

/** The first two of the lines: the comment and what it stands over. */
export function readBlob(lines: readonly string[], contentBytes: number): SignifyBlob | null {
  const [comment = '', encoded = ''] = lines;
  if (!comment.startsWith(COMMENT)) return null;
  const bytes = decodeBase64(encoded);
  if (bytes?.length !== 2 + NUMBER_BYTES + contentBytes) return null;
  const algorithm = decodeText(bytes.subarray(0, 2));
  if (algorithm !== 'Ed' && algorithm !== 'ED') return null;
  return {
    algorithm,
    keyNumber: bytes.slice(2, 2 + NUMBER_BYTES),
    bytes: bytes.slice(2 + NUMBER_BYTES),
  };
}

function unusable(reason: string): Refused {
  return refuse('format.signature', { format: 'signify', reason });
}
