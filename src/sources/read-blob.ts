/** A small blob, whole in memory: envelope, root, documents. Checks 2 and 4. */
import { fault, ok, type Result, refuse, refused } from '#errors/fault.ts';
import { type Digest, sha256 } from '#state/digest.ts';
import type { BlobPart } from './source.ts';

export interface SmallBlob {
  readonly digest: Digest;
  /** bytes, as declared: the cap, and what must come */
  readonly size: number;
  /** for messages */
  readonly what: string;
}

/** What a source's `blob` is, bound to its source. */
export type OpenBlob = (
  digest: Digest,
  offset: number,
  cap: number,
  signal: AbortSignal,
) => AsyncIterable<BlobPart>;

/** @returns `source.size-mismatch`, `source.digest-mismatch`, or what the source says */
export async function readSmallBlob(
  open: OpenBlob,
  { digest, size, what }: SmallBlob,
  signal: AbortSignal,
): Promise<Result<Uint8Array>> {
  let chunks: Uint8Array[] = [];
  for await (const part of open(digest, 0, size, signal)) {
    if (part.kind === 'failed') {
      const long = part.fault.code === 'source.too-large';
      return refused(long ? fault('source.too-large', { what, cap: size }) : part.fault);
    }
    if (part.kind === 'restart') chunks = [];
    else chunks.push(part.bytes);
  }
  const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  if (bytes.length !== size) {
    return refuse('source.size-mismatch', { what, wanted: size, got: bytes.length });
  }
  const got = sha256(bytes);
  return got === digest
    ? ok(bytes)
    : refuse('source.digest-mismatch', { what, wanted: digest, got });
}
