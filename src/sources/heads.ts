/**
 * The heads that several mirrors offer, in the order of the configuration. They are yielded one by
 * one: trust judges each, and whoever asks stops at the first that is worth something, so that a
 * mirror that lags, or fails, or is hostile, hides nothing that the next one has (R14, R16).
 *
 * With a digest (a nudge named it): first that manifest at every mirror, then what each one's tag
 * says. A manifest that was offered already is not offered again; a peek (one HEAD) finds that out.
 */
import type { Fault } from '#errors/fault.ts';
import type { Digest } from '#state/digest.ts';
import type { Head, Source } from './source.ts';

export type Offered =
  | { readonly kind: 'head'; readonly source: Source; readonly head: Head }
  /** the source has nothing, or nothing that was not offered already */
  | { readonly kind: 'nothing'; readonly source: Source }
  | { readonly kind: 'failed'; readonly source: Source; readonly fault: Fault };

export async function* headsOf(
  sources: readonly Source[],
  wanted: Digest | null,
  signal: AbortSignal,
): AsyncGenerator<Offered> {
  const seen = new Set<Digest>();
  for (const source of wanted === null ? [] : sources) {
    if (signal.aborted) return;
    yield await offer(source, wanted, seen, signal);
  }
  for (const source of sources) {
    if (signal.aborted) return;
    yield (await isSeen(source, seen, signal))
      ? { kind: 'nothing', source }
      : await offer(source, null, seen, signal);
  }
}

async function offer(
  source: Source,
  wanted: Digest | null,
  seen: Set<Digest>,
  signal: AbortSignal,
): Promise<Offered> {
  const head = await source.head(wanted, signal);
  if (!head.ok) return { kind: 'failed', source, fault: head.fault };
  if (head.value === null || seen.has(head.value.manifestDigest))
    return { kind: 'nothing', source };
  seen.add(head.value.manifestDigest);
  return { kind: 'head', source, head: head.value };
}

async function isSeen(
  source: Source,
  seen: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<boolean> {
  if (seen.size === 0) return false;
  const peeked = await source.peek(signal);
  return peeked.ok && peeked.value !== null && seen.has(peeked.value);
}
