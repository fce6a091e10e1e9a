/**
 * One transaction at a time per device. Channels take turns in the order in which they were ready:
 * each prepares its change (documents, plan, blobs) beside the others, and waits here before anything
 * is accepted. A channel has one place in the queue at most, so that none waits longer than for one
 * change of each other one, however fast somebody publishes.
 */

export interface Turns {
  /** Resolves with what ends the turn; null: `signal` aborted before it came. */
  take(channel: string, signal: AbortSignal): Promise<(() => void) | null>;
  /** whose turn it is; null: nobody's */
  holder(): string | null;
  /** turns that have ended: what was planned before another one may be planned on what is gone */
  ended(): number;
}

interface Waiting {
  readonly channel: string;
  grant(end: (() => void) | null): void;
}

export function turns(): Turns {
  let holder: string | null = null;
  let count = 0;
  const queue: Waiting[] = [];

  function begin(channel: string): () => void {
    holder = channel;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      holder = null;
      count += 1;
      const next = queue.shift();
      next?.grant(begin(next.channel));
    };
  }

  return {
    take(channel, signal) {
      if (signal.aborted) return Promise.resolve(null);
      if (holder === null) return Promise.resolve(begin(channel));
      return new Promise((resolve) => {
        const leave = (): void => {
          queue.splice(queue.indexOf(waiting), 1);
          resolve(null);
        };
        const waiting: Waiting = {
          channel,
          grant(end) {
            signal.removeEventListener('abort', leave);
            resolve(end);
          },
        };
        queue.push(waiting);
        signal.addEventListener('abort', leave, { once: true });
      });
    },
    holder: () => holder,
    ended: () => count,
  };
}
