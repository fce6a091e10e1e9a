/** Who wants to know how a download goes: the commands that wait for one. */
export interface Progress {
  listen(listener: ProgressListener): () => void;
}

type ProgressListener = (what: string, done: number, total: number) => void;

interface Wanted {
  readonly name: string;
  /** bytes */
  readonly size: number;
}

export function progressOf(): Progress & { tell(wanted: Wanted, bytes: number): void } {
  const listeners = new Set<ProgressListener>();
  return {
    tell({ name, size }, bytes) {
      for (const listener of listeners) listener(name, bytes, size);
    },
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
