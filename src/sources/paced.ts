/**
 * A source among others: what comes from it slower than PACE_BYTES in PACE_MS is left for the next
 * one, which goes on where this one stopped. Only time that was waited for the source counts, not that
 * of a slow disk. Whoever is the last hope is not paced: link/http.ts ends what has no end.
 */
import { fault } from '#errors/fault.ts';
import type { Clock } from '#platform/clock.ts';
import type { BlobPart, Source } from './source.ts';

/** 1 KB/s: below it a mirror beside another one is of no use */
const PACE_BYTES = 64 * 1024;
const PACE_MS = 60_000;

export type PaceClock = Pick<Clock, 'monotonicMs' | 'after'>;

export function paced(source: Source, clock: PaceClock): Source {
  return {
    ...source,
    async *blob(digest, offset, cap, signal): AsyncGenerator<BlobPart> {
      const late = new AbortController();
      const both = AbortSignal.any([signal, late.signal]);
      const parts = source.blob(digest, offset, cap, both)[Symbol.asyncIterator]();
      let window = { waitedMs: 0, bytes: 0 };
      const isSlow = () => window.waitedMs >= PACE_MS && window.bytes < PACE_BYTES;
      try {
        for (;;) {
          const since = clock.monotonicMs();
          const mostMs = window.bytes < PACE_BYTES ? PACE_MS - window.waitedMs : PACE_MS;
          const cancel = clock.after(mostMs, () => late.abort());
          const next = await parts.next();
          cancel();
          window.waitedMs += clock.monotonicMs() - since;
          if (!next.done && next.value.kind === 'bytes') window.bytes += next.value.bytes.length;
          if (late.signal.aborted && !signal.aborted) break;
          if (next.done) return;
          yield next.value;
          if (isSlow()) break;
          if (window.waitedMs >= PACE_MS) window = { waitedMs: 0, bytes: 0 };
        }
      } finally {
        late.abort();
        await parts.return?.();
      }
      yield { kind: 'failed', fault: fault('source.slow', { source: source.name, ms: PACE_MS }) };
    },
  };
}
