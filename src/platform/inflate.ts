/** gzip, streaming. */
import type { Result } from '#errors/fault.ts';

export interface Inflate {
  /**
   * Decodes one gzip member; bytes after it, a second member, or a cut are `format.gzip`.
   * Ends with `source.too-large` once more than `cap` bytes came out.
   */
  gunzip(packed: Iterable<Result<Uint8Array>>, cap: number): Iterable<Result<Uint8Array>>;
  /** Deterministic: no name, mtime 0. */
  gzip(bytes: Uint8Array): Uint8Array;
}
