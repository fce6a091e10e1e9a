/**
 * The frame around every record: one version byte, 16 bytes of checksum, the protobuf.
 * LMDB has no checksums and a flipped bit passes silently (DESIGN section 7), so nothing is read
 * without this. The checksum covers the key as well: a row found under another row's key is
 * refused. It guards against damage, not against an attacker who can write here.
 */
import { ok, type Result, refuse } from '#errors/fault.ts';
import { digestToBytes, sha256 } from '#state/digest.ts';

const VERSION = 1;
const CHECKSUM_BYTES = 16;
const HEADER_BYTES = 1 + CHECKSUM_BYTES;
const DOMAIN = 'holdfast.record.v1';

export function frameRecord(key: string, body: Uint8Array): Uint8Array {
  const framed = new Uint8Array(HEADER_BYTES + body.length);
  framed[0] = VERSION;
  framed.set(checksum(key, body), 1);
  framed.set(body, HEADER_BYTES);
  return framed;
}

/** `store.checksum` for any bit that differs, in the record or in its key. */
export function openRecord(key: string, framed: Uint8Array): Result<Uint8Array> {
  if (framed.length < HEADER_BYTES || framed[0] !== VERSION) {
    return refuse('store.checksum', { key });
  }
  const body = framed.subarray(HEADER_BYTES);
  const expected = checksum(key, body);
  for (let at = 0; at < CHECKSUM_BYTES; at += 1) {
    if (framed[1 + at] !== expected[at]) return refuse('store.checksum', { key });
  }
  return ok(body);
}

/** First half of SHA-256 over (domain, version, length of key, key, body). */
function checksum(key: string, body: Uint8Array): Uint8Array {
  const head = Buffer.from(`${DOMAIN}\n${VERSION}\n${Buffer.byteLength(key)}\n${key}\n`);
  return digestToBytes(sha256(Buffer.concat([head, body]))).subarray(0, CHECKSUM_BYTES);
}
