/**
 * Where statements come from. A source finds bytes; it never decides what they are worth
 * (trust/verify.ts does). Adding one: a file here, a line in catalogue.ts, the contract suite.
 */
import type { Fault, Result } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { Point } from '#state/point.ts';
import type { Via } from '#state/status.ts';

export interface Source {
  /** for messages and logs: no credentials */
  readonly name: string;
  readonly via: Via;
  /**
   * The digest of the channel's head manifest by the cheapest way (one HEAD), or null when the
   * source cannot tell. A hint: never trusted, only compared with what was settled before.
   */
  peek(signal: AbortSignal): Promise<Result<Digest | null>>;
  /**
   * What the channel points to (`wanted` null), the manifest with that digest (a nudge named it),
   * or what was published under that number (FORMATS: lasting tags), where the source keeps those.
   * Null: nothing there. Checks 1–4 are done on the way.
   */
  head(wanted: Wanted, signal: AbortSignal): Promise<Result<Head | null>>;
  /**
   * A blob, from an offset on, refused at the first byte past `cap` (checks 2 and 16).
   * @param offset  bytes, like `cap` (state/limits.ts); a source that cannot seek starts with
   *                `{ restart: true }` and the whole blob follows
   * @returns chunks; ends with `link.cut` (resume) or `source.too-large` (never retried)
   * @see RFC 9110 sections 14.2 (Range) and 8.6 (Content-Length is a claim: count)
   */
  blob(digest: Digest, offset: number, cap: number, signal: AbortSignal): AsyncIterable<BlobPart>;
}

/** The head, a manifest by its digest, or a number of the channel's line. */
export type Wanted = Digest | Pick<Point, 'epoch' | 'sequence'> | null;

export type BlobPart =
  | { readonly kind: 'restart' }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'failed'; readonly fault: Fault };

/** Untrusted until trust/verify.ts has judged it. */
export interface Head {
  readonly manifestDigest: Digest;
  /** exact bytes of the envelope blob (DSSE JSON), digest already checked */
  readonly envelope: Uint8Array;
  /** exact bytes of each root envelope offered, ascending */
  readonly roots: readonly Uint8Array[];
  /** documents layer and small blobs that came along, by digest: checked, not yet wanted */
  readonly inline: ReadonlyMap<Digest, Uint8Array>;
}
