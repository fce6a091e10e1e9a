/**
 * One download at a time for each digest. Channels prepare their changes beside each other, and two
 * that name the same blob would append to the same part: the one that comes second waits here, and
 * finds the blob, or goes on with the part that the first one left.
 */
import type { Digest } from '#state/digest.ts';

/** Resolves with what ends the turn; null: `signal` aborted before it came. */
export type TakeTurn = (digest: Digest, signal: AbortSignal) => Promise<(() => void) | null>;

export function oneAtATime(): TakeTurn {
  /** those that wait, for each digest that somebody downloads now: bounded by what is downloaded */
  const waiting = new Map<Digest, ((end: (() => void) | null) => void)[]>();

  function begin(digest: Digest): () => void {
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const next = waiting.get(digest)?.shift();
      if (next) next(begin(digest));
      else waiting.delete(digest);
    };
  }

  return (digest, signal) => {
    if (signal.aborted) return Promise.resolve(null);
    const queue = waiting.get(digest);
    if (!queue) {
      waiting.set(digest, []);
      return Promise.resolve(begin(digest));
    }
    return new Promise((resolve) => {
      const leave = (): void => {
        queue.splice(queue.indexOf(grant), 1);
        resolve(null);
      };
      const grant = (end: (() => void) | null): void => {
        signal.removeEventListener('abort', leave);
        resolve(end);
      };
      queue.push(grant);
      signal.addEventListener('abort', leave, { once: true });
    });
  };
}
