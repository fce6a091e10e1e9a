/**
 * A value sealed to one device (docs/formats.md, "Sealed values"): anybody may make one, only the
 * device opens it. It says nothing of who made it; the signature of the channel does.
 *
 *   byte 0        1, the version of this format
 *   bytes 1–32    ephemeral X25519 public key
 *   then          nacl.box (X25519, XSalsa20-Poly1305): 16 bytes of tag, ciphertext
 *
 * The text is padded (0x80, then zeros, to a multiple of 64 bytes), so that a box tells its length
 * only roughly. The nonce is not sent: it is the hash of both keys and of all that the box is bound
 * to. In another fleet, device, channel or under another name it comes out different, and with it
 * the key of the tag: the box does not open. Each ephemeral key is used once, so each nonce is.
 */
import nacl from 'tweetnacl';
import { ok, type Result, refuse } from '#errors/fault.ts';
import { hmacSha256Bytes, sha512Bytes } from '#state/hash.ts';
import { LIMITS } from '#state/limits.ts';
import type { SealedFor } from '#state/values.ts';
import { decodeText, encodeText } from '#wire/text.ts';
import { SEALING_KEY_BYTES, type SealingKey, sealingKeyOf } from './sealing-key.ts';

const VERSION = 1;
const TAG_CONTEXT = 'holdfast.value-tag.v1';
const CONTEXT = 'holdfast.sealed-value.v1';
const HEAD_BYTES = 1 + SEALING_KEY_BYTES;
const BLOCK_BYTES = 64;
const PAD = 0x80;
/** of the longest text */
export const SEALED_BYTES_MAX =
  HEAD_BYTES + nacl.box.overheadLength + LIMITS.valueBytes + BLOCK_BYTES;

/**
 * @param publicKey  of the device, 32 bytes
 * @param ephemeral  32 bytes, random, used for this box alone
 */
export function sealValue(
  text: string,
  place: SealedFor,
  publicKey: Uint8Array,
  ephemeral: Uint8Array,
): Result<Uint8Array> {
  const plain = encodeText(text);
  const reason = unfit(text, plain);
  if (reason !== null) return refuse('values.secret', { reason });
  const own = sealingKeyOf(ephemeral);
  const nonce = nonceOf(own.publicKey, publicKey, place);
  const sealed = nacl.box(padded(plain), nonce, publicKey, ephemeral);
  return ok(new Uint8Array(Buffer.concat([Buffer.of(VERSION), own.publicKey, sealed])));
}

/** `values.unopened`; the reason names nothing of the text. */
export function openValue(box: Uint8Array, place: SealedFor, key: SealingKey): Result<string> {
  const { name, channel } = place;
  const no = (reason: string) => refuse('values.unopened', { name, channel, reason });
  if (box[0] !== VERSION) return no('it has another format than version 1');
  const least = HEAD_BYTES + nacl.box.overheadLength + BLOCK_BYTES;
  if (box.length < least || box.length > SEALED_BYTES_MAX) return no(`it has ${box.length} bytes`);
  const from = box.subarray(1, HEAD_BYTES);
  const nonce = nonceOf(from, key.publicKey, place);
  const plain = nacl.box.open(box.subarray(HEAD_BYTES), nonce, from, key.secret);
  if (!plain) {
    return no('it is for another key, fleet, device, channel or name, or it was changed');
  }
  const bytes = unpadded(plain);
  const text = bytes && decodeText(bytes);
  if (bytes === null || text === null || unfit(text, bytes) !== null) {
    return no('what is in it is no text');
  }
  return ok(text);
}

/**
 * Hex; tells whether a value has changed, without telling it: who has not the device's key cannot
 * try out short texts against it.
 */
export function valueTag(name: string, text: string, key: SealingKey): string {
  const tagKey = hmacSha256Bytes(key.secret, Buffer.from(TAG_CONTEXT));
  const named = Buffer.from(`${Buffer.byteLength(name)}:${name}${text}`);
  return Buffer.from(hmacSha256Bytes(tagKey, named)).toString('hex');
}

function unfit(text: string, plain: Uint8Array): string | null {
  if (text === '') return 'it is empty';
  if (!text.isWellFormed()) return 'it is not UTF-8';
  if (text.includes('\0')) return 'a NUL stands in it';
  if (plain.length <= LIMITS.valueBytes) return null;
  return `it has ${plain.length} bytes; at most ${LIMITS.valueBytes}`;
}

/** Length-prefixed parts, so that no two places share an encoding. */
function nonceOf(
  ephemeral: Uint8Array,
  device: Uint8Array,
  { fleet, device: id, channel, name }: SealedFor,
): Uint8Array {
  const texts = [CONTEXT, fleet, id, channel, name];
  const parts = [...texts.map((text) => Buffer.from(text)), ephemeral, device];
  const prefixed = parts.flatMap((part) => [Buffer.from(`${part.length}:`), part]);
  return sha512Bytes(Buffer.concat(prefixed)).slice(0, nacl.box.nonceLength);
}

/** ISO/IEC 7816-4: at least one byte is added. */
function padded(plain: Uint8Array): Uint8Array {
  const length = Math.ceil((plain.length + 1) / BLOCK_BYTES) * BLOCK_BYTES;
  const block = new Uint8Array(length);
  block.set(plain);
  block[plain.length] = PAD;
  return block;
}

function unpadded(block: Uint8Array): Uint8Array | null {
  const end = block.findLastIndex((byte) => byte !== 0);
  if (block.length % BLOCK_BYTES !== 0 || block[end] !== PAD) return null;
  return block.length - end <= BLOCK_BYTES ? block.subarray(0, end) : null;
}
